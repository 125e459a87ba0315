"""What a writer of predicted codes receives and is."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from icdcli import __version__
from icdcli.data.notes.text import Note
from icdcli.predict.batches import CodedNote


class ModelName(NamedTuple):
    """What names a model in results.

    Attributes:
        name: The name of its run.
        sha256: The hash of its checkpoint's manifest.
    """

    name: str
    sha256: str

    def __str__(self) -> str:
        """Return the program, the model and the first digits of its hash."""
        return f"icdcode {__version__}, model {self.name}@{self.sha256[:12]}"


class CodedBlock(NamedTuple):
    """A block of notes with their codes.

    Attributes:
        notes: The notes.
        coded: Their codes, in the same order.
        started: When the first call that writes the file began; an interrupted call keeps it.
    """

    notes: Sequence[Note]
    coded: Sequence[CodedNote]
    started: datetime


@dataclass(frozen=True)
class Format:
    """A file format for predicted codes.

    Attributes:
        ending: The ending of the parts' names.
        write: Writes a part.
        join: Joins parts, in order, to the complete file.
        gather: Joins complete files, in order, to the one that all their parts would make.
        require: Raises an error if the format can't hold a note; None: it holds any.
    """

    ending: str
    write: Callable[[Path, CodedBlock], None]
    join: Callable[[Path, Iterable[Path]], None]
    gather: Callable[[Path, Iterable[Path]], None]
    require: Callable[[Note], None] | None = None


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines, which have their ends, in UTF-8."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)
