"""How good rankings are, exactly and fast: areas under curves by one sort, and the highest scored labels.

Positives are rare here (a handful of thousands of codes), so everything is counted at the positives alone: sort a
ranking's scores once, then ask by binary search how many stand above each positive. No cumulative sums over all pairs.

Shapes: R rankings, C candidates, P positives, N documents, L labels, K ranks.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]
Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

_BLOCK = 1 << 22
"""Scores copied at a time; bounds the memory beyond the scores themselves."""

SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of rows, each of as many scores as are copied at a time."""
    size = max(1, _BLOCK // columns)
    return (slice(start, start + size) for start in range(0, rows, size))


def _areas(
    positives_P: Scores, below_P: Integers, up_to_P: Integers, candidates: int
) -> tuple[float, float]:
    """AUROC and average precision of one ranking; all counts are whole numbers, so ties are exact.

    Args:
        positives_P: The positives' scores, ascending; at least one.
        below_P: How many of all scores are below each positive's.
        up_to_P: How many are below or equal, itself included.
        candidates: How many scores there are.
    """
    positives = len(positives_P)
    negatives = candidates - positives
    positives_below_P = np.searchsorted(positives_P, positives_P, "left")
    # Of a threshold at each positive's score: how many of those at or above it are positives.
    average_precision = float(np.mean((positives - positives_below_P) / (candidates - below_P)))
    if not negatives:
        return float("nan"), average_precision
    positives_up_to_P = np.searchsorted(positives_P, positives_P, "right")
    # A negative below counts one, a tied one half: negatives below, plus negatives below or tied, halved.
    twice = int(np.sum(below_P - positives_below_P + up_to_P - positives_up_to_P))
    return twice / (2 * positives * negatives), average_precision


def counts_below(
    scores_NL: Scores, values_V: Scores, chosen_L: Booleans | None = None
) -> tuple[Integers, Integers]:
    """How many scores are below each value, and how many are below or equal; a block of scores is copied at a time.

    Args:
        scores_NL: Scores.
        values_V: Values, ascending.
        chosen_L: The labels whose scores count; None: all.
    """
    below_V, up_to_V = np.zeros(len(values_V), np.int64), np.zeros(len(values_V), np.int64)
    for block in blocks(*scores_NL.shape):
        sorted_B = np.sort(
            scores_NL[block] if chosen_L is None else scores_NL[block][:, chosen_L], axis=None
        )
        below_V += np.searchsorted(sorted_B, values_V, "left")
        up_to_V += np.searchsorted(sorted_B, values_V, "right")
    return below_V, up_to_V


def pooled_areas(
    scores_NL: Scores, targets_NL: Booleans
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The areas under the curves of all scores in one ranking, and of the scores of labels with a positive in one.

    Returns:
        For each of the two AUROC, ties counted half, and average precision; NaN where undefined.
    """
    present_L: Booleans = np.asarray(targets_NL.any(axis=0))
    if not present_L.any():
        return (float("nan"), float("nan")), (float("nan"), float("nan"))
    positives_P = np.sort(scores_NL[targets_NL])
    below_P, up_to_P = counts_below(scores_NL, positives_P, present_L)
    present = _areas(positives_P, below_P, up_to_P, len(scores_NL) * int(present_L.sum()))
    if present_L.all():
        return present, present
    below_others_P, up_to_others_P = counts_below(scores_NL, positives_P, np.logical_not(present_L))
    return _areas(
        positives_P, below_P + below_others_P, up_to_P + up_to_others_P, scores_NL.size
    ), present


def areas_under_curves(scores_RC: Scores, targets_RC: Booleans) -> tuple[Floats, Floats]:
    """The areas under the ROC and the precision-recall curve of each row, a ranking of its columns.

    Rows are what is ranked: pass the transposed arrays for one ranking a label.

    Args:
        scores_RC: Scores, finite.
        targets_RC: Which of them are positives.

    Returns:
        AUROC (R,), ties counted half, NaN without a positive or without a negative; average precision (R,) as
        scikit-learn defines it, NaN without a positive.
    """
    rows, columns = scores_RC.shape
    roc_R, precision_R = np.full(rows, np.nan), np.full(rows, np.nan)
    for block in blocks(rows, columns):
        # Contiguous copies: sorted in place below, and a transposed view's rows would be slow to reach.
        scores_BC = np.array(scores_RC[block], order="C")
        targets_BC = np.ascontiguousarray(targets_RC[block])
        for row in np.flatnonzero(targets_BC.any(axis=1)):
            positives_P = np.sort(scores_BC[row][targets_BC[row]])
            sorted_C = scores_BC[row]
            sorted_C.sort()
            below_P, up_to_P = (np.searchsorted(sorted_C, positives_P, side) for side in SIDES)
            roc_R[block.start + row], precision_R[block.start + row] = _areas(
                positives_P, below_P, up_to_P, columns
            )
    return roc_R, precision_R


def highest(scores_NL: Scores, count: int) -> Integers:
    """The labels of the highest scores of each document, best first; equal scores in the order of the labels.

    Args:
        scores_NL: Scores in [0, 1].
        count: How many labels a document, K; at most L.

    Returns:
        Label indices (N, K).
    """
    documents, labels = scores_NL.shape
    labels_NK = np.empty((documents, count), dtype=np.int64)
    # Non-negative floats sort as their bits do. Shifting the sign out makes -0.0 equal to 0.0; the label, counted from
    # the end, below the score makes the earlier label the greater of two that tie.
    backwards_L = np.arange(labels - 1, -1, -1, dtype=np.uint64)
    for block in blocks(documents, labels):
        bits_BL = np.ascontiguousarray(scores_NL[block]).view(np.uint32) << np.uint32(1)
        keys_BL = (bits_BL.astype(np.uint64) << np.uint64(32)) | backwards_L
        if count < labels:
            keys_BL = np.partition(keys_BL, labels - count, axis=1)[:, labels - count :]
        keys_BK = np.sort(keys_BL, axis=1)[:, ::-1]
        labels_NK[block] = labels - 1 - (keys_BK & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return labels_NK
