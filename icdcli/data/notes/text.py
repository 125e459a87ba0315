"""A note's text, from bytes of which nothing is known: decoded where there is no doubt how, refused where there is."""

import codecs
from dataclasses import dataclass

from icdcli.errors import DataError

LONGEST = 10_000_000
"""Characters of a note. All reports of the longest hospital stays together have less than a fifth of that."""

# The longer first: UTF-32's mark begins like UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_KINDS = {
    b"%PDF": "a PDF file",
    b"{\\rtf": "an RTF file",
    b"PK\x03\x04": "a Word file or another archive",
    b"\xd0\xcf\x11\xe0": "an old Word file",
    b"\x1f\x8b": "compressed with gzip",
    b"PAR1": "a Parquet file; its name must end in .parquet",
}
_LATIN = "; if it is Latin-1: iconv -f ISO-8859-1 -t UTF-8 FILE > NEW_FILE"


@dataclass(frozen=True, slots=True)
class Note:
    """A note to be coded.

    Attributes:
        id: How it is known: a file's name, a row's id or number.
        text: The note, as it stands there.
    """

    id: str
    text: str

    @property
    def has_text(self) -> bool:
        """Whether there is anything to read in it."""
        return bool(self.text) and not self.text.isspace()

    def __repr__(self) -> str:
        # Whatever prints a note, in a traceback or a log, must not print what it says.
        return f"Note({self.id!r}, {len(self.text):,} characters)"


def decoded(content: bytes, name: str) -> str:
    """A file's bytes as text: UTF-8, or what its byte order mark says.

    Args:
        content: The bytes.
        name: What they are called in messages.

    Raises:
        DataError: When they are of a kind that isn't text, or the encoding isn't known. Nothing is guessed: Latin-1 takes any
            bytes, and a wrong guess would change what the note says.
    """
    mark, encoding = next(
        ((mark, encoding) for mark, encoding in _MARKS if content.startswith(mark)), (b"", "utf-8")
    )
    kind = next((kind for start, kind in _KINDS.items() if content.startswith(start)), None)
    if kind is not None:
        raise DataError(f"{name}: is {kind}, not a text; save it as plain text in UTF-8")
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        at = f"byte 0x{content[len(mark) + error.start]:02x} at {len(mark) + error.start:,}"
        hint = _LATIN if encoding == "utf-8" and b"\0" not in content else ""
        raise DataError(
            f"{name}: is binary or of another encoding, not {encoding.upper()} ({at}); save it as UTF-8{hint}"
        ) from None
    if "\0" in text:
        raise DataError(
            f"{name}: is binary (it has zero bytes), or UTF-16 without its mark; save it as plain text in UTF-8"
        )
    return text


def checked(text: str, name: str) -> str:
    """A text that is no longer than a note may be, and valid Unicode.

    Args:
        text: The text.
        name: What it is called in messages.

    Raises:
        DataError: When it is not.
    """
    if len(text) > LONGEST:
        raise too_long(name)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name}: is no valid Unicode (half a character at {error.start:,}); write it anew"
        ) from None
    return text


def too_long(name: str) -> DataError:
    """What to raise for a note that is longer than `LONGEST`."""
    return DataError(
        f"{name}: has more than {LONGEST:,} characters, which no note has; if it holds many notes, make it a table "
        "(.csv, .jsonl, .parquet) with a row a note"
    )
