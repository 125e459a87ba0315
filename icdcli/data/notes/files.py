"""New notes: documents, folders of them, tables with a column of texts, FHIR, HL7 v2, or pipes.

They are read twice: first to count and check all of them before any expensive work, then to predict
their codes; tables are read a few rows at a time. Messages name the place of a note, never its
text.
"""

import io
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol

from xxhash import xxh3_128_hexdigest

from icdcli.data.formats.conversion import ENDINGS_OF
from icdcli.data.formats.hl7 import HL7_ENDING, is_hl7
from icdcli.data.formats.meds import is_meds
from icdcli.data.formats.resources import is_fhir
from icdcli.data.markup import is_misread
from icdcli.data.notes.beginnings import STANDARD_INPUT
from icdcli.data.notes.database_notes import DatabaseNotes
from icdcli.data.notes.documents import DocumentFiles, kinds_of_files
from icdcli.data.notes.encounters import ByEncounter, EncounterJoiner
from icdcli.data.notes.fhir_notes import FhirNotes
from icdcli.data.notes.hl7_notes import Hl7Notes
from icdcli.data.notes.meds_notes import MedsNotes
from icdcli.data.notes.pipes import Piped, is_standard_input, reads_pipe, store_pipe
from icdcli.data.notes.refusals import Refusals
from icdcli.data.notes.tables import NoteTable, find_table
from icdcli.data.notes.text import Note
from icdcli.errors import ConfigError, DataError, counted
from icdcli.io.progress import Progress
from icdcli.io.raw_tables import list_folder
from icdcli.io.remote.paths import path_to_read
from icdcli.io.tables.database import is_database, without_password
from icdcli.io.tables.records import is_table

_BETWEEN_REPORTS = 256
_SHOWN = 3  # arguments that a message names


class NoteFiles(Protocol):
    """One argument of a command, or the notes of one format in a folder."""

    @property
    def remarks(self) -> list[str]:
        """Return how the notes were read, if that isn't obvious; known once they were read."""

    @property
    def left_out(self) -> list[str]:
        """Return warnings about files that look like notes and aren't read."""

    def state(self) -> list[str]:
        """Return strings that change when the notes do, without reading all notes."""

    def __iter__(self) -> Iterator[Note]:
        """Yield the notes, always in the same order."""


class Notes:
    """All notes of a command, in the order of its arguments.

    Attributes:
        names: The arguments.
        parts: The notes of the arguments, in their order.
        without_text: The number of notes without text, after `check`.
        misread: The number of notes that were read in a wrong encoding before, after `check`.
        by_encounter: How they are joined to encounters; None: they aren't.
    """

    def __init__(
        self,
        names: Sequence[str],
        parts: Sequence[NoteFiles],
        refusals: Refusals | None = None,
        by_encounter: ByEncounter | None = None,
    ) -> None:
        self.names = names
        self.parts = parts
        self.by_encounter = by_encounter
        self._joiner = None if by_encounter is None else EncounterJoiner(by_encounter)
        self._refusals = refusals or Refusals()
        self.without_text = self.misread = 0

    def __iter__(self) -> Iterator[Note]:
        """Yield the notes, or encounters; this can be repeated."""
        self._refusals.begin()
        notes = chain.from_iterable(self.parts)
        yield from notes if self._joiner is None else self._joiner.join(notes)

    @property
    def remarks(self) -> list[str]:
        """Return how notes were read if that isn't obvious, after `check`."""
        joined = [] if self._joiner is None else self._joiner.remarks
        return [*(remark for part in self.parts for remark in part.remarks), *joined]

    @property
    def left_out(self) -> list[str]:
        """Return warnings about files and notes that aren't read, after `check`."""
        warnings = [warning for part in self.parts for warning in part.left_out]
        return [*warnings, *self._refusals.warnings]

    @cached_property
    def state(self) -> str:
        """Return a hash of the arguments and of each file's state."""
        words = [*self.names, *(word for part in self.parts for word in part.state())]
        words += ["skip"] if self._refusals.skip else []
        words += [self._joiner.state] if self._joiner is not None else []
        return xxh3_128_hexdigest("\n".join(words).encode(errors="surrogateescape"))

    def check(
        self,
        on_progress: Progress | None = None,
        require: Callable[[Note], None] | None = None,
    ) -> int:
        """Read and count all notes.

        Args:
            on_progress: Receives the progress.
            require: Raises an error if a note can't be used.

        Returns:
            The number of notes.

        Raises:
            DataError: If a note can't be read, or none has text.
        """
        count = self.without_text = self.misread = 0
        for count, note in enumerate(self, start=1):
            self.without_text += not note.has_text
            self.misread += is_misread(note.text)
            if require is not None:
                require(note)
            if on_progress and count % _BETWEEN_REPORTS == 0:
                on_progress("reading the notes", count, 0, "notes")
        self.without_text -= self._refusals.count
        if count == self.without_text + self._refusals.count:
            raise DataError(self._nothing_to_read(count))
        return count

    def _nothing_to_read(self, count: int) -> str:
        """Return the message of an error: there are notes without text, or none."""
        shown = [STANDARD_INPUT if is_standard_input(name) else name for name in self.names]
        where = ", ".join(_id(without_password(name)) for name in shown[:_SHOWN])
        where += ", …" if len(shown) > _SHOWN else ""
        found = "none of the notes has any text" if count else "there are no notes"
        how = f" ({'; '.join(self.remarks)})" if self.remarks else ""
        return f"{where}: {found}{how}. Give a file with the texts of notes."


def find_notes(
    names: Sequence[str],
    standard_input: bytes | BinaryIO | None = None,
    text_column: str | None = None,
    id_column: str | None = None,
    date_column: str | None = None,
    skip_unreadable: bool | None = None,
    encoding: str | None = None,
    by_encounter: ByEncounter | None = None,
) -> Notes:
    """Find the notes of a command.

    Args:
        names: Files, folders, their URLs, pipes, addresses of databases, and ``-`` for standard
            input. A folder means the documents in it and below it. If there are several arguments,
            the ids begin with the argument.
        standard_input: What ``-`` means; None: the standard input of this process.
        text_column: The column of notes in tables; None: ``text``.
        id_column: The column of ids in tables; None: ``id`` if there is one, else the row's number.
        date_column: The column of the days of discharge in tables; None: they are unknown.
        skip_unreadable: Whether documents that can't be read count as notes without text; None: no,
            and messages don't name the option.
        encoding: The encoding of plain texts and tables without a mark; None: it is found in their
            content, or is UTF-8.
        by_encounter: How notes are joined to encounters; None: they aren't.

    Raises:
        DataError: If a file doesn't exist, can't be read or lacks a column.
        ConfigError: If columns are given without a table, or an argument is given twice.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f"{twice[0]}: is given twice.")
    parts: list[NoteFiles] = []
    refusals = Refusals(skip_unreadable)
    for name in names:
        before = _id(name.rstrip("/")) if len(names) > 1 else ""
        own = f"{before}:" if before else ""
        path = Path(name) if is_database(name) else path_to_read(name)
        if is_database(name):
            _refuse_columns(text_column, id_column, by_encounter or ByEncounter())
            shown = f"{without_password(name)}:" if len(names) > 1 else ""
            parts.append(DatabaseNotes(name, shown, date_column, by_encounter is not None))
        elif reads_pipe(name):
            with _opened(name, standard_input) as stream:
                columns = (text_column, id_column, own, date_column)
                parts.append(
                    store_pipe(stream, _id(name), *columns, refusals, encoding, by_encounter)
                )
        elif text_column is None and is_meds(path):
            parts.append(MedsNotes(path, own))
        elif path.is_dir() and not is_table(path):
            parts += _folder(path, f"{before}/" if before else "", refusals, encoding)
        elif text_column is None and (found := _several(path, own, refusals)) is not None:
            parts.append(found)
        elif is_table(path):
            columns = (text_column, id_column, own, date_column)
            table = find_table(path, *columns, encoding, by_encounter)
            table.columns  # noqa: B018  (reports a missing column before any other work)
            parts.append(table)
        elif not path.exists():
            raise DataError(f"{name}: no such file or folder.")
        else:
            parts.append(DocumentFiles({_id(name): path}, refusals=refusals, encoding=encoding))
    by = by_encounter or ByEncounter()
    of_tables = (text_column, id_column, date_column, by.encounter_column, by.time_column)
    if any((*of_tables, by.note_type_column, by.subject_column)) and not any(map(_is_table, parts)):
        raise ConfigError(
            "--text-column, --id-column and the other columns are for tables (.csv, .jsonl, "
            ".parquet). Give a table."
        )
    return Notes(names, parts, refusals, by_encounter)


def _refuse_columns(text: str | None, id: str | None, by: ByEncounter) -> None:
    """Raise an error if columns are named that aren't read from a database."""
    columns = {
        "--text-column": text,
        "--id-column": id,
        "--encounter-column": by.encounter_column,
        "--time-column": by.time_column,
        "--note-type-column": by.note_type_column,
        "--subject-column": by.subject_column,
    }
    if named := ", ".join(option for option, column in columns.items() if column):
        instead = "Leave this out" + (", and pass --by-encounter" if by.encounter_column else "")
        raise ConfigError(
            f"{named}: of a database, the columns of OMOP's table NOTE are read. {instead}; "
            "predict other tables in a call of their own."
        )


def _is_table(part: NoteFiles) -> bool:
    return isinstance(part, NoteTable | DatabaseNotes) or (
        isinstance(part, Piped) and part.table is not None
    )


@contextmanager
def _opened(name: str, standard_input: bytes | BinaryIO | None) -> Iterator[BinaryIO]:
    """Open a pipe."""
    if not is_standard_input(name):
        try:
            with Path(name).open("rb") as file:
                yield file
        except OSError as error:
            raise DataError(f"{name}: can't be read ({error.strerror}).") from None
    elif isinstance(standard_input, bytes):
        yield io.BytesIO(standard_input)
    else:
        yield standard_input or sys.stdin.buffer


def _several(path: Path, before: str, refusals: Refusals) -> NoteFiles | None:
    """Return the notes of a file with FHIR resources or HL7 messages; None: it has neither."""
    if is_fhir(path):
        return FhirNotes(path, before, refusals)
    return Hl7Notes(path, before, refusals) if is_hl7(path) else None


def _folder(folder: Path, before: str, refusals: Refusals, encoding: str | None) -> list[NoteFiles]:
    documents: list[Path] = []
    several: list[Path] = []
    others = Counter[str]()
    tables: list[Path] = []
    for path in _files(folder):
        if path.suffix.lower() in ENDINGS_OF:
            documents.append(path)
        elif is_fhir(path) or path.suffix.lower() == HL7_ENDING:
            several.append(path)
        else:
            ending = "".join(path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:])
            others[ending.lower() or "without an ending"] += 1
            if is_table(path):
                tables.append(path)
    if not documents and not several:
        there = f" It has {counted(others.total(), 'other file')} ({kinds_of_files(others)})."
        what = (
            f"It has tables. Give their names, such as {min(tables)}."
            if tables
            else f"Notes are files that end in {', '.join(ENDINGS_OF)}.{there if others else ''}"
        )
        raise DataError(f"{folder}: has no notes. {what}")

    def ids(paths: list[Path]) -> dict[str, Path]:
        paths.sort(key=lambda path: path.relative_to(folder).parts)
        return {before + _id(path.relative_to(folder).as_posix()): path for path in paths}

    parts: list[NoteFiles] = [DocumentFiles(ids(documents), folder, others, refusals, encoding)]
    for id, path in ids(several).items():
        kind = FhirNotes if is_fhir(path) else Hl7Notes
        parts.append(kind(path, f"{id}:", refusals))
    return parts


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files in and below a folder, without hidden ones and links to folders.

    Raises:
        DataError: If a folder can't be read, or a link to a note leads nowhere.
    """
    for path in list_folder(folder):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if not path.is_symlink():
                yield from _files(path)
        elif path.suffix.lower() in ENDINGS_OF and not path.exists():
            raise DataError(
                f"{path}: is a link to a file that doesn't exist. Correct or remove it."
            )
        else:
            yield path


def _id(name: str) -> str:
    r"""Return a file name as text; bytes that aren't valid Unicode are written as ``\xff``.

    Names that differ must give ids that differ: a note whose id is already written is skipped.
    """
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
