"""The text of a note, from bytes of unknown encoding: decoded only if the encoding is clear."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from icdcli.data.encounters.boundaries import NoteBoundary
from icdcli.data.markup import REMEDY, markup_of
from icdcli.errors import DataError
from icdcli.icd.code_cells import MISSING
from icdcli.io.encodings import conversion, conversion_or_name, marked_encoding, recognized

LONGEST = 10_000_000
"""Characters. All reports of the longest hospital stays together have less than a fifth of that."""
_BYTES = 4 * LONGEST  # a character takes at most four bytes
_LONGEST_MISSING = 20  # characters of a missing value, with white space around it

_KINDS = {
    b"%PDF": "a PDF file",
    b"{\\rtf": "an RTF file",
    b"PK\x03\x04": "a Word or Excel file or another archive",
    b"\xd0\xcf\x11\xe0": "an old Word or Excel file",
    b"\x1f\x8b": "compressed with gzip",
    b"PAR1": "a Parquet file; its name must end in .parquet",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a note is from, as far as results can refer to it.

    Attributes:
        media_type: The format of the document whose text the note is, such as ``text/html``.
        sha256: The hash of the document as it was before it was converted to text.
        resource: The FHIR resource, such as ``DocumentReference/7``.
        patient: The patient: ``Patient/1``, or the id in OMOP or HL7.
        encounter: The encounter: ``Encounter/3``, or the id in OMOP or HL7.
        version: The version of FHIR, if the resource shows it: ``R4`` or ``R5``.
    """

    media_type: str
    sha256: str
    resource: str | None = None
    patient: str | None = None
    encounter: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A note to predict codes for, or several notes of one encounter, joined.

    Attributes:
        id: The name of its file, or the id or number of its row; of several notes, the encounter.
        text: The text to which positions refer.
        day: The day of the discharge; None: unknown.
        origin: The document or record that it was converted from; None: it was plain text.
        type: Its type, such as ``Discharge summary``; None: unknown.
        time: When it was written; None: unknown.
        notes: Where each note of the encounter is in the text; empty: it is a single note.
        origins: The origin of each of them.
    """

    id: str
    text: str
    day: date | None = None
    origin: Origin | None = None
    type: str | None = None
    time: datetime | None = None
    notes: tuple[NoteBoundary, ...] = ()
    origins: tuple[Origin | None, ...] = ()

    @property
    def has_text(self) -> bool:
        """Return whether it has a text; see `is_text`."""
        return is_text(self.text)

    def __repr__(self) -> str:
        # A traceback or a log that shows a note must not show its text.
        return f"Note({self.id!r}, {len(self.text):,} characters)"


def is_text(text: str) -> bool:
    """Return whether a note says something: more than white space, or than a missing value.

    Programs write ``nan`` or ``NULL`` for an empty cell; no note has this as its whole text.
    """
    if not text or text.isspace():
        return False
    return len(text) > _LONGEST_MISSING or text.strip().lower() not in MISSING


def decoded_note(content: bytes, name: str, encoding: str | None = None) -> tuple[str, str | None]:
    """Return the bytes of a plain text as text, and the encoding if it isn't of Unicode.

    Args:
        content: The bytes; a byte order mark decides before anything else.
        name: The name of the file in messages.
        encoding: The encoding that the user names; None: UTF-8, or what the content shows.

    Raises:
        DataError: If the file isn't text, or its encoding is in doubt.
    """
    if marked_encoding(content)[1]:
        return decoded(content, name), None
    if encoding is None:
        try:
            return decoded(content, name), None
        except UndecodableError as error:
            if b"\0" in content or (encoding := recognized([content])) is None:
                hint, more = conversion(content), conversion_or_name(content)
                raise DataError(str(error).replace(hint, more)) from None
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: isn't in {encoding} (byte 0x{content[error.start]:02x} at {error.start:,}). "
            "Name another encoding, or save it as UTF-8."
        ) from None
    return decoded(text.encode(), name), None if encoding.startswith("utf") else encoding


class UndecodableError(DataError):
    """A text isn't in the encoding in which it should be."""


def decoded(content: bytes, name: str) -> str:
    """Return bytes as text, in UTF-8 or the encoding of their byte order mark.

    Args:
        content: The bytes.
        name: The name of the file in messages.

    Raises:
        DataError: If the file isn't text, or isn't in this encoding.
    """
    encoding, mark = marked_encoding(content)
    kind = next((kind for start, kind in _KINDS.items() if content.startswith(start)), None)
    if kind is not None:
        raise DataError(f"{name}: is {kind}, not a text. Save it as plain text in UTF-8.")
    try:
        text = content[mark:].decode(encoding)
    except UnicodeDecodeError as error:
        at = f"byte 0x{content[mark + error.start]:02x} at {mark + error.start:,}"
        hint = conversion(content) if encoding == "utf-8" else "Save it as UTF-8"
        raise UndecodableError(
            f"{name}: is binary or in another encoding, not {encoding.upper()} ({at}). {hint}."
        ) from None
    if "\0" in text:
        raise DataError(
            f"{name}: is binary (it has zero bytes), or UTF-16 without a byte order mark. Save it "
            "as plain text in UTF-8."
        )
    return text


def checked(text: str, name: str) -> str:
    """Return a text if it isn't too long for a note, is plain text, and is valid Unicode.

    Args:
        text: The text.
        name: Its name in messages.

    Raises:
        DataError: If it isn't.
    """
    if len(text) > LONGEST:
        raise too_long(name)
    if (kind := markup_of(text)) is not None:
        raise DataError(f"{name}: is {kind}, not plain text. {REMEDY}.")
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


def read_note(read: Callable[[int], bytes], name: str) -> bytes:
    """Return all bytes of a file or of standard input.

    Args:
        read: Returns at most the given number of bytes.
        name: The name of the note in messages.

    Raises:
        DataError: If there are more bytes than a note may have.
    """
    content = read(_BYTES + 1)
    if len(content) > _BYTES:
        raise too_long(name)
    return content
