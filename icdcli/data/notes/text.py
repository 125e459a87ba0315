"""The text of a note, from bytes of unknown encoding: decoded only if the encoding is certain."""

import codecs
from dataclasses import dataclass

from icdcli.errors import DataError

LONGEST = 10_000_000
"""Characters. All reports of the longest hospital stays together have less than a fifth of that."""

# The longer marks first: that of UTF-32 begins like that of UTF-16.
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
_LATIN = ". If it is Latin-1: iconv -f ISO-8859-1 -t UTF-8 FILE > NEW_FILE"


@dataclass(frozen=True, slots=True)
class Note:
    """A note to predict codes for.

    Attributes:
        id: The name of its file, or the id or number of its row.
        text: The text, unchanged.
    """

    id: str
    text: str

    @property
    def has_text(self) -> bool:
        """Return whether it has more than white space."""
        return bool(self.text) and not self.text.isspace()

    def __repr__(self) -> str:
        # A traceback or a log that shows a note must not show its text.
        return f"Note({self.id!r}, {len(self.text):,} characters)"


def decoded(content: bytes, name: str) -> str:
    """Return bytes as text, in UTF-8 or the encoding of their byte order mark.

    Args:
        content: The bytes.
        name: The name of the file in messages.

    Raises:
        DataError: If the file isn't text, or its encoding is unknown. It isn't guessed: Latin-1
            accepts any bytes, and a wrong guess would change the note.
    """
    mark, encoding = next(
        ((mark, encoding) for mark, encoding in _MARKS if content.startswith(mark)), (b"", "utf-8")
    )
    kind = next((kind for start, kind in _KINDS.items() if content.startswith(start)), None)
    if kind is not None:
        raise DataError(f"{name}: is {kind}, not a text. Save it as plain text in UTF-8.")
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        at = f"byte 0x{content[len(mark) + error.start]:02x} at {len(mark) + error.start:,}"
        hint = _LATIN if encoding == "utf-8" and b"\0" not in content else ""
        raise DataError(
            f"{name}: is binary or in another encoding, not {encoding.upper()} ({at}). Save it as "
            f"UTF-8{hint}"
        ) from None
    if "\0" in text:
        raise DataError(
            f"{name}: is binary (it has zero bytes), or UTF-16 without a byte order mark. Save it "
            "as plain text in UTF-8."
        )
    return text


def checked(text: str, name: str) -> str:
    """Return a text if it isn't too long for a note, and is valid Unicode.

    Args:
        text: The text.
        name: Its name in messages.

    Raises:
        DataError: If it isn't.
    """
    if len(text) > LONGEST:
        raise too_long(name)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name}: isn't valid Unicode (half a character at {error.start:,}). Write it again."
        ) from None
    return text


def too_long(name: str) -> DataError:
    """Return the error for a note that is longer than `LONGEST`."""
    return DataError(
        f"{name}: has more than {LONGEST:,} characters, too many for one note. If it has many "
        "notes, make it a table (.csv, .jsonl, .parquet) with one row per note."
    )
