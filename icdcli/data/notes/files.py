"""Notes to be coded, from wherever they lie: text files, folders of them, tables with a column of texts, standard input.

Nothing is known of them beforehand, so they are read twice: once to count them and to see that all of them can be read,
before anything costly is done with the first, and once to code them; tables a few rows at a time. What is said of a note
that can't be read names its place, never its text.
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
    ".tsv": "save it as CSV, with commas",
    ".json": "write it as JSONL, one object per line",
    ".ndjson": "name it .jsonl",
}
_BYTES = 4 * LONGEST  # a character takes four bytes at most
_BETWEEN_REPORTS = 256


class NoteFiles(Protocol):
    """One thing that was named: a text file, a folder of them, a table, standard input."""

    def state(self) -> list[str]:
        """What changes when the notes do, known without reading them all."""

    def __iter__(self) -> Iterator[Note]:
        """The notes, in the same order every time."""


@dataclass(frozen=True)
class TextFiles:
    """Text files, a note each.

    Attributes:
        paths: Id to file.
        may_be_empty: Whether one without text is passed over rather than refused.
    """

    paths: dict[str, Path]
    may_be_empty: bool

    def state(self) -> list[str]:
        """Name, size and time of the last change of each file."""
        return list(file_states(list(self.paths.values())).values())

    def __iter__(self) -> Iterator[Note]:
        """Read one file after the other.

        Raises:
            DataError: When one can't be read, or is no text.
        """
        for id, path in self.paths.items():
            try:
                with path.open("rb") as file:
                    content = read_note(file.read, str(path))
            except OSError as error:
                raise DataError(f"{path}: can't be read ({error.strerror})") from None
            note = Note(id, checked(decoded(content, str(path)), str(path)))
            if not self.may_be_empty and not note.has_text:
                raise DataError(f"{path}: is empty; give a file with a note in it")
            yield note


@dataclass(frozen=True)
class GivenText:
    """One note that came through standard input."""

    content: bytes

    def state(self) -> list[str]:
        """The hash of the note."""
        return [xxh3_128_hexdigest(self.content)]

    def __iter__(self) -> Iterator[Note]:
        """The note.

        Raises:
            DataError: When it is no text, or a table.
        """
        name = "standard input"
        text = decoded(self.content, name)
        if text.lstrip().startswith('{"'):
            raise DataError(
                f"{name}: is one note, and this looks like JSON; write it into a file that ends in .jsonl"
            )
        note = Note(STANDARD_INPUT, checked(text, name))
        if not note.has_text:
            raise DataError(f"{name}: is empty; pipe a note into it")
        yield note


class Notes:
    """All notes that were asked for, in the order that they were named in.

    Attributes:
        names: What was named.
        parts: Its notes.
        without_text: How many have no text, as `check` found.
    """

    def __init__(self, names: Sequence[str], parts: Sequence[NoteFiles]) -> None:
        self.names = names
        self.parts = parts
        self.without_text = 0

    def __iter__(self) -> Iterator[Note]:
        """The notes, as often as they are asked for."""
        for part in self.parts:
            yield from part

    @cached_property
    def state(self) -> str:
        """A hash that changes when what was named does, or a file: by its size and time of the last change."""
        words = [
            word
            for name, part in zip(self.names, self.parts, strict=True)
            for word in (name, *part.state())
        ]
        return xxh3_128_hexdigest("\n".join(words).encode(errors="surrogateescape"))

    def check(self, on_progress: Progress | None = None) -> int:
        """Read all notes and count them.

        Returns:
            How many there are.

        Raises:
            DataError: When one of them can't be read, or none has any text.
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
    """Find the notes that a command was given.

    Args:
        names: Files, folders, and ``-`` for standard input. A folder stands for the ``.txt`` files in it and below it. Where
            several are named, their notes' ids begin with the name.
        standard_input: What came through standard input.
        text_column: The tables' column of notes; None: ``text``.
        id_column: The tables' column of ids; None: ``id`` where there is one, else a row's number is its id.

    Raises:
        DataError: When one is not there, is of a kind that can't be read, or has no such column.
        ConfigError: When columns are named but no table, or one thing twice.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f"{twice[0]}: is named twice")
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
            table.columns  # noqa: B018  (a column that is missing is told before anything else is done)
            parts.append(table)
        elif not path.exists():
            raise DataError(f"{name}: there is no such file or folder")
        elif path.suffix.lower() in _NOT_YET:
            raise DataError(
                f"{name}: this kind of table can't be read; {_NOT_YET[path.suffix.lower()]}"
            )
        else:
            parts.append(TextFiles({_id(name): path}, may_be_empty=False))
    if (text_column or id_column) and not any(isinstance(part, NoteTable) for part in parts):
        raise ConfigError(
            "--text-column and --id-column are for tables (.csv, .jsonl, .parquet), and none is named"
        )
    return Notes(names, parts)


def read_note(read: Callable[[int], bytes], name: str) -> bytes:
    """All bytes of a file, or of standard input, and no more of them than a note may have.

    Args:
        read: Gives at most so many bytes.
        name: What the note is called in messages.

    Raises:
        DataError: When there are more.
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
            f"; it has tables: name them, such as {folder / tables[0]}"
            if tables
            else "; notes are files that end in .txt"
        )
        raise DataError(f"{folder}: holds no notes{there}")
    return TextFiles(
        {before + _id(path.relative_to(folder).as_posix()): path for path in found},
        may_be_empty=True,
    )


def _text_files(folder: Path) -> Iterator[Path]:
    """The ``.txt`` files of a folder and of those in it, hidden ones and links to folders left out."""
    for path in list_folder(folder):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _text_files(path)
        elif path.suffix.lower() == _TEXT and path.is_file():
            yield path


def _id(name: str) -> str:
    """A file's name as text; one that is no valid Unicode, which some systems allow, with marks where it isn't."""
    return name.encode(errors="surrogateescape").decode(errors="replace")
