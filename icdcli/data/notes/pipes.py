"""Notes from standard input and other pipes, which can be read only once.

Their content is stored in a private temporary folder until the command ends. It may be one note, a
table, FHIR resources or HL7 messages, which its beginning shows, since a pipe has no name with an
ending.
"""

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from icdcli.data.formats.conversion import NAMES
from icdcli.data.formats.hl7 import begins_as_hl7
from icdcli.data.formats.resources import begins_as_fhir
from icdcli.data.notes.beginnings import (
    BEGINNING,
    STANDARD_INPUT,
    refuse_table,
    table_ending,
)
from icdcli.data.notes.documents import read_document
from icdcli.data.notes.encounters import ByEncounter
from icdcli.data.notes.fhir_notes import FhirNotes
from icdcli.data.notes.hl7_notes import Hl7Notes
from icdcli.data.notes.refusals import Refusals
from icdcli.data.notes.tables import NoteTable, find_table
from icdcli.data.notes.text import Note
from icdcli.errors import DataError
from icdcli.io.files import is_pipe
from icdcli.io.fingerprints import file_hash

_DASH = "-"
_STANDARD_INPUTS = frozenset((_DASH, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"))


def reads_pipe(name: str) -> bool:
    """Return whether an argument is standard input or something else that can't be read twice."""
    return is_standard_input(name) or is_pipe(Path(name))


@dataclass(frozen=True)
class Piped:
    """The content of a pipe.

    Attributes:
        name: Its name in messages.
        path: The file that has the content.
        notes: The notes in it; None if it is one note.
        id: The id of the note.
        encoding: The encoding of a plain text without a mark; None: UTF-8, or what it shows.
    """

    name: str
    path: Path
    notes: NoteTable | FhirNotes | Hl7Notes | None
    id: str
    _folder: "_Folder" = field(repr=False)
    encoding: str | None = None
    _converted: list[str] = field(default_factory=list, repr=False)
    _encodings: list[str] = field(default_factory=list, repr=False)

    @property
    def table(self) -> NoteTable | None:
        """Return the table, if it is one."""
        return self.notes if isinstance(self.notes, NoteTable) else None

    @property
    def remarks(self) -> list[str]:
        """Return how it is read, if that isn't obvious."""
        if self.notes is None:
            return [
                *(f"{self.name} is read as {encoding}" for encoding in self._encodings),
                *(f"{self.name} is converted from {kind} to text" for kind in self._converted),
            ]
        remarks = [
            remark.replace(str(self.path), self.name).replace(self.path.name, self.name)
            for remark in self.notes.remarks
        ]
        if self.table is None:
            return remarks
        kind = self.path.name.removeprefix(_Folder.NAME)
        return [f"{self.name} is read as a table ({kind})", *remarks]

    @property
    def left_out(self) -> list[str]:
        """Return warnings about what isn't read."""
        warnings = [] if self.notes is None else self.notes.left_out
        return [warning.replace(str(self.path), self.name) for warning in warnings]

    def state(self) -> list[str]:
        """Return a hash of the content, and the columns to read."""
        named = [self.encoding] if self.encoding else []
        columns = self.table.columns if self.table is not None else ()
        return [file_hash(self.path), *columns, *named]

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
        if self.notes is not None:
            try:
                yield from self.notes
            except DataError as error:
                raise self._named(error) from None
            return
        with self.path.open("rb") as file:
            note, content, other = read_document(file, self.id, self.name, None, self.encoding)
        self._encodings[:] = [] if other is None else [other]
        if not note.has_text:
            raise DataError(f"{self.name}: is empty. Pipe a note into it.")
        if note.origin is None:
            refuse_table(content, self.name)
        else:
            self._converted[:] = [NAMES[note.origin.media_type]]
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
    refusals: Refusals | None = None,
    encoding: str | None = None,
    by_encounter: ByEncounter | None = None,
) -> Piped:
    """Store what comes from a pipe.

    Args:
        stream: The pipe.
        argument: The argument that names it.
        text_column: The column of notes, if it is a table; None: ``text``.
        id_column: The column of ids, if it is a table.
        before: A prefix of the ids, if it is a table.
        date_column: The column of the days of discharge, if it is a table.
        refusals: What happens to notes that can't be read; None: they are errors.
        encoding: The encoding of a table or a plain text without a mark; None: it is found.
        by_encounter: How notes are joined to encounters; None: they aren't.

    Raises:
        DataError: If it can't be read or stored, or lacks a column.
    """
    name = STANDARD_INPUT if is_standard_input(argument) else argument
    try:
        folder = _Folder()
        path = folder.path / _Folder.NAME
        with path.open("xb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)
        with path.open("rb") as file:
            start = file.read(BEGINNING)
    except OSError as error:
        raise DataError(
            f"{name}: can't be read, or not be stored in {tempfile.gettempdir()} "
            f"({error.strerror}). Set TMPDIR to a folder with more space, or give a file."
        ) from None
    notes: NoteTable | FhirNotes | Hl7Notes | None = None
    refusals = refusals or Refusals()
    if begins_as_hl7(start):
        notes = Hl7Notes(path, before, refusals)
    elif text_column is None and begins_as_fhir(start):
        compressed = start.startswith(b"\x1f\x8b")
        path = path.rename(path.with_name(path.name + (".json.gz" if compressed else ".json")))
        notes = FhirNotes(path, before, refusals)
    elif (ending := table_ending(start, text_column)) is not None:
        path = path.rename(path.with_name(path.name + ending))
        try:
            notes = find_table(
                path, text_column, id_column, before, date_column, encoding, by_encounter
            )
        except DataError as error:
            raise DataError(str(error).replace(str(path), name)) from None
    refusals.names[str(path)] = name
    piped = Piped(name, path, notes, argument, folder, encoding)
    piped.check_columns()
    return piped


def is_standard_input(argument: str) -> bool:
    """Return whether an argument is one of the names of standard input."""
    return argument in _STANDARD_INPUTS
