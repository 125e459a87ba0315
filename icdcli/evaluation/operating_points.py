"""What each threshold would give: precision, recall, and how many codes a reviewer sees.

Shapes: N documents, L labels, T thresholds.
"""

from typing import NamedTuple

import numpy as np

from icdcli.evaluation.evaluate import Evaluation
from icdcli.metrics.ranking import counts_below

_THRESHOLDS = np.arange(1, 100) / 100


class OperatingPoint(NamedTuple):
    """The decisions at one threshold for all codes.

    Attributes:
        threshold: The score from which a code is predicted.
        precision: The share of predicted codes that are gold; None: nothing is predicted.
        recall: The share of gold codes that are predicted; None: there are none.
        f1: The harmonic mean of both; None: it is undefined.
        codes: The mean number of predicted codes per document.
    """

    threshold: float
    precision: float | None
    recall: float | None
    f1: float | None
    codes: float


def operating_points(evaluation: Evaluation) -> list[OperatingPoint]:
    """Return the decisions at the thresholds .01, .02 … .99, each for all codes.

    Args:
        evaluation: The evaluation.
    """
    scores_NL, targets_NL = evaluation.scored.scores_NL, evaluation.targets_NL
    values_T = _THRESHOLDS.astype(np.float32)
    below_T, _ = counts_below(scores_NL, values_T)
    gold_P = np.sort(scores_NL[targets_NL])
    predicted_T = scores_NL.size - below_T
    right_T = len(gold_P) - np.searchsorted(gold_P, values_T, "left")
    documents, gold = len(scores_NL), len(gold_P)
    return [
        OperatingPoint(
            round(threshold, 2),
            right / predicted if predicted else None,
            right / gold if gold else None,
            2 * right / (predicted + gold) if predicted + gold else None,
            predicted / documents,
        )
        for threshold, predicted, right in zip(
            _THRESHOLDS.tolist(), predicted_T.tolist(), right_T.tolist(), strict=True
        )
    ]
