"""Room for the scores of a split: in memory, or in a file if they are many.

Shapes: N documents, L labels.
"""

import shutil
import tempfile
from collections.abc import Iterable
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from icdcli.io.progress import Progress

IN_MEMORY = 256 * 2**20
"""The most bytes of one matrix in memory; more are in a file that the system pages in and out."""

_DOCUMENTS = 256
"""The documents that a lexical model scores at once."""


class TextScorer(Protocol):
    """What scores texts by several parts: a lexical model."""

    def scores(self, texts: list[str]) -> dict[str, NDArray[np.float32]]:
        """Return the scores_NL of each part."""


def zeros(rows: int, columns: int, dtype: type[Any]) -> NDArray[Any]:
    """Return a matrix of zeros in memory, or in a temporary file."""
    size = rows * columns * np.dtype(dtype).itemsize
    # A mapped file that fills its disk would kill the process: use memory if space is short.
    if size <= IN_MEMORY or shutil.disk_usage(tempfile.gettempdir()).free < 2 * size:
        return np.zeros((rows, columns), dtype)
    with tempfile.TemporaryFile(prefix="icdcode-") as file:
        return np.memmap(file, dtype, "w+", shape=(rows, columns))


def part_scores(
    model: TextScorer,
    texts: Iterable[str],
    documents: int,
    on_progress: Progress | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Return the scores_NL of each part of a lexical model, computed a few documents at a time.

    Args:
        model: The lexical model.
        texts: The documents.
        documents: Their number, N.
        on_progress: Reports how many are scored.
    """
    remaining, place = iter(texts), 0
    parts: dict[str, NDArray[np.float32]] = {}
    while (block := list(islice(remaining, _DOCUMENTS))) or not parts:
        found = model.scores(block)
        if not found:
            break
        if not parts:
            parts = {
                name: zeros(documents, part_BL.shape[1], np.float32)
                for name, part_BL in found.items()
            }
        for name, part_BL in found.items():
            parts[name][place : place + len(block)] = part_BL
        place += len(block)
        if on_progress is not None:
            on_progress("scoring with the lexical model", place, documents)
    return parts
