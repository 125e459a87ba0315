"""Notes from standard input and other pipes, which can be read only once.

Their content is stored in a private temporary folder until the command ends. It may be one note or
a table, which its beginning shows, since a pipe has no name with an ending.
"""

import csv
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from icdcli.data.notes.tables import NoteTable
from icdcli.data.notes.text import Note, checked, decoded, read_note
from icdcli.errors import DataError
from icdcli.io.csv_reader import plain_name
from icdcli.io.csv_scan import find_separator
from icdcli.io.encodings import marked_encoding
from icdcli.io.files import is_pipe
from icdcli.io.fingerprints import file_hash

STANDARD_INPUT = "-"

_STANDARD_INPUTS = frozenset(("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"))
_STANDARD_INPUT = "standard input"
_BEGINNING = 1 << 16  # bytes that show what the content is
_USUAL_TEXT = "text"
_ROWS = 2  # the header and one row
_SHORTEST_TABLE = 2  # columns
_USUAL_COLUMNS = frozenset(
    (
        *("id", "note_id", "row_id", "hadm_id", "stay_id", "encounter_id", "subject_id", "patient"),
        *("patient_id", "mrn", "text", "note", "notes", "note_text", "report", "codes", "code"),
        *("icd", "icd9", "icd10", "icd_code", "icd_codes", "diagnoses", "labels", "date", "split"),
    )
)


def reads_pipe(name: str) -> bool:
    """Return whether an argument is standard input or something else that can't be read twice."""
    return is_standard_input(name) or is_pipe(Path(name))


@dataclass(frozen=True)
class Piped:
    """The content of a pipe.

    Attributes:
        name: Its name in messages.
        path: The file that has the content.
        table: The same as a table; None if it is one note.
        id: The id of the note.
    """

    name: str
    path: Path
    table: NoteTable | None
    id: str
    _folder: "_Folder" = field(repr=False)

    @property
    def remarks(self) -> list[str]:
        """Return how it is read, if it is a table."""
        if self.table is None:
            return []
        kind = self.path.name.removeprefix(_Folder.NAME)
        remarks = [remark.replace(self.path.name, self.name) for remark in self.table.remarks]
        return [f"{self.name} is read as a table ({kind})", *remarks]

    @property
    def left_out(self) -> list[str]:
        """Return nothing: all of it is read."""
        return []

    def state(self) -> list[str]:
        """Return a hash of the content, and the columns to read."""
        return [file_hash(self.path), *(self.table.columns if self.table is not None else ())]

    def check_columns(self) -> None:
        """Raise an error if a column of the table is missing."""
        if self.table is not None:
            try:
                self.table.columns  # noqa: B018
            except DataError as error:
                raise self._named(error) from None

    def __iter__(self) -> Iterator[Note]:
        """Yield the notes.

        Raises:
            DataError: If one can't be read.
        """
        if self.table is not None:
            try:
                yield from self.table
            except DataError as error:
                raise self._named(error) from None
            return
        with self.path.open("rb") as file:
            content = read_note(file.read, self.name)
        text = decoded(content, self.name)
        note = Note(self.id, checked(text, self.name))
        if not note.has_text:
            raise DataError(f"{self.name}: is empty. Pipe a note into it.")
        refuse_table(content, self.name)
        yield note

    def _named(self, error: DataError) -> DataError:
        return DataError(str(error).replace(str(self.path), self.name))


class _Folder:
    """A private temporary folder, removed when nothing uses it any more or the program ends."""

    NAME = "notes"

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="icdcode-"))
        self._remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def store_pipe(
    stream: BinaryIO,
    argument: str,
    text_column: str | None = None,
    id_column: str | None = None,
    before: str = "",
    date_column: str | None = None,
) -> Piped:
    """Store what comes from a pipe.

    Args:
        stream: The pipe.
        argument: The argument that names it.
        text_column: The column of notes, if it is a table; None: ``text``.
        id_column: The column of ids, if it is a table.
        before: A prefix of the ids, if it is a table.
        date_column: The column of the days of discharge, if it is a table.

    Raises:
        DataError: If it can't be read or stored, or lacks a column.
    """
    name = _STANDARD_INPUT if is_standard_input(argument) else argument
    try:
        folder = _Folder()
        path = folder.path / _Folder.NAME
        with path.open("xb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)
        with path.open("rb") as file:
            start = file.read(_BEGINNING)
    except OSError as error:
        raise DataError(
            f"{name}: can't be read, or not be stored in {tempfile.gettempdir()} "
            f"({error.strerror}). Set TMPDIR to a folder with more space, or give a file."
        ) from None
    table, ending = None, table_ending(start, text_column)
    if ending is not None:
        path = path.rename(path.with_name(path.name + ending))
        table = NoteTable(path, text_column or _USUAL_TEXT, id_column, before, date_column)
    piped = Piped(name, path, table, argument, folder)
    piped.check_columns()
    return piped


def is_standard_input(argument: str) -> bool:
    """Return whether an argument is one of the names of standard input."""
    return argument == STANDARD_INPUT or argument in _STANDARD_INPUTS


def table_ending(start: bytes, text_column: str | None) -> str | None:
    """Return the ending of a table's name by the beginning of its content; None: it is a text.

    Args:
        start: The first bytes.
        text_column: The column of notes; None: ``text``.
    """
    if start.startswith(b"PAR1"):
        return ".parquet"
    if start.startswith(b"PK\x03\x04") and b"[Content_Types].xml" in start:
        return ".xlsx"
    if start.startswith(b"\x1f\x8b"):
        inside = table_ending(_decompressed(start), text_column)
        return inside if inside is None else f"{inside}.gz"
    encoding, mark = marked_encoding(start)
    text = start[mark:].decode(encoding, "replace").lstrip()
    if text.startswith("{") and text[1:].lstrip().startswith('"'):
        return ".jsonl"
    if text.startswith("[") and text[1:].lstrip().startswith("{"):
        return ".json"
    header, wanted = _header(start), text_column or _USUAL_TEXT
    if text_column is not None and len(header) > 1:
        return ".csv"
    # A single column must have exactly this name: a note may begin with the line "Text".
    found = wanted in header if len(header) == 1 else plain_name(wanted) in map(plain_name, header)
    return ".csv" if found else None


def _decompressed(start: bytes) -> bytes:
    """Return what the beginning of a gzip file contains; nothing if it is damaged."""
    try:
        return zlib.decompressobj(wbits=31).decompress(start, _BEGINNING)
    except zlib.error:
        return b""


def refuse_table(content: bytes, name: str) -> None:
    """Raise an error if a note is a table, which begins with the names of columns.

    Args:
        content: The note.
        name: Its name in messages.

    Raises:
        DataError: If so.
    """
    header = map(plain_name, _header(content[:_BEGINNING]))
    if len(_USUAL_COLUMNS & set(header)) >= _SHORTEST_TABLE:
        what = (
            "Pass --text-column with the column of the notes"
            if name == _STANDARD_INPUT
            else "Give it a name that ends in .csv"
        )
        raise DataError(f"{name}: looks like a table, not like one note. {what}.")


def _header(start: bytes) -> list[str]:
    """Return the names of columns if the content may be CSV; else nothing."""
    encoding, mark = marked_encoding(start)
    text = start[mark:].decode(encoding, "replace")
    reader = csv.reader(text.splitlines(keepends=True), delimiter=find_separator(text.encode()))
    rows: list[list[str]] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) == _ROWS:
                break
    except csv.Error:  # a row that is longer than the beginning
        return []
    cut_off = len(start) >= _BEGINNING  # perhaps within the second row
    if len(rows) < _ROWS or not (len(rows[1]) == len(rows[0]) or cut_off):
        return []
    return rows[0]
