"""Tuning decision thresholds, on the validation split and nowhere else.

``auto``: the one threshold with the best micro-F1. ``auto_per_code``: one a code, for micro-F1 too. A code's own best is where
its right decisions, counted twice, less F times its predicted documents are most; F is the micro-F1 of the one threshold. That
is a step of Dinkelbach's method (1967) for a maximum of a ratio, here 2 right / (predicted + gold). A code's own F1 ("SCut" of
Yang 2001) would be the worse guide: the best for a code that the coder can't tell is to predict it everywhere.

What is best for a rare code rests on one or two documents and is mostly chance. So each is drawn towards the one for all, the
more the fewer gold documents the code has: on the scale of log-odds the mean of the two, weighted by the code's gold documents
and by `PRIOR` (the m-estimate of Cestnik 1990). With TF-IDF scores of CodiEsp, tuned on one half of the documents and measured
on the other, that gave .003 to .006 more micro-F1 than one threshold; codes' own F1 without drawing lost .2 to .3.

All sweeps are exact: a threshold between two scores decides as the upper one does, so only the scores of gold codes need be
tried; of thresholds that are as good the highest is taken. It is put half-way to the next score below, since scores of another
batch or machine differ in their last digits.

Shapes: N documents, L labels, P positives, U different scores of positives.
"""

import numpy as np
import numpy.typing as npt

from icdcli.metrics.arrays import Booleans, Floats, Scores, row_blocks
from icdcli.metrics.ranking import counts_below
from icdcli.model.threshold import How, Threshold

PRIOR = 10.0
"""How many gold documents a code needs before its own threshold counts as much as the one for all codes."""


def tune(how: How, scores_NL: Scores, targets_NL: Booleans, split: str) -> Threshold:
    """Tune a threshold.

    Args:
        how: ``auto`` or ``auto_per_code``.
        scores_NL: Scores of the split that it is tuned on.
        targets_NL: Its gold codes; where there are none at all, the threshold is 0.5.
        split: The split's name, told with the threshold wherever it is used.
    """
    value, f1 = best_for_all(scores_NL, targets_NL)
    if how == "auto":
        return Threshold(value, how, split)
    per_code_L = shrunk(best_by_label(scores_NL, targets_NL, f1), targets_NL.sum(axis=0), value)
    return Threshold(value, how, split, tuple(per_code_L.astype(np.float32).tolist()))


def best_for_all(scores_NL: Scores, targets_NL: Booleans) -> tuple[float, float]:
    """The one threshold with the best micro-F1, and that F1; 0.5 and 0 where nothing is gold."""
    positives_P = np.sort(scores_NL[targets_NL])
    if not len(positives_P):
        return 0.5, 0.0
    tried_U, first_U = np.unique(positives_P, return_index=True)
    below_U, _ = counts_below(scores_NL, tried_U)
    # Quotients of whole numbers: equal ones are equal as floats too.
    f1_U = 2 * (len(positives_P) - first_U) / (scores_NL.size - below_U + len(positives_P))
    place = _last_best(f1_U)
    lower = max(
        _highest_below(scores_NL[block], tried_U[place]) for block in row_blocks(*scores_NL.shape)
    )
    return _between(lower, float(tried_U[place])), float(f1_U[place])


def best_by_label(scores_NL: Scores, targets_NL: Booleans, f1: float) -> Floats:
    """Each label's threshold that adds most to a micro-F1 of this size (L,); NaN where the label has no gold document.

    Where predicting the label nowhere is best, it is half-way from the highest score to 1; a score of 1 is let through.
    """
    documents, labels = scores_NL.shape
    best_L = np.full(labels, np.nan)
    for block in row_blocks(labels, documents):
        # Contiguous copies: sorted in place below, and a transposed view's rows would be slow to reach.
        scores_BN = np.array(scores_NL.T[block], order="C")
        targets_BN = np.ascontiguousarray(targets_NL.T[block])
        for row in np.flatnonzero(targets_BN.any(axis=1)):
            positives_P = np.sort(scores_BN[row][targets_BN[row]])
            sorted_N = scores_BN[row]
            sorted_N.sort()
            tried_U, first_U = np.unique(positives_P, return_index=True)
            below_U = np.searchsorted(sorted_N, tried_U, "left")
            gain_U = 2 * (len(positives_P) - first_U) - f1 * (documents - below_U)
            place = _last_best(gain_U)
            lower, upper = float(sorted_N[-1]), 1.0
            if gain_U[place] > 0:
                lower, upper = (
                    float(sorted_N[below_U[place] - 1]) if below_U[place] else 0.0,
                    float(tried_U[place]),
                )
            best_L[block.start + row] = _between(lower, upper)
    return best_L


def shrunk(
    best_L: Floats, gold_L: npt.NDArray[np.integer], value: float, prior: float = PRIOR
) -> Floats:
    """Draw labels' thresholds towards the one for all; a label without gold documents gets that one.

    Args:
        best_L: Each label's own threshold, NaN where it has none.
        gold_L: The gold documents that it was tuned on.
        value: The threshold for all.
        prior: How many gold documents that one is worth.
    """
    own_L = _log_odds(np.where(np.isnan(best_L), value, best_L))
    weight_L = gold_L / (gold_L + prior)
    drawn_L = weight_L * own_L + (1 - weight_L) * _log_odds(value)
    return np.asarray(1 / (1 + np.exp(-drawn_L)))


def _last_best(values_U: Floats) -> int:
    return len(values_U) - 1 - int(np.argmax(values_U[::-1]))


def _highest_below(scores: Scores, value: np.float32) -> float:
    return float(np.max(scores, initial=0.0, where=scores < value))


def _between(lower: float, upper: float) -> float:
    """Half-way, as float32; the upper one where there is no number between."""
    middle = np.float32((lower + upper) / 2)
    return float(middle) if lower < middle else upper


def _log_odds(share: npt.ArrayLike) -> Floats:
    # Scores of 0 and 1 have infinite log-odds; no float32 between is nearer to either than this.
    clipped = np.clip(np.asarray(share, np.float64), 1e-7, 1 - 1e-7)
    return np.asarray(np.log(clipped / (1 - clipped)))
