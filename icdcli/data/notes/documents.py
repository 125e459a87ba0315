"""New notes with a file each: plain text, or a document that is converted to text."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from icdcli.data.formats.conversion import (
    ENDINGS_OF,
    NAMES,
    TEXT,
    converted,
    media_type_of,
)
from icdcli.data.formats.hl7 import begins_as_hl7
from icdcli.data.notes.beginnings import refuse_table
from icdcli.data.notes.refusals import Refusals
from icdcli.data.notes.text import Note, Origin, checked, decoded_note, read_note, too_long
from icdcli.errors import DataError, counted
from icdcli.io.fingerprints import file_states

_SHOWN = 6  # kinds of files that a message names
_LONGEST_DOCUMENT = 256 << 20  # bytes: a scan with recognized text, or a page with pictures


@dataclass(frozen=True)
class DocumentFiles:
    """Files with one note each.

    Attributes:
        paths: Id to file.
        folder: The folder that they were found in; None: they were given by name.
        others: Kind to the number of other files in the folder, which aren't read.
        refusals: What happens to notes that can't be read.
        encoding: The encoding of plain text without a mark; None: UTF-8, or what it shows.
    """

    paths: dict[str, Path]
    folder: Path | None = None
    others: Mapping[str, int] = field(default_factory=dict)
    refusals: Refusals = field(default_factory=Refusals)
    encoding: str | None = None
    _converted: Counter[str] = field(default_factory=Counter, repr=False, compare=False)
    _encodings: Counter[str] = field(default_factory=Counter, repr=False, compare=False)

    @property
    def remarks(self) -> list[str]:
        """Return how files were read and converted, if that isn't obvious, after all were read."""
        return [*encoding_remarks(self._encodings, self.folder, self.paths), *self._conversions()]

    def _conversions(self) -> list[str]:
        if not self._converted:
            return []
        if self.folder is None:
            (path,), (kind,) = self.paths.values(), self._converted
            return [f"{path} is converted from {NAMES[kind]} to text"]
        counts = ", ".join(f"{number:,} {NAMES[kind]}" for kind, number in self._converted.items())
        return [
            f"{self.folder}: {self._converted.total():,} files are converted to text ({counts})"
        ]

    @property
    def left_out(self) -> list[str]:
        """Return a warning about the other files."""
        if not self.others or self.folder is None:
            return []
        number = counted(sum(self.others.values()), "file")
        return [
            f"{self.folder}: {number} left out ({kinds_of_files(self.others)}), since of a folder "
            f"only {', '.join(ENDINGS_OF)}, .hl7 and FHIR in .json or .ndjson are read. Rename or "
            "convert them, or give tables by their names"
        ]

    def state(self) -> list[str]:
        """Return the state of each file (`file_states`)."""
        states = file_states(list(self.paths.values())).values()
        return [*(state.key for state in states), *([self.encoding] if self.encoding else [])]

    def __iter__(self) -> Iterator[Note]:
        """Yield the note of each file.

        Raises:
            DataError: If a file can't be read or converted.
        """
        self._converted.clear()
        self._encodings.clear()
        for id, path in self.paths.items():
            yield self.refusals.read(id, partial(self._note, id, path), self.folder is not None)

    def _note(self, id: str, path: Path) -> Note:
        try:
            with path.open("rb") as file:
                document = read_document(file, id, str(path), path, self.encoding)
        except OSError as error:
            raise DataError(f"{path}: can't be read ({error.strerror}).") from None
        note = document.note
        if self.folder is None and not note.has_text:
            raise DataError(f"{path}: is empty. Give a file with a note.")
        if note.origin is not None:
            self._converted[note.origin.media_type] += 1
        elif self.folder is None:
            refuse_table(document.content, str(path))
        if document.encoding is not None:
            self._encodings[document.encoding] += 1
        return note


class ReadDocument(NamedTuple):
    """A note from a document.

    Attributes:
        note: The note.
        content: The bytes of the document.
        encoding: The encoding of a plain text that isn't in Unicode.
    """

    note: Note
    content: bytes
    encoding: str | None = None


def encoding_remarks(
    found: Mapping[str, int], folder: Path | None, names: Iterable[str]
) -> list[str]:
    """Return which plain texts were read in another encoding than those of Unicode.

    Args:
        found: Encoding to the number of texts.
        folder: Their folder; None: it is one file.
        names: The names of the files.
    """
    if folder is None:
        return [f"{name} is read as {encoding}" for name in names for encoding in found]
    return [
        f"{folder}: {counted(number, 'file')} read as {encoding}"
        for encoding, number in found.items()
    ]


def read_document(
    file: BinaryIO, id: str, name: str, path: Path | None = None, encoding: str | None = None
) -> ReadDocument:
    """Read a note from a file with a document.

    Args:
        file: The file.
        id: The id of the note.
        name: Its name in messages.
        path: The file, whose ending may show the format; None: it has no name.
        encoding: The encoding of plain text without a mark; None: UTF-8, or what it shows.

    Raises:
        DataError: If it can't be read or converted.
    """
    start = file.read(1 << 16)
    if begins_as_hl7(start):
        raise DataError(f"{name}: is HL7 v2, not one note. Give it a name that ends in .hl7.")
    ending = path.suffix.lower() if path is not None else ""
    media_type = media_type_of(start, ENDINGS_OF.get(ending))
    if media_type == TEXT:
        content = start + read_note(file.read, name)
        text, other = decoded_note(content, name, encoding)
        return ReadDocument(Note(id, checked(text, name)), content, other)
    content = start + file.read(_LONGEST_DOCUMENT)
    if len(content) >= _LONGEST_DOCUMENT:
        raise too_long(name)
    found = converted(content, media_type, name)
    origin = Origin(found.media_type, found.sha256)
    return ReadDocument(Note(id, checked(found.text, name), None, origin), content)


def kinds_of_files(others: Mapping[str, int]) -> str:
    """Return kinds of files with their numbers, the most frequent first."""
    ordered = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    more = sum(count for _, count in ordered[_SHOWN:])
    shown = [f"{count:,} {kind}" for kind, count in ordered[:_SHOWN]]
    return ", ".join([*shown, *([f"{more:,} of other kinds"] if more else [])])
