"""Macro metrics without each of the documents, in one pass over all of them.

Resampling documents underestimates the variance of macro metrics. Most codes are in one or two
documents, and a resample that contains the only document of a code three times scores that code as
one that contains it once: resamples agree although other documents would not. Leaving out each
document (the jackknife, Quenouille 1956; Tukey 1958) removes such a code. Its variance is on
average no smaller than the true one (Efron and Stein 1981).

Shapes: N documents, L labels, P positives, D decisions: pairs of a document and a label that are
predicted or gold.
"""

import numpy as np
import numpy.typing as npt

from icdcli.metrics.arrays import Booleans, Floats, Scores, row_blocks
from icdcli.metrics.metrics import decision_rates, macro_decisions
from icdcli.metrics.ranking import SIDES


def areas_without_each(
    scores_NL: Scores, targets_NL: Booleans, unscored_NL: Booleans | None = None
) -> dict[str, Floats]:
    """Return the macro areas under curves without each of the documents.

    Args:
        scores_NL: Scores, finite.
        targets_NL: The gold codes.
        unscored_NL: See `icdcli.metrics.ranking.areas_under_curves`.

    Returns:
        ``aucroc_macro`` and ``aucprc_macro`` to (N,): the value without the document; NaN if no
        label has a defined area then.
    """
    documents, labels = scores_NL.shape
    # For each of the two areas: the sum over labels without each document, and the number of labels
    # in it.
    sums_2N, counts_2N = np.zeros((2, documents)), np.zeros((2, documents))
    for block in row_blocks(labels, documents):
        scores_BN, targets_BN = (
            np.ascontiguousarray(scores_NL.T[block]),
            np.ascontiguousarray(targets_NL.T[block]),
        )
        missed_BN = None if unscored_NL is None else targets_BN & unscored_NL.T[block]
        for row in np.flatnonzero(targets_BN.any(axis=1)):
            roc_N, precision_N = _label_without_each(scores_BN[row], targets_BN[row])
            if missed_BN is not None:
                left_N = missed_BN[row].sum() - missed_BN[row]
                precision_N -= left_N / max(documents - 1, 1)
            for place, areas_N in enumerate((roc_N, precision_N)):
                defined_N = ~np.isnan(areas_N)
                sums_2N[place] += np.where(defined_N, areas_N, 0.0)
                counts_2N[place] += defined_N
    means_2N = np.divide(
        sums_2N, counts_2N, out=np.full((2, documents), np.nan), where=counts_2N > 0
    )
    return {"aucroc_macro": means_2N[0], "aucprc_macro": means_2N[1]}


def _label_without_each(scores_N: Scores, targets_N: Booleans) -> tuple[Floats, Floats]:
    """Return one label's AUROC and average precision without each document; NaN if undefined."""
    documents, positives = len(scores_N), int(targets_N.sum())
    positives_P, sorted_N = np.sort(scores_N[targets_N]), np.sort(scores_N)
    negatives = documents - positives
    left_N = np.where(targets_N, positives - 1, positives)
    none: Floats = np.full(documents, np.nan)

    # For a positive the number of negatives below it, for a negative the number of positives above
    # it; ties count half.
    below_N, up_to_N = (np.searchsorted(positives_P, scores_N, side) for side in SIDES)
    candidates_below_N, candidates_up_to_N = (
        np.searchsorted(sorted_N, scores_N, side) for side in SIDES
    )
    twice_below_N = candidates_below_N - below_N + candidates_up_to_N - up_to_N
    twice_N = np.where(targets_N, twice_below_N, 2 * positives - below_N - up_to_N)
    pairs_N = left_N * np.where(targets_N, negatives, negatives - 1)
    twice = int(twice_below_N[targets_N].sum())
    roc_N = np.divide(twice - twice_N, 2 * pairs_N, out=none.copy(), where=pairs_N > 0)

    # Precision at each positive, and the precision when a candidate at or above it is left out: a
    # positive or a negative.
    place_P, below_P = (
        np.searchsorted(all_N, positives_P, "left") for all_N in (positives_P, sorted_N)
    )
    right_P, ahead_P = positives - place_P, documents - below_P
    precision_P = right_P / ahead_P
    others_P = np.maximum(ahead_P - 1, 1)  # the positive is at or above itself
    without_positive_P, without_negative_P = (right_P - 1) / others_P, right_P / others_P
    total = precision_P.sum()
    changes_2P = np.cumsum(
        [without_positive_P - precision_P, without_negative_P - precision_P], axis=1
    )
    changes_2Z = np.concatenate([np.zeros((2, 1)), changes_2P], axis=1)
    precision_N = total + np.where(targets_N, changes_2Z[0][up_to_N], changes_2Z[1][up_to_N])
    # A positive that is left out can't be a threshold.
    at_N = np.minimum(below_N, positives - 1)
    precision_N -= np.where(targets_N, without_positive_P[at_N], 0.0)
    return roc_N, np.divide(precision_N, left_N, out=none, where=left_N > 0)


def decisions_without_each(predicted_NL: Booleans, gold_NL: Booleans) -> dict[str, Floats]:
    """Return the macro precision, recall and F1 without each of the documents.

    Args:
        predicted_NL: The predicted codes.
        gold_NL: The gold codes.

    Returns:
        Metric name, as in `icdcli.metrics.metrics.decision_metrics`, to (N,): the value without the
        document.
    """
    document_D, label_D = np.nonzero(predicted_NL | gold_NL)
    predicted_D, gold_D = predicted_NL[document_D, label_D], gold_NL[document_D, label_D]
    flags_3D = np.stack([predicted_D & gold_D, predicted_D, gold_D])
    counts_3L = np.stack([np.bincount(label_D, flags_D, gold_NL.shape[1]) for flags_D in flags_3D])
    after_3D = counts_3L[:, label_D] - flags_3D
    rates_3L, rates_3D = decision_rates(*counts_3L), decision_rates(*after_3D)
    present_L, present_D = counts_3L[2] > 0, after_3D[2] > 0

    def without_each(
        of_labels_L: npt.NDArray[np.number], of_decisions_D: npt.NDArray[np.number]
    ) -> Floats:
        """Return sums over labels without each document (N,)."""
        changes_D = of_decisions_D - of_labels_L[label_D]
        sums_N: Floats = of_labels_L.sum() + np.bincount(document_D, changes_D, len(gold_NL))
        return sums_N

    rates = list(zip(rates_3L, rates_3D, strict=True))
    of_all = [without_each(rates_L, rates_D) for rates_L, rates_D in rates]
    of_present = [
        without_each(rates_L * present_L, rates_D * present_D) for rates_L, rates_D in rates
    ]
    present_N = without_each(present_L.astype(np.int64), present_D.astype(np.int64))
    return macro_decisions(of_all, of_present, gold_NL.shape[1], present_N)
