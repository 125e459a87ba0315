"""Macro metrics without each document, from one look at all.

Resamples tell too little of them. Most codes stand in one or two documents, and a resample that has the only document of a code
three times knows of that code what one that has it once knows: resamples agree where other documents would not. Leaving each
document out (the jackknife, Quenouille 1956; Tukey 1958) sees a code with one document come and go. Its variance is on average
no smaller than the true one (Efron and Stein 1981).

Shapes: N documents, L labels, P positives, D decisions: pairs of document and label that are predicted or gold.
"""

import numpy as np
import numpy.typing as npt

from icdcli.metrics.metrics import decision_rates, macro_decisions
from icdcli.metrics.ranking import SIDES, Booleans, Floats, Scores, blocks


def areas_without_each(scores_NL: Scores, targets_NL: Booleans) -> dict[str, Floats]:
    """The macro areas under curves of all documents but one.

    Args:
        scores_NL: Scores, finite.
        targets_NL: Which are of gold codes.

    Returns:
        ``aucroc_macro`` and ``aucprc_macro`` to (N,), by the document that is left out; NaN where none is left of the labels
        that have an area.
    """
    documents, labels = scores_NL.shape
    # Of each area: the sum over labels without each document, and how many labels that has.
    sums_2N, counts_2N = np.zeros((2, documents)), np.zeros((2, documents))
    for block in blocks(labels, documents):
        scores_BN, targets_BN = (
            np.ascontiguousarray(scores_NL.T[block]),
            np.ascontiguousarray(targets_NL.T[block]),
        )
        for row in np.flatnonzero(targets_BN.any(axis=1)):
            for place, areas_N in enumerate(_label_without_each(scores_BN[row], targets_BN[row])):
                defined_N = ~np.isnan(areas_N)
                sums_2N[place] += np.where(defined_N, areas_N, 0.0)
                counts_2N[place] += defined_N
    means_2N = np.divide(
        sums_2N, counts_2N, out=np.full((2, documents), np.nan), where=counts_2N > 0
    )
    return {"aucroc_macro": means_2N[0], "aucprc_macro": means_2N[1]}


def _label_without_each(scores_N: Scores, targets_N: Booleans) -> tuple[Floats, Floats]:
    """A label's AUROC and average precision without each document; NaN where they are then undefined."""
    documents, positives = len(scores_N), int(targets_N.sum())
    positives_P, sorted_N = np.sort(scores_N[targets_N]), np.sort(scores_N)
    negatives = documents - positives
    left_N = np.where(targets_N, positives - 1, positives)
    none: Floats = np.full(documents, np.nan)

    # How many of the others a positive is above, or a negative below; a tie is a half.
    below_N, up_to_N = (np.searchsorted(positives_P, scores_N, side) for side in SIDES)
    candidates_below_N, candidates_up_to_N = (
        np.searchsorted(sorted_N, scores_N, side) for side in SIDES
    )
    twice_below_N = candidates_below_N - below_N + candidates_up_to_N - up_to_N
    twice_N = np.where(targets_N, twice_below_N, 2 * positives - below_N - up_to_N)
    pairs_N = left_N * np.where(targets_N, negatives, negatives - 1)
    twice = int(twice_below_N[targets_N].sum())
    roc_N = np.divide(twice - twice_N, 2 * pairs_N, out=none.copy(), where=pairs_N > 0)

    # Precision at each positive, and what it is when one that stands at or above it is left out: a positive or a negative.
    place_P, below_P = (
        np.searchsorted(all_N, positives_P, "left") for all_N in (positives_P, sorted_N)
    )
    right_P, ahead_P = positives - place_P, documents - below_P
    precision_P = right_P / ahead_P
    others_P = np.maximum(ahead_P - 1, 1)  # it stands at or above itself
    without_positive_P, without_negative_P = (right_P - 1) / others_P, right_P / others_P
    total = precision_P.sum()
    changes_2P = np.cumsum(
        [without_positive_P - precision_P, without_negative_P - precision_P], axis=1
    )
    changes_2Z = np.concatenate([np.zeros((2, 1)), changes_2P], axis=1)
    precision_N = total + np.where(targets_N, changes_2Z[0][up_to_N], changes_2Z[1][up_to_N])
    # A positive that is left out isn't a threshold either.
    at_N = np.minimum(below_N, positives - 1)
    precision_N -= np.where(targets_N, without_positive_P[at_N], 0.0)
    return roc_N, np.divide(precision_N, left_N, out=none, where=left_N > 0)


def decisions_without_each(predicted_NL: Booleans, gold_NL: Booleans) -> dict[str, Floats]:
    """The macro metrics of decisions of all documents but one.

    Args:
        predicted_NL: Which codes are predicted.
        gold_NL: Which are gold.

    Returns:
        Metric name to (N,), by the document that is left out; as `icdcli.metrics.metrics.decision_metrics` names them.
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
