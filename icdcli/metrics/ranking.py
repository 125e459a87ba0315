"""Quality of rankings, exact and fast: areas under curves by one sort, and the highest scores.

Positives are rare here (a handful of thousands of codes), so everything is counted at the positives
only: sort a ranking's scores once, then find by binary search how many scores are above each
positive. No cumulative sums over all pairs.

Shapes: R rankings, C candidates, P positives, V values, N documents, L labels, K ranks, B rows of a
block.
"""

from typing import Literal

import numpy as np

from icdcli.metrics.arrays import (
    Booleans,
    Floats,
    Integers,
    Scores,
    missed_by_row,
    row_blocks,
)

SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


def _areas(
    positives_P: Scores, below_P: Integers, up_to_P: Integers, candidates: int, missed: int = 0
) -> tuple[float, float]:
    """Return AUROC and average precision of one ranking; counts are integers, so ties are exact.

    Args:
        positives_P: The scores of the positives, ascending; at least one.
        below_P: For each positive, the number of candidates with a lower score.
        up_to_P: For each positive, the number with a lower or equal score, itself included.
        candidates: The number of candidates.
        missed: The number of positives without a score, which have the lowest one here.
    """
    positives = len(positives_P)
    negatives = candidates - positives
    positives_below_P = np.searchsorted(positives_P, positives_P, "left")
    # With the threshold at each positive's score: the share of positives at or above it.
    average_precision = float(np.mean((positives - positives_below_P) / (candidates - below_P)))
    # At the lowest score everything is a candidate, so that each of these has the precision
    # positives / candidates; but they are never found.
    average_precision -= missed / candidates
    if not negatives:
        return float("nan"), average_precision
    positives_up_to_P = np.searchsorted(positives_P, positives_P, "right")
    # A negative below counts 1, a tied one 1/2: the number below plus the number below or tied,
    # halved at the end.
    twice = int(np.sum(below_P - positives_below_P + up_to_P - positives_up_to_P))
    return twice / (2 * positives * negatives), average_precision


def counts_below(
    scores_NL: Scores, values_V: Scores, chosen_L: Booleans | None = None
) -> tuple[Integers, Integers]:
    """Count the scores below each value, and those below or equal, copying one block at a time.

    Args:
        scores_NL: Scores.
        values_V: Values, ascending.
        chosen_L: The labels whose scores count; None: all labels.

    Returns:
        The number of scores below each value (V,), and the number below or equal (V,).
    """
    below_V, up_to_V = np.zeros(len(values_V), np.int64), np.zeros(len(values_V), np.int64)
    for block in row_blocks(*scores_NL.shape):
        sorted_B = np.sort(
            scores_NL[block] if chosen_L is None else scores_NL[block][:, chosen_L], axis=None
        )
        below_V += np.searchsorted(sorted_B, values_V, "left")
        up_to_V += np.searchsorted(sorted_B, values_V, "right")
    return below_V, up_to_V


def pooled_areas(
    scores_NL: Scores, targets_NL: Booleans, unscored_NL: Booleans | None = None
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the areas under the curves of all scores pooled into one ranking.

    Args:
        scores_NL: Scores.
        targets_NL: True for positives.
        unscored_NL: See `areas_under_curves`.

    Returns:
        AUROC (ties count half) and average precision over all labels; then the same over the labels
        that have a positive. NaN if undefined.
    """
    present_L: Booleans = np.asarray(targets_NL.any(axis=0))
    if not present_L.any():
        return (float("nan"), float("nan")), (float("nan"), float("nan"))
    missed = int(missed_by_row(targets_NL, unscored_NL).sum())
    positives_P = np.sort(scores_NL[targets_NL])
    below_P, up_to_P = counts_below(scores_NL, positives_P, present_L)
    candidates = len(scores_NL) * int(present_L.sum())
    present = _areas(positives_P, below_P, up_to_P, candidates, missed)
    if present_L.all():
        return present, present
    below_others_P, up_to_others_P = counts_below(scores_NL, positives_P, np.logical_not(present_L))
    return _areas(
        positives_P, below_P + below_others_P, up_to_P + up_to_others_P, scores_NL.size, missed
    ), present


def areas_under_curves(
    scores_RC: Scores, targets_RC: Booleans, unscored_RC: Booleans | None = None
) -> tuple[Floats, Floats]:
    """Return the areas under the ROC and the precision-recall curve of each row.

    Each row ranks its columns: pass the transposed arrays for one ranking per label.

    Args:
        scores_RC: Scores, finite.
        targets_RC: True for positives.
        unscored_RC: True for pairs without a score, which is 0 there, as the lowest of all;
            positives among them are never found, so they add no precision. None: all have one.

    Returns:
        AUROC (R,), ties counting half, NaN without a positive or without a negative; average
        precision (R,) as scikit-learn defines it, NaN without a positive.
    """
    rows, columns = scores_RC.shape
    roc_R, precision_R = np.full(rows, np.nan), np.full(rows, np.nan)
    missed_R = missed_by_row(targets_RC, unscored_RC).tolist()
    for block in row_blocks(rows, columns):
        # Contiguous copies: they are sorted in place below, and rows of a transposed view are slow.
        scores_BC = np.array(scores_RC[block], order="C")
        targets_BC = np.ascontiguousarray(targets_RC[block])
        for row in np.flatnonzero(targets_BC.any(axis=1)):
            positives_P = np.sort(scores_BC[row][targets_BC[row]])
            sorted_C = scores_BC[row]
            sorted_C.sort()
            below_P, up_to_P = (np.searchsorted(sorted_C, positives_P, side) for side in SIDES)
            roc_R[block.start + row], precision_R[block.start + row] = _areas(
                positives_P, below_P, up_to_P, columns, missed_R[block.start + row]
            )
    return roc_R, precision_R


def highest(scores_NL: Scores, count: int) -> Integers:
    """Return the labels with the highest scores of each document, best first.

    Equal scores are in the order of the labels.

    Args:
        scores_NL: Scores in [0, 1].
        count: The number of labels per document, K; at most L.

    Returns:
        Label indices (N, K).
    """
    documents, labels = scores_NL.shape
    labels_NK = np.empty((documents, count), dtype=np.int64)
    # Non-negative floats sort as their bits do. Shifting out the sign makes -0.0 equal to 0.0. The
    # low half of the key is the label, counted from the end: of two equal scores, the earlier label
    # has the greater key.
    backwards_L = np.arange(labels - 1, -1, -1, dtype=np.uint64)
    for block in row_blocks(documents, labels):
        bits_BL = np.ascontiguousarray(scores_NL[block]).view(np.uint32) << np.uint32(1)
        keys_BL = (bits_BL.astype(np.uint64) << np.uint64(32)) | backwards_L
        if count < labels:
            keys_BL = np.partition(keys_BL, labels - count, axis=1)[:, labels - count :]
        keys_BK = np.sort(keys_BL, axis=1)[:, ::-1]
        labels_NK[block] = labels - 1 - (keys_BK & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return labels_NK
