"""The encoding of a file: found in its content, and converted to UTF-8.

A byte order mark decides first, then strict UTF-8. What is neither is read as Windows-1252 or as
CP949 only if its characters leave no doubt (`recognized`), since a wrong guess would change the
text without a sign of it.
"""

import codecs
import io
from collections.abc import Callable, Iterable
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.errors import DataError

# The longer marks first: that of UTF-32 begins like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LONGEST_MARK = 4
_BEGINNING = 1 << 16  # bytes
_KINDS = (
    (b"PAR1", "is a Parquet file", "NAME.parquet"),
    (b"PK\x03\x04", "is an Excel workbook or another archive", "NAME.xlsx if it is a workbook"),
    (b"\xd0\xcf\x11\xe0", "is a file of an old Office version", "NAME.xls, and save it as .xlsx"),
)
WESTERN, KOREAN = "cp1252", "cp949"
"""The encodings that are recognized besides those with a mark and UTF-8."""

_MEANT = {
    **dict.fromkeys(("iso-8859-1", "iso8859-1", "latin1", "latin-1", "ascii", "us-ascii"), WESTERN),
    **dict.fromkeys(("euc-kr", "euc_kr", "ks_c_5601-1987", "ksc5601"), KOREAN),
    "gb2312": "gbk",
}
# Of Korean: nearly all text is of the 2,350 usual syllables; those that CP949 adds to them also
# fit what "patient’s" is in Windows-1252.
_FEWEST_SYLLABLES = 20  # fewer may be Chinese
_FEWEST_HINTING = 2
_MOSTLY = 0.9
# Of Western languages: the letters of one of them, without exotic names and slips.
_ALPHABETS = (
    "áéíóúüñç",  # Spanish, Galician
    "àâæçéèêëîïôœùûüÿ",  # French
    "äöüßé",  # German
    "àèéìíîòóùú",  # Italian
    "áâãàçéêíóôõúü",  # Portuguese
    "áäéèêëíïóöúü",  # Dutch
    "æøåéèêóòâô",  # Danish, Norwegian
    "åäöé",  # Swedish, Finnish
    "àçéèíïóòúü",  # Catalan
)
_NEARLY_ALL = 0.98
_FEWEST_LETTERS, _FEWEST_KINDS = 10, 3
_RIVALS = ("cp1250", "cp1254", "cp1257")  # which have the same alphabets in other places
_IN_WORDS = "’‘´·\xad"  # signs that may be between two letters
_ASCII = 128
_DOUBTFUL = "¤¦¨¸"  # letters and the euro sign in ISO-8859-15


def marked_encoding(content: bytes) -> tuple[str, int]:
    """Return the encoding of a byte order mark and the mark's length; UTF-8 and 0 without one."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding, len(mark)
    return "utf-8", 0


class NotInEncodingError(UnicodeError):
    """A file isn't in the encoding of its mark, or in the one that was named or recognized.

    The message is the end of a sentence that names the file.
    """


class Utf8Reader(io.RawIOBase):
    """A stream in UTF-8 of a binary stream in any encoding.

    Bytes in UTF-8 are passed on unchanged, the mark included. If the bytes aren't in another
    encoding in which they should be, reading raises a `NotInEncodingError`.

    Attributes:
        encoding: The encoding that is read; known after the first byte that isn't ASCII.
    """

    def __init__(
        self,
        raw: Any,
        named: str | None = None,
        recognize: Callable[[], str | None] | None = None,
    ) -> None:
        """Wrap a stream that has ``readinto``.

        Args:
            raw: The stream.
            named: The encoding if there is no mark; None: UTF-8, or what `recognize` returns.
            recognize: Returns the encoding of the complete content if that isn't UTF-8; None: it is
                in doubt, so that the bytes are passed on. It isn't called if an encoding is named:
                invalid UTF-8 is then passed on, and the reader of the lines reports the line.
        """
        super().__init__()
        self.encoding = named or "utf-8"
        self._raw = raw
        self._recognize = recognize if named is None else None
        self._pending = b""
        self._decode: Callable[[bytes, bool], str] | None = None
        self._begun = self._ended = self._marked = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes into a buffer and return their number, 0 at the end."""
        if not self._begun:
            self._begin()
        if not self._pending and self._decode is None:
            length = int(self._raw.readinto(buffer))
            if self._recognize is None or self._is_ascii(buffer, length):
                return length
            content = bytes(memoryview(buffer)[:length])
            self._choose(content)
            if self._decode is None:
                return length
            self._pending = self._converted(content, self._decode)
        while not self._pending and not self._ended and self._decode is not None:
            content = self._read(max(len(buffer), _LONGEST_MARK))
            self._ended = not content
            self._pending = self._converted(content, self._decode)
        length = min(len(buffer), len(self._pending))
        buffer[:length] = self._pending[:length]
        self._pending = self._pending[length:]
        return length

    def _begin(self) -> None:
        self._begun = True
        head = b""
        while len(head) < _LONGEST_MARK and (more := self._read(_LONGEST_MARK - len(head))):
            head += more
        marked, length = marked_encoding(head)
        if length:
            self.encoding, self._recognize, self._marked = marked, None, True
        if self.encoding == "utf-8":
            if not head.isascii() and self._recognize is not None:
                head += self._read(_BEGINNING)
                self._choose(head)
        else:
            self._decode = codecs.getincrementaldecoder(self.encoding)().decode
        if self._decode is not None:
            head = self._converted(head[length:], self._decode)
        self._pending = head

    def _converted(self, content: bytes, decode: Callable[[bytes, bool], str]) -> bytes:
        try:
            return decode(content, self._ended).encode()
        except UnicodeError as error:
            if self._marked:
                problem = "begins as UTF-16 or UTF-32, but isn't. Save it as UTF-8"
            else:  # the error itself names all small encodings "charmap"
                byte = ""
                if isinstance(error, UnicodeDecodeError):
                    byte = f" (byte 0x{error.object[error.start]:02x})"
                problem = (
                    f"isn't in {self.encoding}{byte}. Name another encoding, or save it as UTF-8"
                )
            raise NotInEncodingError(problem) from None

    @staticmethod
    def _is_ascii(buffer: Any, length: int) -> bool:
        return not length or bool(np.frombuffer(buffer, np.int8, length).min() >= 0)

    def _choose(self, content: bytes) -> None:
        """Choose the encoding by the first bytes that aren't ASCII, after which it is kept."""
        recognize, self._recognize = self._recognize, None
        if not _is_utf8(content) and recognize is not None and (found := recognize()) is not None:
            self.encoding = found
            self._decode = codecs.getincrementaldecoder(found)().decode

    def _read(self, size: int) -> bytes:
        buffer = bytearray(size)
        return bytes(buffer[: self._raw.readinto(memoryview(buffer))])


def _is_utf8(content: bytes) -> bool:
    """Return whether bytes are UTF-8; the last character may be incomplete."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return False
    return True


def python_encoding(name: str) -> str:
    """Return what Python calls an encoding that people or documents name.

    As browsers read them: who writes Latin-1 mostly means the encoding of Windows.

    Raises:
        LookupError: If it is unknown, or no encoding of text.
    """
    lower = name.strip().strip("\"'").lower()
    found = _MEANT.get(lower, lower)
    "a".encode(found)  # an unknown one, or one of other things than text, raises the error
    return codecs.lookup(found).name


def recognized(chunks: Iterable[bytes]) -> str | None:
    """Return the encoding of content that has no mark and isn't UTF-8; None: it is in doubt.

    Korean (CP949, with EUC-KR): nearly all characters beyond ASCII are usual syllables.
    Western (Windows-1252, with Latin-1): its letters are those of one language, its signs aren't
    within words; and there are some of them, unless they are the same in its relatives.

    Args:
        chunks: The content, piece by piece.
    """
    counts = {WESTERN: _Counts(WESTERN), KOREAN: _Counts(KOREAN)}
    for chunk in chain(chunks, [b" "]):
        for one in counts.values():
            one.add(chunk)
        if not any(one.fits for one in counts.values()):
            return None
    plausible = {WESTERN: _is_western, KOREAN: _is_korean}
    found = [name for name, one in counts.items() if one.fits and plausible[name](one)]
    return found[0] if len(found) == 1 else None


class _Counts:
    """How often content that is decoded has each character.

    Attributes:
        fits: Whether all bytes so far are in the encoding.
        characters: The number of each character.
        within_words: The number of each one between two letters.
        in_latin: The number of each one beside a letter of ASCII.
    """

    def __init__(self, encoding: str) -> None:
        self.fits = True
        self.characters: NDArray[np.int64] = np.zeros(1 << 16, dtype=np.int64)
        self.within_words: NDArray[np.int64] = np.zeros(1 << 16, dtype=np.int64)
        self.in_latin: NDArray[np.int64] = np.zeros(1 << 16, dtype=np.int64)
        self._decode = codecs.getincrementaldecoder(encoding)().decode
        self._before = np.array([ord(" ")], dtype=np.uint16)

    def add(self, chunk: bytes) -> None:
        if not self.fits:
            return
        try:
            text = self._decode(chunk)
        except UnicodeDecodeError:
            self.fits = False
            return
        signs = np.frombuffer(text.encode("utf-16-le"), dtype=np.uint16)
        self.characters += np.bincount(signs, minlength=1 << 16)
        signs = np.concatenate([self._before, signs])
        letters = _letters()[signs]
        inside = signs[1:-1][letters[:-2] & letters[2:]]
        self.within_words += np.bincount(inside, minlength=1 << 16)
        latin = letters & (signs < _ASCII)
        beside = signs[1:-1][latin[:-2] | latin[2:]]
        self.in_latin += np.bincount(beside, minlength=1 << 16)
        self._before = signs[-2:]

    def of(self, characters: str) -> int:
        """Return the number of some characters."""
        return int(self.characters[list(map(ord, characters))].sum())

    def beside_ascii(self, characters: str) -> int:
        """Return how many of some characters are beside a letter of ASCII."""
        return int(self.in_latin[list(map(ord, characters))].sum())

    @property
    def foreign(self) -> str:
        """Return the characters beyond ASCII."""
        return "".join(chr(place) for place in np.flatnonzero(self.characters) if place >= _ASCII)


def _is_korean(found: _Counts, fewest: int = _FEWEST_SYLLABLES) -> bool:
    usual = found.of(_usual_syllables())
    return usual >= fewest and usual >= _MOSTLY * found.of(found.foreign)


def _is_western(found: _Counts) -> bool:
    foreign = found.foreign
    signs = "".join(one for one in foreign if not one.isalpha() and one not in _IN_WORDS)
    odd = int(found.within_words[list(map(ord, signs))].sum()) if signs else 0
    if odd > (1 - _NEARLY_ALL) * found.of(foreign) or set(foreign) & set(_DOUBTFUL):
        return False
    letters = "".join(one for one in foreign if one.isalpha() and one not in "ªºµ")
    total = found.of(letters)
    if not set(foreign) - _same_in_relatives() and total == found.beside_ascii(letters):
        return True
    kinds = max(
        (
            len(set(letters) & set(alphabet))
            for alphabet in (one + one.upper() for one in _ALPHABETS)
            if found.of("".join(set(letters) & set(alphabet))) >= _NEARLY_ALL * total
        ),
        default=0,
    )
    return total == 0 or (total >= _FEWEST_LETTERS and kinds >= _FEWEST_KINDS)


@cache
def _letters() -> NDArray[np.bool_]:
    """Return for each character whether it is a letter."""
    return np.array([chr(place).isalpha() for place in range(1 << 16)])


@cache
def _usual_syllables() -> str:
    """Return the syllables of KS X 1001, which EUC-KR has."""
    rows, columns = range(0xB0, 0xC9), range(0xA1, 0xFF)
    return b"".join(bytes((row, column)) for row in rows for column in columns).decode(KOREAN)


@cache
def _same_in_relatives() -> set[str]:
    """Return the characters that are the same bytes in all relatives of Windows-1252."""
    places = [bytes((place,)) for place in range(0x80, 0x100)]
    return {
        one
        for place in places
        if (one := place.decode(WESTERN, "replace")) != "\ufffd"
        and all(place.decode(rival, "replace") == one for rival in _RIVALS)
    }


def conversion(content: bytes, file: str = "FILE") -> str:
    """Return the command that converts bytes that aren't UTF-8, as the end of a sentence.

    Args:
        content: Some of the file's bytes, with those that aren't UTF-8.
        file: The name of the file.
    """
    if b"\0" in content:
        return "Save it as plain text in UTF-8"
    possible = _possible(content)
    if possible is None:
        return f"Save it as UTF-8: iconv -f ENCODING -t UTF-8 {file} > NEW_FILE"
    source, name = {
        KOREAN: ("If it is Korean", "CP949"),
        WESTERN: ("If Windows wrote it in a Western language", "WINDOWS-1252"),
    }[possible]
    return f"Save it as UTF-8. {source}: iconv -f {name} -t UTF-8 {file} > NEW_FILE"


def conversion_or_name(content: bytes) -> str:
    """Return `conversion`, and how to name the encoding instead."""
    name = _possible(content) or "ENCODING"
    return f"{conversion(content)}. Or set encoding={name} (predict: --encoding {name})"


def _possible(content: bytes) -> str | None:
    """Return the encoding that some bytes, perhaps few, are most likely in."""
    counts = {name: _Counts(name) for name in (KOREAN, WESTERN)}
    for one in counts.values():
        one.add(content)
    if counts[KOREAN].fits and _is_korean(counts[KOREAN], _FEWEST_HINTING):
        return KOREAN
    return WESTERN if counts[WESTERN].fits else None


def refuse_other_format(path: Path, start: bytes) -> None:
    """Raise an error if a file that should be text is a common binary file.

    Args:
        path: The file.
        start: Its first bytes, decompressed if its name ends in ``.gz``.

    Raises:
        DataError: If so.
    """
    is_gz = path.name.lower().endswith(".gz")
    if start.startswith(b"\x1f\x8b") and is_gz:
        raise DataError(
            f"{path}: is compressed twice. Decompress it once: gunzip -c {path.name} > "
            f"NEW_FILE{''.join(path.suffixes[-2:])}"
        )
    kinds = ((b"\x1f\x8b", "is compressed with gzip", f"{path.name}.gz"), *_KINDS)
    for mark, what, name in kinds:
        if start.startswith(mark):
            raise DataError(f"{path}: {what}. Rename it to {name}.")
