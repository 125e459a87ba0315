"""The encoding of a file: recognized by its byte order mark, converted to UTF-8.

No other encoding is guessed. Windows-1252 accepts nearly any bytes, and a wrong guess would change
the text without a sign of it.
"""

import codecs
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
NOT_AS_MARKED = "begins as UTF-16 or UTF-32, but isn't. Save it as UTF-8"
"""What is wrong with a file for which `Utf8Reader` raises a `UnicodeError`."""
_KINDS = (
    (b"PAR1", "is a Parquet file", "NAME.parquet"),
    (b"PK\x03\x04", "is an Excel workbook or another archive", "NAME.xlsx if it is a workbook"),
    (b"\xd0\xcf\x11\xe0", "is a file of an old Office version", "NAME.xls, and save it as .xlsx"),
)
_SHORTEST_KOREAN = 2  # characters that show that a text is Korean
_MOSTLY = 0.9


def marked_encoding(content: bytes) -> tuple[str, int]:
    """Return the encoding of a byte order mark and the mark's length; UTF-8 and 0 without one."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding, len(mark)
    return "utf-8", 0


class Utf8Reader(io.RawIOBase):
    """A stream in UTF-8 of a binary stream in UTF-8, or in UTF-16 or UTF-32 with its mark.

    Bytes in UTF-8 are passed on unchanged, the mark included. Reading raises a `UnicodeError` if
    the bytes aren't in the encoding of the mark.
    """

    def __init__(self, raw: Any) -> None:
        """Wrap a stream that has ``readinto``."""
        super().__init__()
        self._raw = raw
        self._pending = b""
        self._decode: Callable[[bytes, bool], str] | None = None
        self._begun = self._ended = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes into a buffer and return their number, 0 at the end."""
        if not self._begun:
            self._begin()
        if not self._pending:
            if self._decode is None:
                return int(self._raw.readinto(buffer))
            while not self._pending and not self._ended:
                content = self._read(max(len(buffer), _LONGEST_MARK))
                self._ended = not content
                self._pending = self._decode(content, self._ended).encode()
        length = min(len(buffer), len(self._pending))
        buffer[:length] = self._pending[:length]
        self._pending = self._pending[length:]
        return length

    def _begin(self) -> None:
        self._begun = True
        head = b""
        while len(head) < _LONGEST_MARK and (more := self._read(_LONGEST_MARK - len(head))):
            head += more
        encoding, length = marked_encoding(head)
        if encoding != "utf-8":
            decode = codecs.getincrementaldecoder(encoding)().decode
            self._decode, head = decode, decode(head[length:]).encode()
        self._pending = head

    def _read(self, size: int) -> bytes:
        buffer = bytearray(size)
        return bytes(buffer[: self._raw.readinto(memoryview(buffer))])


def conversion(content: bytes, file: str = "FILE") -> str:
    """Return the command that converts bytes that aren't UTF-8, as the end of a sentence.

    Args:
        content: Some of the file's bytes, with those that aren't UTF-8.
        file: The name of the file.
    """
    if b"\0" in content:
        return "Save it as plain text in UTF-8"
    if _is_korean(content):
        source, name = "If it is Korean", "CP949"
    else:
        try:
            content.decode("cp1252")
        except UnicodeDecodeError:
            return f"Save it as UTF-8: iconv -f ENCODING -t UTF-8 {file} > NEW_FILE"
        source, name = "If Windows wrote it in a Western language", "WINDOWS-1252"
    return f"Save it as UTF-8. {source}: iconv -f {name} -t UTF-8 {file} > NEW_FILE"


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


def _is_korean(content: bytes) -> bool:
    """Return whether the bytes are Korean in the encoding that Windows uses for it."""
    try:
        text = content.decode("cp949")
    except UnicodeDecodeError:
        return False
    foreign = [letter for letter in text if not letter.isascii()]
    hangul = sum("가" <= letter <= "힣" for letter in foreign)
    return hangul >= _SHORTEST_KOREAN and hangul >= _MOSTLY * len(foreign)
