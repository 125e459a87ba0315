"""Missed and extra codes in groups that say what went wrong, each error in the first that fits.

Shapes: N documents, L labels, K labels of one category.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from icdcli.evaluation.evaluate import Evaluation

NEAR, UNSEEN, RARE, CLOSE, OTHER = "near", "unseen", "rare", "close", "other"
"""Another code of the category instead; never in training; in up to `RARE_DOCUMENTS` training
documents; a score close to the threshold; anything else."""
RARE_DOCUMENTS = 10
CLOSE_SHARE = 0.5
"""A missed code is close if its score reaches this share of its threshold."""


@dataclass(frozen=True)
class ErrorGroups:
    """The errors of an evaluation.

    Attributes:
        missed: Group to the number of gold codes that aren't predicted, over all documents.
        extra: Group to the number of predicted codes that aren't gold: ``near`` and ``other``.
    """

    missed: dict[str, int]
    extra: dict[str, int]


def category_of(code: str) -> str:
    """Return the category of a dotted code: what is before the dot; of a PCS code its table."""
    category, dot, _ = code.partition(".")
    return category if dot or len(code) < 7 else code[:3]


def error_groups(evaluation: Evaluation) -> ErrorGroups:
    """Group the missed and extra codes of an evaluation.

    Args:
        evaluation: The evaluation.
    """
    gold_NL, predicted_NL = evaluation.targets_NL, evaluation.statistics.predicted_NL
    scores_NL, labels = evaluation.scored.scores_NL, evaluation.labels
    least_L = CLOSE_SHARE * evaluation.threshold.values_L(len(labels))
    counts_L = np.array(labels.train_counts)
    missed, extra = dict.fromkeys((NEAR, UNSEEN, RARE, CLOSE, OTHER), 0), {NEAR: 0, OTHER: 0}
    for labels_K in _categories(labels.codes):
        gold_NK, predicted_NK = gold_NL[:, labels_K], predicted_NL[:, labels_K]
        missed_NK, extra_NK = gold_NK & ~predicted_NK, predicted_NK & ~gold_NK
        counts_K = counts_L[labels_K]
        remaining_NK = missed_NK.copy()
        reasons: tuple[tuple[str, Any], ...] = (
            (NEAR, extra_NK.any(axis=1, keepdims=True)),
            (UNSEEN, counts_K == 0),
            (RARE, counts_K <= RARE_DOCUMENTS),
            (CLOSE, scores_NL[:, labels_K] >= least_L[labels_K]),
            (OTHER, np.ones_like(counts_K, bool)),
        )
        for name, holds in reasons:
            of_group_NK = remaining_NK & holds
            missed[name] += int(of_group_NK.sum())
            remaining_NK &= ~of_group_NK
        near = int((extra_NK & missed_NK.any(axis=1, keepdims=True)).sum())
        extra[NEAR] += near
        extra[OTHER] += int(extra_NK.sum()) - near
    return ErrorGroups(missed, extra)


def _categories(codes: Sequence[str]) -> list[list[int]]:
    """Return the labels of each category."""
    found: dict[str, list[int]] = {}
    for label, code in enumerate(codes):
        found.setdefault(category_of(code), []).append(label)
    return list(found.values())
