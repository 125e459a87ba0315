"""Hierarchical measures: a wrong code that is close to a gold code is less wrong than another one.

Each code stands for itself and for everything above it: its category, block and chapter.

- Set-valued precision, recall and F1 (Kiritchenko et al. 2006; the set-based measures of
  Kosmopoulos et al. 2015): gold and predicted codes are extended by all that is above them, and
  compared as sets. ``_documents`` is the mean over documents with a gold code, 0 for an undefined
  precision; without it, documents are pooled (micro).
- CoPHE (Falis et al. 2021) also counts how many codes are below a node: x predicted and y gold ones
  are min(x, y) right, max(x - y, 0) extra and max(y - x, 0) missed. It is reported for all levels
  together and for each one, counted from the top (depth), so that a category is on one level
  however many levels are below it.

Shapes: N documents, L labels, V nodes, D levels, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_matrix

from icdcli.metrics.arrays import Booleans, Floats, Integers
from icdcli.metrics.metrics import decision_rates

Path = Sequence[tuple[str, str]]
"""The nodes of a code from the top down to itself: level and name of each."""

_SHARES = ("precision", "recall", "f1")


@dataclass(frozen=True)
class HierarchicalCounts:
    """Numbers of nodes of each document: right, predicted and gold ones.

    Attributes:
        sets_N3: Of the extended sets.
        levels: The names of the levels, from the top.
        counted_ND3: Counted as CoPHE does, on each level.
    """

    sets_N3: Integers = field(repr=False)
    levels: tuple[str, ...]
    counted_ND3: Integers = field(repr=False)

    def metrics(self) -> dict[str, float]:
        """Return metric to value."""
        ones = np.ones((1, len(self.sets_N3)), np.int64)
        return {name: float(values_R[0]) for name, values_R in self.resampled(ones).items()}

    def resampled(self, weights_RN: Integers) -> dict[str, Floats]:
        """Return the metrics of resamples of the documents.

        Args:
            weights_RN: How often each document occurs in each resample.
        """
        values = _named("hierarchical_{}", (weights_RN @ self.sets_N3).T)
        has_gold_N = self.sets_N3[:, 2] > 0
        of_documents = decision_rates(*self.sets_N3.T)
        counted_R = np.maximum(weights_RN @ has_gold_N.astype(np.int64), 1)
        for share, rate_N in zip(_SHARES, of_documents, strict=True):
            sums_R = weights_RN @ np.where(has_gold_N, rate_N, 0.0)
            values[f"hierarchical_{share}_documents"] = sums_R / counted_R
        values |= _named("cophe_{}", (weights_RN @ self.counted_ND3.sum(axis=1)).T)
        for place, level in enumerate(self.levels):
            values |= _named(f"cophe_{{}}: {level}", (weights_RN @ self.counted_ND3[:, place]).T)
        return values


def _named(name: str, counts_3R: Integers) -> dict[str, Floats]:
    rates = decision_rates(*counts_3R)
    return {name.format(share): rate for share, rate in zip(_SHARES, rates, strict=True)}


def hierarchical_counts(
    gold_NL: Booleans, predicted_NL: Booleans, paths: Sequence[Path], levels: Sequence[str]
) -> HierarchicalCounts:
    """Count the nodes of each document.

    Args:
        gold_NL: The gold codes.
        predicted_NL: The predicted codes.
        paths: For each label, its nodes.
        levels: The names of all levels, from the top; those without a node are left out.
    """
    place: dict[tuple[str, str], int] = {}
    labels, nodes = [], []
    for label, path in enumerate(paths):
        for node in dict.fromkeys(path):
            labels.append(label)
            nodes.append(place.setdefault(node, len(place)))
    shape = (len(paths), max(1, len(place)))
    below_LV = csr_matrix((np.ones(len(labels), np.int32), (labels, nodes)), shape)
    predicted_NV, gold_NV = (
        csr_matrix(chosen_NL.astype(np.int32)) @ below_LV for chosen_NL in (predicted_NL, gold_NL)
    )
    both_NV = predicted_NV.minimum(gold_NV)
    three = (both_NV, predicted_NV, gold_NV)
    used = [level for level in levels if any(own == level for own, _ in place)]
    level_V = np.array([used.index(own) for own, _ in place], np.int64)
    on_level_VD = csr_matrix(
        (np.ones(len(level_V), np.int32), (np.arange(len(level_V)), level_V)),
        (shape[1], max(1, len(used))),
    )
    return HierarchicalCounts(
        np.stack([_sums(counts.astype(bool).astype(np.int64)) for counts in three], axis=1),
        tuple(used),
        np.stack([(counts @ on_level_VD).toarray() for counts in three], axis=2).astype(np.int64),
    )


def _sums(counts_NV: csr_matrix) -> Integers:
    sums_N: Integers = np.asarray(counts_NV.sum(axis=1)).ravel().astype(np.int64)
    return sums_N
