"""Influence of each document on a metric.

Intervals of most metrics come from the metrics of resampled documents. For the metrics here a
resample is too expensive (areas under curves of pooled pairs) or misleading (macro metrics), so the
resampled metric is estimated from the influence of each document.

The influence on a macro metric is its change when the document is left out
(`icdcli.metrics.jackknife`). Areas under the curves of all pairs pooled in one ranking have too
many candidates for that, and enough positives to do without it: there the influence is the
derivative by the document's weight (the infinitesimal jackknife, Jaeckel 1972; Efron 1982), which
takes one more pass over the scores. For AUROC over whole documents the resulting variance is that
of Obuchowski 1997 for clustered data.

Shapes: N documents, L labels, P positives, C candidates of a ranking.
"""

from dataclasses import dataclass

import numpy as np

from icdcli.metrics.arrays import (
    Booleans,
    Floats,
    Integers,
    Scores,
    missed_by_row,
    row_blocks,
)
from icdcli.metrics.by_document import edin_decisions
from icdcli.metrics.jackknife import areas_without_each, decisions_without_each
from icdcli.metrics.ranking import SIDES, counts_below


@dataclass(frozen=True)
class _Ranking:
    """A ranking, described at its positives, which are in ascending order of their scores.

    Attributes:
        positives_P: The scores of the positives.
        negatives: The number of negatives.
        negatives_below_P: The number of negatives below each positive; ties count half.
        precision_P: The share of positives among the candidates at or above each positive's score.
        ahead_P: 1 / the number of candidates at or above each positive's score.
    """

    positives_P: Scores
    negatives: int
    negatives_below_P: Floats
    precision_P: Floats
    ahead_P: Floats

    @classmethod
    def of(
        cls, positives_P: Scores, below_P: Integers, up_to_P: Integers, candidates: int
    ) -> "_Ranking":
        """Return a ranking; the arguments are those of `icdcli.metrics.ranking._areas`."""
        positives_below_P = np.searchsorted(positives_P, positives_P, "left")
        positives_up_to_P = np.searchsorted(positives_P, positives_P, "right")
        return cls(
            positives_P,
            candidates - len(positives_P),
            (below_P - positives_below_P + up_to_P - positives_up_to_P) / 2,
            (len(positives_P) - positives_below_P) / (candidates - below_P),
            1 / (candidates - below_P),
        )

    def derivatives_of_negatives(self, scores: Scores) -> tuple[Floats, Floats]:
        """Return the derivatives of AUROC and average precision by a negative's weight.

        Args:
            scores: Scores of negatives, of any shape; the derivatives have the same shape.
        """
        positives = len(self.positives_P)
        up_to = np.searchsorted(self.positives_P, scores, "right")
        # For each positive at or below its score, the negative is one more candidate ahead.
        costs = np.concatenate([[0.0], np.cumsum(self.precision_P * self.ahead_P)]) / positives
        if not self.negatives:
            return np.zeros(scores.shape), -costs[up_to]
        below = np.searchsorted(self.positives_P, scores, "left")
        area = float(self.negatives_below_P.mean()) / self.negatives
        return ((1 - (up_to + below) / (2 * positives)) - area) / self.negatives, -costs[up_to]

    def derivatives_of_positives(self, scores_P: Scores) -> tuple[Floats, Floats]:
        """Return the derivatives of AUROC and average precision by a positive's weight."""
        place_P, up_to_P = (np.searchsorted(self.positives_P, scores_P, side) for side in SIDES)
        gains = np.concatenate([[0.0], np.cumsum((1 - self.precision_P) * self.ahead_P)])
        precision_P = gains[up_to_P] + self.precision_P[place_P] - self.precision_P.mean()
        negatives = max(self.negatives, 1)
        roc_P = (self.negatives_below_P[place_P] - self.negatives_below_P.mean()) / negatives
        return roc_P / len(self.positives_P), precision_P / len(self.positives_P)

    def derivatives_by_document(
        self, scores_NL: Scores, targets_NL: Booleans
    ) -> tuple[Floats, Floats]:
        """Return the derivatives by the weights of documents (N,): sums over their candidates."""
        scores_P, document_P = scores_NL[targets_NL], np.nonzero(targets_NL)[0]
        # First as if all candidates were negatives: sorted scores take a third of the time. Then
        # the positives are corrected.
        of_all = self.derivatives_of_negatives(np.sort(scores_NL, axis=1))
        corrections = zip(
            self.derivatives_of_positives(scores_P),
            self.derivatives_of_negatives(scores_P),
            strict=True,
        )
        roc_N, precision_N = (
            all_NL.sum(axis=1) + np.bincount(document_P, right_P - wrong_P, len(scores_NL))
            for all_NL, (right_P, wrong_P) in zip(of_all, corrections, strict=True)
        )
        return roc_N, precision_N


def influences(
    scores_NL: Scores,
    predicted_NL: Booleans,
    targets_NL: Booleans,
    unscored_NL: Booleans | None = None,
) -> dict[str, Floats]:
    """Return the influence of each document on the areas under curves and the macro metrics.

    Args:
        scores_NL: Scores.
        predicted_NL: The predicted codes.
        targets_NL: The gold codes.
        unscored_NL: See `icdcli.metrics.ranking.areas_under_curves`.

    Returns:
        Metric name to (N,), which sum to zero. For a macro metric all are NaN if it is undefined,
        or would be without one of the documents.
    """
    present_L: Booleans = np.asarray(targets_NL.any(axis=0))
    pools = {"micro": np.ones_like(present_L), "micro_present": present_L}
    by_metric = {}
    for pool, chosen_L in pools.items():
        by_metric[f"aucroc_{pool}"], by_metric[f"aucprc_{pool}"] = _pooled(
            scores_NL, targets_NL, chosen_L, unscored_NL
        )
    without = areas_without_each(scores_NL, targets_NL, unscored_NL) | decisions_without_each(
        predicted_NL, targets_NL
    )
    counted_NL = edin_decisions(predicted_NL, targets_NL)
    edin = decisions_without_each(counted_NL, targets_NL)
    without |= {
        f"{name}_edin": edin[name] for name in ("f1_macro", "precision_macro", "recall_macro")
    }
    return by_metric | {name: values_N.mean() - values_N for name, values_N in without.items()}


def _pooled(
    scores_NL: Scores, targets_NL: Booleans, chosen_L: Booleans, unscored_NL: Booleans | None
) -> tuple[Floats, Floats]:
    documents = len(scores_NL)
    roc_N, precision_N = np.zeros(documents), np.zeros(documents)
    positives_P = np.sort(scores_NL[targets_NL])
    if not len(positives_P):
        return roc_N, precision_N
    below_P, up_to_P = counts_below(scores_NL, positives_P, chosen_L)
    ranking = _Ranking.of(positives_P, below_P, up_to_P, documents * int(chosen_L.sum()))
    for block in row_blocks(*scores_NL.shape):
        scores_BL, targets_BL = scores_NL[block][:, chosen_L], targets_NL[block][:, chosen_L]
        roc_N[block], precision_N[block] = ranking.derivatives_by_document(scores_BL, targets_BL)
    # What is never found adds no precision (`_areas`); the derivative of its share of candidates.
    labels, missed_N = int(chosen_L.sum()), missed_by_row(targets_NL, unscored_NL)
    precision_N -= (missed_N - missed_N.mean()) / (documents * labels)
    return roc_N, precision_N
