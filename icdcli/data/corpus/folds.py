"""Folds of documents for cross-fitting: the documents of a patient are in one fold.

Which fold a document is in follows from its patient's id, or from its own without patients, and
from nothing else: every run and every tool that asks for as many folds of the same documents gets
the same ones.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from icdcli.errors import ConfigError


class HeldOutFold(NamedTuple):
    """The fold that a model doesn't see.

    Attributes:
        fold: Its number, counted from 1.
        folds: The number of folds.
    """

    fold: int
    folds: int

    @classmethod
    def of(cls, text: str) -> "HeldOutFold":
        """Return the fold of a text like ``2/5``; see ``held_out_fold`` of the configuration."""
        fold, folds = text.split("/")
        return cls(int(fold), int(folds))

    def __str__(self) -> str:
        return f"{self.fold}/{self.folds}"


def fold_of(
    ids: Sequence[str], subject_ids: Sequence[str | None], folds: int, seed: int = 0
) -> NDArray[np.int64]:
    """Return the fold of each document, counted from 0.

    Patients are put in the order of a hash of their ids, and each comes into the fold that has the
    fewest documents so far.

    Args:
        ids: The documents' ids.
        subject_ids: The patients' ids; None: unknown, a patient of its own.
        folds: The number of folds.
        seed: Part of the hash.

    Raises:
        ConfigError: If there are fewer than two folds, or fewer patients than folds.
    """
    units = [
        f"document {own}" if subject is None else f"patient {subject}"
        for own, subject in zip(ids, subject_ids, strict=True)
    ]
    sizes = Counter(units)
    if folds < 2:
        raise ConfigError(f"folds: should be at least 2, got {folds}.")
    if folds > len(sizes):
        raise ConfigError(
            f"folds: {len(sizes):,} patients or documents are too few for {folds:,} folds. Set "
            "fewer folds."
        )
    documents = [0] * folds
    chosen: dict[str, int] = {}
    for unit in sorted(sizes, key=lambda unit: hashlib.sha256(f"{seed} {unit}".encode()).digest()):
        chosen[unit] = documents.index(min(documents))
        documents[chosen[unit]] += sizes[unit]
    return np.array([chosen[unit] for unit in units], np.int64)
