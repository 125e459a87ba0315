"""New notes: text files, folders of text files, tables with a column of texts, or pipes.

They are read twice: first to count and check all of them before any expensive work, then to predict
their codes; tables are read a few rows at a time. Messages name the place of a note, never its
text.
"""

import io
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Protocol

from xxhash import xxh3_128_hexdigest

from icdcli.data.markup import is_misread
from icdcli.data.notes.pipes import STANDARD_INPUT, Piped, reads_pipe, refuse_table, store_pipe
from icdcli.data.notes.tables import NoteTable
from icdcli.data.notes.text import Note, checked, decoded, read_note
from icdcli.errors import ConfigError, DataError
from icdcli.io.fingerprints import file_states
from icdcli.io.progress import Progress
from icdcli.io.raw_tables import list_folder
from icdcli.io.tables.records import is_table

_TEXT = ".txt"
_SHOWN = 6  # kinds of files that a message names
_BETWEEN_REPORTS = 256


class NoteFiles(Protocol):
    """One argument of a command: a text file, a folder of them, a table or a pipe."""

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


@dataclass(frozen=True)
class TextFiles:
    """Text files, with one note per file.

    Attributes:
        paths: Id to file.
        folder: The folder that they were found in; None: they were given by name.
        others: Kind to the number of other files in the folder, which aren't read.
    """

    paths: dict[str, Path]
    folder: Path | None = None
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def remarks(self) -> list[str]:
        """Return nothing: there is one way to read text files."""
        return []

    @property
    def left_out(self) -> list[str]:
        """Return a warning about the other files."""
        if not self.others or self.folder is None:
            return []
        return [
            f"{self.folder}: {_counted(sum(self.others.values()), 'file')} left out "
            f"({_kinds(self.others)}), since only {_TEXT} files of a folder are read. Rename text "
            f"files to {_TEXT} or give their names; convert others to plain text"
        ]

    def state(self) -> list[str]:
        """Return the state of each file (`file_states`)."""
        return [state.key for state in file_states(list(self.paths.values())).values()]

    def __iter__(self) -> Iterator[Note]:
        """Yield the note of each file.

        Raises:
            DataError: If a file can't be read or isn't text.
        """
        for id, path in self.paths.items():
            try:
                with path.open("rb") as file:
                    content = read_note(file.read, str(path))
            except OSError as error:
                raise DataError(f"{path}: can't be read ({error.strerror}).") from None
            note = Note(id, checked(decoded(content, str(path)), str(path)))
            if self.folder is None and not note.has_text:
                raise DataError(f"{path}: is empty. Give a file with a note.")
            if self.folder is None:
                refuse_table(content, str(path))
            yield note


class Notes:
    """All notes of a command, in the order of its arguments.

    Attributes:
        names: The arguments.
        parts: The notes of each argument.
        without_text: The number of notes without text, after `check`.
        misread: The number of notes that were read in a wrong encoding before, after `check`.
    """

    def __init__(self, names: Sequence[str], parts: Sequence[NoteFiles]) -> None:
        self.names = names
        self.parts = parts
        self.without_text = self.misread = 0

    def __iter__(self) -> Iterator[Note]:
        """Yield the notes; this can be repeated."""
        for part in self.parts:
            yield from part

    @property
    def remarks(self) -> list[str]:
        """Return how notes were read if that isn't obvious, after `check`."""
        return [remark for part in self.parts for remark in part.remarks]

    @property
    def left_out(self) -> list[str]:
        """Return warnings about files that look like notes and aren't read."""
        return [warning for part in self.parts for warning in part.left_out]

    @cached_property
    def state(self) -> str:
        """Return a hash of the arguments and of each file's state."""
        words = [
            word
            for name, part in zip(self.names, self.parts, strict=True)
            for word in (name, *part.state())
        ]
        return xxh3_128_hexdigest("\n".join(words).encode(errors="surrogateescape"))

    def check(self, on_progress: Progress | None = None) -> int:
        """Read and count all notes.

        Returns:
            The number of notes.

        Raises:
            DataError: If a note can't be read, or none has text.
        """
        count = self.without_text = self.misread = 0
        for count, note in enumerate(self, start=1):
            self.without_text += not note.has_text
            self.misread += is_misread(note.text)
            if on_progress and count % _BETWEEN_REPORTS == 0:
                on_progress("reading the notes", count, 0, "notes")
        if count == self.without_text:
            raise DataError("none of the notes has any text" if count else "there are no notes")
        return count


def find_notes(
    names: Sequence[str],
    standard_input: bytes | BinaryIO | None = None,
    text_column: str | None = None,
    id_column: str | None = None,
    date_column: str | None = None,
) -> Notes:
    """Find the notes of a command.

    Args:
        names: Files, folders, pipes, and ``-`` for standard input. A folder means the ``.txt``
            files in it and below it. If there are several arguments, the ids begin with the
            argument.
        standard_input: What ``-`` means; None: the standard input of this process.
        text_column: The column of notes in tables; None: ``text``.
        id_column: The column of ids in tables; None: ``id`` if there is one, else the row's number.
        date_column: The column of the days of discharge in tables; None: they are unknown.

    Raises:
        DataError: If a file doesn't exist, can't be read or lacks a column.
        ConfigError: If columns are given without a table, or an argument is given twice.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f"{twice[0]}: is given twice.")
    parts: list[NoteFiles] = []
    for name in names:
        before = _id(name.rstrip("/")) if len(names) > 1 else ""
        path = Path(name)
        if reads_pipe(name):
            own = f"{before}:" if before else ""
            with _opened(name, standard_input) as stream:
                parts.append(
                    store_pipe(stream, _id(name), text_column, id_column, own, date_column)
                )
        elif path.is_dir() and not is_table(path):
            parts.append(_folder(path, f"{before}/" if before else ""))
        elif is_table(path):
            table = NoteTable(
                *(path, text_column or "text", id_column, f"{before}:" if before else ""),
                date_column,
            )
            table.columns  # noqa: B018  (reports a missing column before any other work)
            parts.append(table)
        elif not path.exists():
            raise DataError(f"{name}: no such file or folder.")
        else:
            parts.append(TextFiles({_id(name): path}))
    if (text_column or id_column or date_column) and not any(map(_is_table, parts)):
        raise ConfigError(
            "--text-column, --id-column and --date-column are for tables (.csv, .jsonl, .parquet). "
            "Give a table."
        )
    return Notes(names, parts)


def _is_table(part: NoteFiles) -> bool:
    return isinstance(part, NoteTable) or (isinstance(part, Piped) and part.table is not None)


@contextmanager
def _opened(name: str, standard_input: bytes | BinaryIO | None) -> Iterator[BinaryIO]:
    """Open a pipe."""
    if name != STANDARD_INPUT:
        try:
            with Path(name).open("rb") as file:
                yield file
        except OSError as error:
            raise DataError(f"{name}: can't be read ({error.strerror}).") from None
    elif isinstance(standard_input, bytes):
        yield io.BytesIO(standard_input)
    else:
        yield standard_input or sys.stdin.buffer


def _folder(folder: Path, before: str) -> TextFiles:
    texts: list[Path] = []
    others = Counter[str]()
    tables: list[Path] = []
    for path in _files(folder):
        if path.suffix.lower() == _TEXT:
            texts.append(path)
        else:
            ending = "".join(path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:])
            others[ending.lower() or "without an ending"] += 1
            if is_table(path):
                tables.append(path)
    if not texts:
        there = f" It has {_counted(others.total(), 'other file')} ({_kinds(others)})."
        what = (
            f"It has tables. Give their names, such as {min(tables)}."
            if tables
            else f"Notes are files that end in {_TEXT}.{there if others else ''}"
        )
        raise DataError(f"{folder}: has no notes. {what}")
    texts.sort(key=lambda path: path.relative_to(folder).parts)
    return TextFiles(
        {before + _id(path.relative_to(folder).as_posix()): path for path in texts}, folder, others
    )


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
        elif path.suffix.lower() == _TEXT and not path.exists():
            raise DataError(
                f"{path}: is a link to a file that doesn't exist. Correct or remove it."
            )
        else:
            yield path


def _kinds(others: Mapping[str, int]) -> str:
    """Return kinds of files with their numbers, the most frequent first."""
    ordered = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    more = sum(count for _, count in ordered[_SHOWN:])
    shown = [f"{count:,} {kind}" for kind, count in ordered[:_SHOWN]]
    return ", ".join([*shown, *([f"{more:,} of other kinds"] if more else [])])


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _id(name: str) -> str:
    r"""Return a file name as text; bytes that aren't valid Unicode are written as ``\xff``.

    Names that differ must give ids that differ: a note whose id is already written is skipped.
    """
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
