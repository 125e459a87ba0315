"""What metrics need to know of each document, so that they follow for any resample of documents without its scores.

A split's statistics are a few megabytes where its scores are hundreds: they are kept beside an evaluation, and two runs are
compared by theirs.

Shapes: N documents, L labels, B bins, R resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from icdcli.metrics.calibration import calibration_bins, expected_calibration_error
from icdcli.metrics.influence import influences
from icdcli.metrics.metrics import (
    decision_rates,
    evaluate,
    exact_matches,
    hits_by_document,
    micro_decisions,
)
from icdcli.metrics.ranking import Booleans, Floats, Scores, areas_under_curves


@dataclass(frozen=True)
class Statistics:
    """A split's statistics; `statistics_of` makes them.

    Attributes:
        metrics: Every metric of the split, the loss first where it is known.
        means: Metric to each document's value (N,), NaN where the document has none: the metric is their mean.
        predicted_NL: Which codes are predicted.
        gold_NL: Which are gold.
        bins_NB3: What `calibration_bins` says.
        influences: What `influences` says.
    """

    metrics: Mapping[str, float]
    means: Mapping[str, Floats]
    predicted_NL: Booleans = field(repr=False)
    gold_NL: Booleans = field(repr=False)
    bins_NB3: Floats = field(repr=False)
    influences: Mapping[str, Floats]

    def __len__(self) -> int:
        """The number of documents."""
        return len(self.gold_NL)

    @cached_property
    def _counts_N3(self) -> npt.NDArray[np.int64]:
        """Each document's codes that are predicted and gold, predicted, gold."""
        decisions = (self.predicted_NL & self.gold_NL, self.predicted_NL, self.gold_NL)
        return np.stack([where_NL.sum(axis=1) for where_NL in decisions], axis=1)

    def take(self, rows: Sequence[int]) -> "Statistics":
        """The same documents in another order: all positions, each once."""
        order = np.array(rows)
        return Statistics(
            self.metrics,
            {name: values_N[order] for name, values_N in self.means.items()},
            self.predicted_NL[order],
            self.gold_NL[order],
            self.bins_NB3[order],
            {name: values_N[order] for name, values_N in self.influences.items()},
        )

    def resampled(self, weights_RN: npt.NDArray[np.int64]) -> dict[str, Floats]:
        """The metrics of resamples of the documents.

        Areas under curves and macro metrics are linear estimates on the scale of log-odds (`icdcli.metrics.influence`), all
        else is exact.

        Args:
            weights_RN: How often each document stands in each resample.

        Returns:
            Metric name to (R,); NaN where it is undefined.
        """
        values = {
            name: _weighted_means(values_N, weights_RN) for name, values_N in self.means.items()
        }
        right_R, predicted_R, gold_R = (weights_RN @ self._counts_N3).T
        values |= micro_decisions(decision_rates(right_R, predicted_R, gold_R))
        bins_RB3 = np.tensordot(weights_RN, self.bins_NB3, 1)
        values["calibration_error"] = expected_calibration_error(bins_RB3)
        for name, influence_N in self.influences.items():
            values[name] = _moved(self.metrics[name], weights_RN @ influence_N)
        return {name: values[name] for name in self.metrics}


def statistics_of(
    scores_NL: Scores,
    targets_NL: Booleans,
    threshold_L: npt.NDArray[np.float32],
    losses_N: Floats | None = None,
    k: Sequence[int] = (5, 8, 15),
) -> Statistics:
    """Gather a split's statistics.

    Args:
        scores_NL: As in `icdcli.metrics.metrics.evaluate`.
        targets_NL: As there.
        threshold_L: A threshold a label.
        losses_N: Each document's loss, where it is known.
        k: As there.
    """
    metrics = {"loss": float(losses_N.mean())} if losses_N is not None else {}
    metrics |= evaluate(scores_NL, targets_NL, threshold_L, k)
    hits = hits_by_document(scores_NL, targets_NL, k)
    gold_N = np.where(hits.gold_N > 0, hits.gold_N, np.nan)
    means = {
        **({"loss": losses_N} if losses_N is not None else {}),
        "exact_match": exact_matches(scores_NL, targets_NL, threshold_L).astype(np.float64),
        **{f"precision_at_{rank}": hits_N / rank for rank, hits_N in hits.at.items()},
        **{f"recall_at_{rank}": hits_N / gold_N for rank, hits_N in hits.at.items()},
        "r_precision": hits.at_gold_N / gold_N,
        "map": areas_under_curves(scores_NL, targets_NL)[1],
    }
    predicted_NL = scores_NL >= threshold_L
    bins_NB3 = calibration_bins(scores_NL, targets_NL)
    return Statistics(
        metrics,
        means,
        predicted_NL,
        targets_NL,
        bins_NB3,
        influences(scores_NL, predicted_NL, targets_NL),
    )


def _weighted_means(values_N: Floats, weights_RN: npt.NDArray[np.int64]) -> Floats:
    defined_N = ~np.isnan(values_N)
    weights_R = weights_RN @ defined_N.astype(np.float64)
    sums_R = weights_RN @ np.where(defined_N, values_N, 0.0)
    means_R: Floats = np.divide(
        sums_R, weights_R, out=np.full(len(weights_R), np.nan), where=weights_R > 0
    )
    return means_R


def _moved(value: float, by_R: Floats) -> Floats:
    """A value in [0, 1] moved by so much to first order; on the scale of log-odds, so that it stays in there."""
    if np.isnan(value) or value in (0.0, 1.0):
        return np.full(len(by_R), value)
    log_odds_R = np.log(value / (1 - value)) + by_R / (value * (1 - value))
    return np.asarray(1 / (1 + np.exp(-log_odds_R)))
