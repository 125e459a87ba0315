"""The codes of a document that the second stage scores again, and what it knows about each.

Features are numbers of one document and of the label space alone, so that a note has the same score
in every batch. They are, for each candidate:

- the score of each part and the fused logit, and the logarithm of its rank among all codes;
- the best fused logit and lexical scores of the other codes of its category, and of the other codes
  that begin with the same four characters;
- how many training documents have the code, its category, and such codes;
- the length of the code, and whether it ends with 9 or 0, as unspecific codes do;
- how many codes the document is expected to have.

Shapes: L labels, G groups of them, C candidates, X features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_IMPOSSIBLE = np.float32(-50)
_GROUPED = ("evidence", "descriptions")

Row = Mapping[str, NDArray[np.float32]]
"""Part to the scores_L of one document."""


class CandidateNumbers(NamedTuple):
    """How many codes are candidates.

    Attributes:
        fused: The number of those with the highest fused logit.
        of_part: The number of those with the highest score of each part.
    """

    fused: int
    of_part: int


CANDIDATE_NUMBERS = CandidateNumbers(100, 25)
EARLIER_CANDIDATE_NUMBERS = CandidateNumbers(60, 15)
"""Those of checkpoints that name none."""


@dataclass(frozen=True)
class LabelFacts:
    """What is known about the codes of a label space, independently of the document.

    Attributes:
        codes: The codes.
        counts_L: The number of training documents that have each.
    """

    codes: tuple[str, ...]
    counts_L: NDArray[np.int64]

    @cached_property
    def groups(self) -> tuple["Groups", "Groups"]:
        """Return the codes by category, and by their first four characters."""
        bare = [code.replace(".", "") for code in self.codes]
        return Groups.of([code[:3] for code in bare]), Groups.of([code[:4] for code in bare])

    @cached_property
    def features_LX(self) -> NDArray[np.float32]:
        """Return the features that don't depend on the document."""
        columns: list[NDArray[np.floating]] = [np.log1p(self.counts_L.astype(np.float64))]
        for groups in self.groups:
            totals_G = np.bincount(groups.group_L, self.counts_L)
            columns.append(np.log1p(totals_G[groups.group_L]))
        shapes = [(len(code), code.endswith("9"), code.endswith("0")) for code in self.codes]
        return np.column_stack([*columns, np.array(shapes).reshape(-1, 3)]).astype(np.float32)


@dataclass(frozen=True)
class Groups:
    """Labels in groups.

    Attributes:
        group_L: The group of each label.
    """

    group_L: NDArray[np.int64]

    @classmethod
    def of(cls, names: Sequence[str]) -> "Groups":
        """Return labels in groups of the same name."""
        return cls(np.unique(np.array(names, str), return_inverse=True)[1].astype(np.int64))

    def best_others(
        self, scores_L: NDArray[np.float32], labels_C: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the best score of the other labels of each label's group."""
        ordered_L = scores_L[self._order_L]
        best_G = np.maximum.reduceat(ordered_L, self._starts_G)
        is_best_L = ordered_L == np.repeat(best_G, self._sizes_G)
        alone_G = np.add.reduceat(is_best_L, self._starts_G, dtype=np.int64) == 1
        ordered_L[is_best_L] = -np.inf
        next_G = np.maximum.reduceat(ordered_L, self._starts_G)
        next_G[self._sizes_G == 1] = _IMPOSSIBLE
        group_C = self.group_L[labels_C]
        has_best_C = alone_G[group_C] & (scores_L[labels_C] == best_G[group_C])
        best_C: NDArray[np.float32] = np.where(has_best_C, next_G[group_C], best_G[group_C])
        return best_C

    @cached_property
    def _order_L(self) -> NDArray[np.intp]:
        """Return the labels group by group, which are sorted once for all documents."""
        return np.argsort(self.group_L, kind="stable")

    @cached_property
    def _sizes_G(self) -> NDArray[np.int64]:
        return np.bincount(self.group_L).astype(np.int64)

    @cached_property
    def _starts_G(self) -> NDArray[np.int64]:
        return np.cumsum(self._sizes_G) - self._sizes_G


def candidates(
    row: Row, fused_L: NDArray[np.float32], numbers: CandidateNumbers = CANDIDATE_NUMBERS
) -> NDArray[np.int64]:
    """Return the codes that a document's second stage scores, ascending."""
    best = [_highest(fused_L, numbers.fused)]
    best += [_highest(scores_L, numbers.of_part) for scores_L in row.values()]
    return np.unique(np.concatenate(best)).astype(np.int64)


def features_of(
    row: Row, fused_L: NDArray[np.float32], labels_C: NDArray[np.int64], facts: LabelFacts
) -> NDArray[np.float32]:
    """Return the features_CX of a document's candidates; see the top of this file.

    Args:
        row: The document's scores, in the order of the parts in which trees were fitted.
        fused_L: Its fused logits.
        labels_C: The candidates.
        facts: What is known about the codes.
    """
    columns: list[NDArray[np.floating]] = []
    for scores_L in (*row.values(), fused_L):
        columns += [scores_L[labels_C], _log_ranks(scores_L, labels_C)]
    grouped = [scores_L for name, scores_L in row.items() if name.split("_")[-1] in _GROUPED]
    for groups in facts.groups:
        columns += [groups.best_others(each, labels_C) for each in (fused_L, *grouped)]
    # Summed in the order of the labels: the same in every batch.
    expected = (1 / (1 + np.exp(-np.clip(fused_L.astype(np.float64), -50, 50)))).sum()
    columns.append(np.full(len(labels_C), expected))
    of_document_CX = np.column_stack(columns).astype(np.float32)
    return np.concatenate([of_document_CX, facts.features_LX[labels_C]], axis=1)


def without_impossible(
    row: Row, fused_L: NDArray[np.float32], possible_L: NDArray[np.bool_]
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
    """Return a document's scores, those of codes that its model doesn't have below all others."""
    masked = {name: np.where(possible_L, each, _IMPOSSIBLE) for name, each in row.items()}
    return masked, np.where(possible_L, fused_L, _IMPOSSIBLE)


def _highest(scores_L: NDArray[np.float32], number: int) -> NDArray[np.intp]:
    """Return the labels with the highest scores, in any order; of equal scores, the first ones."""
    if number >= len(scores_L):
        return np.arange(len(scores_L))
    last = np.partition(scores_L, -number)[-number]
    higher = np.flatnonzero(scores_L > last)
    return np.concatenate([higher, np.flatnonzero(scores_L == last)[: number - len(higher)]])


def _log_ranks(scores_L: NDArray[np.float32], labels_C: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the logarithm of one plus the number of codes with a higher score."""
    scores_C = scores_L[labels_C]
    # In most parts, nearly all codes have the lowest score, so few have to be sorted.
    above = np.sort(scores_L[scores_L > scores_C.min(initial=np.inf)])
    higher_C = len(above) - np.searchsorted(above, scores_C, "right")
    return np.log1p(higher_C.astype(np.float64))
