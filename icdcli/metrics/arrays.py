"""Types of the arrays that metrics handle, and blocks of rows that bound the memory."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]
Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.number]

_BLOCK = 1 << 22


def missed_by_row(targets_RC: Booleans, unscored_RC: Booleans | None) -> Integers:
    """Count the positives of each row (R,) that have no score, which no ranking can find.

    Args:
        targets_RC: True for positives.
        unscored_RC: True for pairs without a score; None: all have one.
    """
    if unscored_RC is None:
        return np.zeros(len(targets_RC), np.int64)
    missed_R: Integers = np.asarray((targets_RC & unscored_RC).sum(axis=1))
    return missed_R


def row_blocks(rows: int, columns: int, size: int | None = None) -> Iterator[slice]:
    """Return slices of consecutive rows; working on one at a time bounds the memory.

    Args:
        rows: The number of rows of an array.
        columns: The number of its columns.
        size: The most elements of a slice, which has at least one row; None: four million.
    """
    height = max(1, (_BLOCK if size is None else size) // columns)
    return (slice(start, start + height) for start in range(0, rows, height))
