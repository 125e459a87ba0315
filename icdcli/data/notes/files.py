"""New notes: text files, folders of text files, tables with a column of texts, or standard input.

They are read twice: first to count and check all of them before any expensive work, then to predict
their codes; tables are read a few rows at a time. Messages name the place of a note, never its
text.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from xxhash import xxh3_128_hexdigest

from icdcli.data.notes.tables import NoteTable
from icdcli.data.notes.text import LONGEST, Note, checked, decoded, too_long
from icdcli.errors import ConfigError, DataError
from icdcli.io.fingerprints import file_states
from icdcli.io.progress import Progress
from icdcli.io.raw_tables import list_folder
from icdcli.io.records import is_table

STANDARD_INPUT = "-"

_TEXT = ".txt"
_NOT_YET = {
    ".json": "Write it as JSONL, one object per line",
}
_BYTES = 4 * LONGEST  # a character takes at most four bytes
_BETWEEN_REPORTS = 256


class NoteFiles(Protocol):
    """One argument of a command: a text file, a folder of them, a table or standard input."""

    def state(self) -> list[str]:
        """Return strings that change when the notes do, without reading all notes."""

    def __iter__(self) -> Iterator[Note]:
        """Yield the notes, always in the same order."""


@dataclass(frozen=True)
class TextFiles:
    """Text files, with one note per file.

    Attributes:
        paths: Id to file.
        may_be_empty: Accept files without text; else they are an error.
    """

    paths: dict[str, Path]
    may_be_empty: bool

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
            if not self.may_be_empty and not note.has_text:
                raise DataError(f"{path}: is empty. Give a file with a note.")
            yield note


@dataclass(frozen=True)
class GivenText:
    """One note from standard input."""

    content: bytes

    def state(self) -> list[str]:
        """Return the hash of the note."""
        return [xxh3_128_hexdigest(self.content)]

    def __iter__(self) -> Iterator[Note]:
        """Yield the note.

        Raises:
            DataError: If it isn't text, or is a table.
        """
        name = "standard input"
        text = decoded(self.content, name)
        if text.lstrip().startswith('{"'):
            raise DataError(
                f"{name}: expected one note, but it looks like JSON. Write it to a file that ends "
                "in .jsonl."
            )
        note = Note(STANDARD_INPUT, checked(text, name))
        if not note.has_text:
            raise DataError(f"{name}: is empty. Pipe a note into it.")
        yield note


class Notes:
    """All notes of a command, in the order of its arguments.

    Attributes:
        names: The arguments.
        parts: The notes of each argument.
        without_text: The number of notes without text, after `check`.
    """

    def __init__(self, names: Sequence[str], parts: Sequence[NoteFiles]) -> None:
        self.names = names
        self.parts = parts
        self.without_text = 0

    def __iter__(self) -> Iterator[Note]:
        """Yield the notes; this can be repeated."""
        for part in self.parts:
            yield from part

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
        count = self.without_text = 0
        for count, note in enumerate(self, start=1):
            self.without_text += not note.has_text
            if on_progress and count % _BETWEEN_REPORTS == 0:
                on_progress("reading the notes", count, 0, "notes")
        if count == self.without_text:
            raise DataError("none of the notes has any text" if count else "there are no notes")
        return count


def find_notes(
    names: Sequence[str],
    standard_input: bytes = b"",
    text_column: str | None = None,
    id_column: str | None = None,
) -> Notes:
    """Find the notes of a command.

    Args:
        names: Files, folders, and ``-`` for standard input. A folder means the ``.txt`` files in it
            and below it. If there are several arguments, the ids begin with the argument.
        standard_input: The content of standard input.
        text_column: The column of notes in tables; None: ``text``.
        id_column: The column of ids in tables; None: ``id`` if there is one, else the row's number.

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
        if name == STANDARD_INPUT:
            parts.append(GivenText(standard_input))
        elif (path := Path(name)).is_dir():
            parts.append(_folder(path, f"{before}/" if before else ""))
        elif is_table(path):
            table = NoteTable(
                path, text_column or "text", id_column, f"{before}:" if before else ""
            )
            table.columns  # noqa: B018  (reports a missing column before any other work)
            parts.append(table)
        elif not path.exists():
            raise DataError(f"{name}: no such file or folder.")
        elif path.suffix.lower() in _NOT_YET:
            raise DataError(
                f"{name}: this kind of table can't be read. {_NOT_YET[path.suffix.lower()]}."
            )
        else:
            parts.append(TextFiles({_id(name): path}, may_be_empty=False))
    if (text_column or id_column) and not any(isinstance(part, NoteTable) for part in parts):
        raise ConfigError(
            "--text-column and --id-column are for tables (.csv, .jsonl, .parquet). Give a table."
        )
    return Notes(names, parts)


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


def _folder(folder: Path, before: str) -> TextFiles:
    found = sorted(_text_files(folder), key=lambda path: path.relative_to(folder).parts)
    if not found:
        tables = [path.name for path in sorted(list_folder(folder)) if is_table(path)]
        there = (
            f"It has tables. Give their names, such as {folder / tables[0]}."
            if tables
            else "Notes are files that end in .txt."
        )
        raise DataError(f"{folder}: has no notes. {there}")
    return TextFiles(
        {before + _id(path.relative_to(folder).as_posix()): path for path in found},
        may_be_empty=True,
    )


def _text_files(folder: Path) -> Iterator[Path]:
    """Yield the ``.txt`` files in and below a folder, without hidden ones and links to folders."""
    for path in list_folder(folder):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _text_files(path)
        elif path.suffix.lower() == _TEXT and path.is_file():
            yield path


def _id(name: str) -> str:
    """Return a file name as text; parts that aren't valid Unicode are replaced."""
    return name.encode(errors="surrogateescape").decode(errors="replace")
