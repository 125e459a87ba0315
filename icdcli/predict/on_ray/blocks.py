"""Blocks of notes on their way to the workers, and the parts of the file on their way back.

Ray Data moves tables. A table here has one row and one column: a pickled `NumberedBlock` or
`CodedPart`.
"""

import os
import pickle
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from icdcli.data.notes.text import Note
from icdcli.errors import IcdcodeError
from icdcli.predict.batches import CutNotes, note_blocks

_SCHEMA = pa.schema([("content", pa.large_binary())])
_NONE = CutNotes()


@dataclass(frozen=True)
class NumberedBlock:
    """A block of notes.

    Attributes:
        number: The number of its part of the file.
        first: The number of its first note, from 0.
        size: The number of its notes.
        notes: The notes; None: an earlier call has written the part.
        problem: The error that stopped the reading at this block; None: none did.
    """

    number: int
    first: int
    size: int
    notes: Sequence[Note] | None = None
    problem: IcdcodeError | OSError | None = None


@dataclass(frozen=True)
class CodedPart:
    """The part of the file that a worker made from a block.

    Attributes:
        number: The number of the part.
        size: The number of its notes.
        content: The part as it is stored; None: an earlier call has written it.
        cut: Those of its notes of which the model reads only the beginning.
        attempt: How many times workers have begun it, this time included.
        warnings: Warnings of the worker that coded it.
        problem: The error that prevented the part; None: there was none.
    """

    number: int
    size: int
    content: bytes | None = None
    cut: CutNotes = _NONE
    attempt: int = 0
    warnings: tuple[str, ...] = ()
    problem: Exception | None = None


def numbered_blocks(
    notes: Iterable[Note], written: Set[int], max_notes: int
) -> Iterator[NumberedBlock]:
    """Yield all blocks; those whose part is already written come without their notes.

    Args:
        notes: All notes.
        written: The numbers of the parts that are written.
        max_notes: The most notes of a block.
    """
    number = first = 0
    try:
        for number, block in enumerate(note_blocks(notes, max_notes)):
            yield NumberedBlock(
                number, first, len(block), None if number in written else tuple(block)
            )
            first += len(block)
    except (IcdcodeError, OSError) as error:
        # Raised in another process, it would arrive as an error of Ray.
        yield NumberedBlock(number + 1, first, 0, problem=error)


def packed_row(value: NumberedBlock | CodedPart) -> pa.Table:
    """Return a value as a table."""
    return pa.table({"content": [pickle.dumps(value)]}, schema=_SCHEMA)


def unpacked_rows(table: pa.Table) -> list[Any]:
    """Return the values of a table."""
    return [pickle.loads(content) for content in table.column("content").to_pylist()]


@dataclass(frozen=True)
class BlockReader:
    """Reads the blocks in a Ray process on this computer.

    Attributes:
        notes: All notes.
        written: The numbers of the parts that are written.
        max_notes: The most notes of a block.
        folder: The current folder, to which the paths of notes are relative.
    """

    notes: Iterable[Note]
    written: Set[int]
    max_notes: int
    folder: Path

    def __call__(self) -> Iterator[pa.Table]:
        """Yield the blocks."""
        os.chdir(self.folder)
        yield from map(packed_row, numbered_blocks(self.notes, self.written, self.max_notes))
