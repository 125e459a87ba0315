"""Statistics per document, from which the metrics of any resample follow without the scores.

A split's statistics take a few megabytes, its scores hundreds. The statistics are stored with an
evaluation, and runs are compared by them.

Shapes: N documents, L labels, B bins, R resamples.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from icdcli.metrics.arrays import Booleans, Floats, Scores
from icdcli.metrics.by_document import (
    caml_recalls,
    codiesp_precisions,
    edin_values,
    exact_matches,
    hits_by_document,
)
from icdcli.metrics.calibration import calibration_bins, expected_calibration_error
from icdcli.metrics.influence import influences
from icdcli.metrics.metrics import decision_rates, evaluate, micro_decisions
from icdcli.metrics.ranking import areas_under_curves


@dataclass(frozen=True)
class Statistics:
    """The statistics of a split; `statistics_of` computes them.

    Attributes:
        metrics: Metric to value, for every metric of the split; the loss first if it is known.
        means: For metrics that are a mean over documents: metric to the value of each document
            (N,), NaN for documents that have none.
        predicted_NL: The predicted codes.
        gold_NL: The gold codes.
        bins_NB3: As `calibration_bins` returns them.
        influences: As `influences` returns them.
    """

    metrics: Mapping[str, float]
    means: Mapping[str, Floats]
    predicted_NL: Booleans = field(repr=False)
    gold_NL: Booleans = field(repr=False)
    bins_NB3: Floats = field(repr=False)
    influences: Mapping[str, Floats]

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.gold_NL)

    @cached_property
    def _counts_N3(self) -> npt.NDArray[np.int64]:
        """Return for each document the numbers of true positives, predicted codes, gold codes."""
        return _counts(self.predicted_NL, self.gold_NL)

    @cached_property
    def _edin_counts_N3(self) -> npt.NDArray[np.int64]:
        """Return the same of present labels; 0 for documents without a gold code."""
        present_L = self.gold_NL.any(axis=0)
        counts_N3 = _counts(self.predicted_NL[:, present_L], self.gold_NL[:, present_L])
        return np.asarray(counts_N3 * (counts_N3[:, 2:] > 0))

    def take(self, rows: Sequence[int]) -> "Statistics":
        """Return the same documents in another order: `rows` has every position once."""
        order = np.array(rows)
        return Statistics(
            self.metrics,
            {name: values_N[order] for name, values_N in self.means.items()},
            self.predicted_NL[order],
            self.gold_NL[order],
            self.bins_NB3[order],
            {name: values_N[order] for name, values_N in self.influences.items()},
        )

    def only(self, names: Container[str]) -> "Statistics":
        """Return the same documents with some of the metrics."""
        return replace(
            self,
            metrics={name: value for name, value in self.metrics.items() if name in names},
            means={name: values_N for name, values_N in self.means.items() if name in names},
            influences={
                name: values_N for name, values_N in self.influences.items() if name in names
            },
        )

    def resampled(self, weights_RN: npt.NDArray[np.int64]) -> dict[str, Floats]:
        """Return the metrics of resamples of the documents.

        Areas under curves and macro metrics are linear estimates on the scale of log-odds
        (`icdcli.metrics.influence`); all others are exact. The present labels of Edin's metrics are
        those of the split in every resample.

        Args:
            weights_RN: How often each document occurs in each resample.

        Returns:
            Metric name to (R,); NaN if undefined.
        """
        values = {
            name: _weighted_means(values_N, weights_RN) for name, values_N in self.means.items()
        }
        right_R, predicted_R, gold_R = (weights_RN @ self._counts_N3).T
        values |= micro_decisions(decision_rates(right_R, predicted_R, gold_R))
        edin_R3 = (weights_RN @ self._edin_counts_N3).T
        micro_edin = micro_decisions(decision_rates(*edin_R3))
        values |= {f"{name}_edin": values_R for name, values_R in micro_edin.items()}
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
    unscored_NL: Booleans | None = None,
) -> Statistics:
    """Compute a split's statistics.

    Args:
        scores_NL: As in `icdcli.metrics.metrics.evaluate`.
        targets_NL: As there.
        threshold_L: The threshold of each label.
        losses_N: The loss of each document, if known.
        k: As there.
        unscored_NL: As there.
    """
    if unscored_NL is not None:
        unscored_NL = np.broadcast_to(unscored_NL, scores_NL.shape)
    metrics = {"loss": float(losses_N.mean())} if losses_N is not None else {}
    metrics |= evaluate(scores_NL, targets_NL, threshold_L, k, unscored_NL=unscored_NL)
    hits = hits_by_document(scores_NL, targets_NL, k, unscored_NL)
    gold_N = np.where(hits.gold_N > 0, hits.gold_N, np.nan)
    means = {
        **({"loss": losses_N} if losses_N is not None else {}),
        "exact_match": exact_matches(scores_NL, targets_NL, threshold_L).astype(np.float64),
        **{f"precision_at_{rank}": hits_N / rank for rank, hits_N in hits.at.items()},
        **{f"recall_at_{rank}": hits_N / gold_N for rank, hits_N in hits.at.items()},
        "r_precision": hits.at_gold_N / gold_N,
        "map": areas_under_curves(scores_NL, targets_NL, unscored_NL)[1],
        **caml_recalls(hits),
        "map_codiesp": codiesp_precisions(scores_NL, targets_NL, unscored_NL),
        **edin_values(scores_NL, targets_NL, threshold_L, k, unscored_NL),
    }
    predicted_NL = scores_NL >= threshold_L
    bins_NB3 = calibration_bins(scores_NL, targets_NL)
    return Statistics(
        metrics,
        means,
        predicted_NL,
        targets_NL,
        bins_NB3,
        influences(scores_NL, predicted_NL, targets_NL, unscored_NL),
    )


def _counts(predicted_NL: Booleans, gold_NL: Booleans) -> npt.NDArray[np.int64]:
    decisions = (predicted_NL & gold_NL, predicted_NL, gold_NL)
    return np.stack([mask_NL.sum(axis=1) for mask_NL in decisions], axis=1)


def _weighted_means(values_N: Floats, weights_RN: npt.NDArray[np.int64]) -> Floats:
    defined_N = ~np.isnan(values_N)
    weights_R = weights_RN @ defined_N.astype(np.float64)
    sums_R = weights_RN @ np.where(defined_N, values_N, 0.0)
    means_R: Floats = np.divide(
        sums_R, weights_R, out=np.full(len(weights_R), np.nan), where=weights_R > 0
    )
    return means_R


def _moved(value: float, by_R: Floats) -> Floats:
    """Move a value in [0, 1] by a first-order change, on the log-odds scale to stay in [0, 1]."""
    if np.isnan(value) or value in (0.0, 1.0):
        return np.full(len(by_R), value)
    log_odds_R = np.log(value / (1 - value)) + by_R / (value * (1 - value))
    return np.asarray(1 / (1 + np.exp(-log_odds_R)))
