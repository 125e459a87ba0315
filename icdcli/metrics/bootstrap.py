"""95 % confidence intervals of metrics, and of differences between models, by resampling documents.

Documents are drawn with replacement, each with all its codes, because the codes of one document are
not independent (Efron 1979). Models are compared on the same draws (paired), so that the difficulty
of a document, which is the same for both, cancels out. The seed is fixed: a second call gives the
same numbers.

The bounds are as far from the metric as the 2.5th and the 97.5th percentiles of the resamples are
from their mean, expanded by the ratio of the quantiles of Student's t and of the normal
distribution (Hesterberg 2015): 10 % for 20 documents. Means over documents and ratios of counts are
computed for each resample. For macro metrics this gives intervals that are far too narrow, mostly
because of codes that are in one document. Macro metrics and areas under curves are therefore
estimated from the influence of each document in the resample (`icdcli.metrics.influence`).

In a simulation with 300 documents and 400 codes, two in three of them in one document or none, the
intervals contained the metric's expectation in 92 to 98 of 100 rounds, those of macro metrics in 96
to 98. Between two models of equal quality, on 20, 60 or 250 documents, at most 8 of 100 differences
were wrongly reported as sure; for macro metrics, at most 6.

The intervals reflect which documents were sampled, not the variation between training runs.

Shapes: N documents, R resamples.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from icdcli.metrics.arrays import Floats
from icdcli.metrics.document_statistics import Statistics
from icdcli.metrics.proportions import wilson_interval

RESAMPLES = 1000
_AT_ONCE = 100  # resamples in memory together
_BOUNDS = (2.5, 97.5)
MIN_DIFFERENT = 6
"""Documents that must differ: with five, all five favor the same one of two equal models in 6 of
100 cases (sign test)."""


class Interval(NamedTuple):
    """The bounds of a 95 % interval."""

    low: float
    high: float


class Difference(NamedTuple):
    """The difference of a metric between two models.

    Attributes:
        value: The second model's value minus the first's.
        low: The lower bound of the 95 % interval of the difference.
        high: The upper bound.
        sure: Whether the interval excludes zero and at least `MIN_DIFFERENT` documents differ.
    """

    value: float
    low: float
    high: float
    sure: bool


def intervals(
    statistics: Statistics, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """Return the 95 % intervals of metrics.

    Args:
        statistics: The statistics of a split.
        resamples: The number of resamples.
        seed: The seed of the resamples.

    Returns:
        Metric name to interval. Metrics that are undefined, or the same in all resamples, have
        none.
    """
    drawn = _joined(
        statistics.resampled(weights_RN)
        for weights_RN in resample_weights(len(statistics), resamples, seed)
    )
    found = {}
    for name, values_R in drawn.items():
        if name in ("exact_match", "exact_match_edin", "principal_accuracy"):
            # If no document matches, none does in any resample, and resampling gives no interval.
            # The share is binomial: Wilson's interval holds for few documents, too.
            counted = statistics.means[name][~np.isnan(statistics.means[name])]
            if not len(counted):
                continue
            found[name] = Interval(*wilson_interval(int(counted.sum()), len(counted)))
        elif _vary(values_R):
            low, high = _bounds(statistics.metrics[name], values_R, len(statistics))
            found[name] = Interval(max(low, 0.0), high if name == "loss" else min(high, 1.0))
    return found


def differences(
    first: Statistics, second: Statistics, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Difference]:
    """Return the differences between the metrics of two models on the same documents.

    Args:
        first: The statistics of the first model.
        second: Those of the second model, documents in the same order.
        resamples: The number of resamples.
        seed: The seed of the resamples.

    Returns:
        Metric name to difference, for metrics that both have and that are defined.
    """
    drawn = [
        _joined(
            statistics.resampled(weights_RN)
            for weights_RN in resample_weights(len(statistics), resamples, seed)
        )
        for statistics in (first, second)
    ]
    found = {}
    for name in first.metrics:
        value = second.metrics.get(name, np.nan) - first.metrics[name]
        if not np.isnan(value):
            values_R = drawn[1][name] - drawn[0][name]
            low, high = (
                (-1.0, 1.0) if np.isnan(values_R).all() else _bounds(value, values_R, len(first))
            )
            if name != "loss":
                low, high = max(low, -1.0), min(high, 1.0)
            enough = documents_that_differ(first, second, name) >= MIN_DIFFERENT
            found[name] = Difference(value, low, high, sure=enough and not low <= 0 <= high)
    return found


def documents_that_differ(first: Statistics, second: Statistics, name: str) -> float:
    """Return the number of documents in which two models differ with regard to a metric.

    For metrics with influences it is the effective number: the number of documents with equal
    differences that would give the same variance.
    """
    if name in first.means:
        return float(np.count_nonzero(np.nan_to_num(second.means[name] - first.means[name])))
    if name in first.influences:
        squares_N = (second.influences[name] - first.influences[name]) ** 2
        return float(squares_N.sum() ** 2 / max((squares_N**2).sum(), 1e-300))
    if name == "calibration_error":
        return float((first.bins_NB3 != second.bins_NB3).any(axis=(1, 2)).sum())
    return float((first.predicted_NL != second.predicted_NL).any(axis=1).sum())


def resample_weights(documents: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield how often each document occurs in each resample (R, N), some resamples at a time."""
    draw = np.random.Generator(np.random.PCG64(seed))
    for start in range(0, resamples, _AT_ONCE):
        rows = [
            np.bincount(draw.integers(0, documents, documents), minlength=documents)
            for _ in range(min(_AT_ONCE, resamples - start))
        ]
        yield np.stack(rows)


def resampled_interval(value: float, values_R: Floats, documents: int) -> Interval | None:
    """Return the 95 % interval of a metric from its values in resamples; None: they don't vary."""
    return Interval(*_bounds(value, values_R, documents)) if _vary(values_R) else None


def _vary(values_R: Floats) -> bool:
    defined = values_R[~np.isnan(values_R)]
    return len(defined) > 0 and bool(np.ptp(defined) > 1e-12)


def _bounds(value: float, values_R: Floats, documents: int) -> tuple[float, float]:
    expanded = (
        stdtrit(documents - 1, 0.975) / ndtri(0.975) * np.sqrt(documents / (documents - 1))
        if documents > 1
        else 1.0
    )
    low, high = value + expanded * (np.nanpercentile(values_R, _BOUNDS) - np.nanmean(values_R))
    return float(low), float(high)


def _joined(parts: Iterator[Mapping[str, Floats]]) -> dict[str, Floats]:
    blocks = list(parts)
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
