"""Differences between two samples: tests, effect sizes, and a rule for many tests.

Shapes: N values of the one sample, M of the other, T tests.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_BINS = 10
_SMALLEST = 1e-3  # the least share of a bin, which keeps the index finite


def kolmogorov_smirnov(first_N: npt.ArrayLike, second_M: npt.ArrayLike) -> float:
    """Return the p-value of the two-sample test of Kolmogorov and Smirnov.

    It is that of large samples, and too high if there are equal values: the test is then cautious.
    """
    from scipy.special import kolmogorov  # takes a moment to import

    first_N, second_M = np.sort(first_N), np.sort(second_M)
    values = np.concatenate([first_N, second_M])
    shares = [np.searchsorted(one, values, "right") / len(one) for one in (first_N, second_M)]
    distance = float(np.abs(shares[0] - shares[1]).max())
    effective = len(first_N) * len(second_M) / (len(first_N) + len(second_M))
    return float(kolmogorov(np.sqrt(effective) * distance))


def population_stability_index(expected_N: Sequence[float], found_M: Sequence[float]) -> float:
    """Return the population stability index over the deciles of the first sample.

    Below .1 is commonly read as no shift, from .25 as a strong one. Deciles with the same value
    are one bin.
    """
    edges = np.unique(np.quantile(expected_N, np.arange(1, _BINS) / _BINS))
    shares = [
        np.bincount(np.searchsorted(edges, one, "left"), minlength=len(edges) + 1) / np.size(one)
        for one in (expected_N, found_M)
    ]
    expected, found = (np.maximum(share, _SMALLEST) for share in shares)
    return float(((found - expected) * np.log(found / expected)).sum())


def shares_differ(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Return the p-value of Fisher's exact test that two shares are the same.

    Args:
        first: The cases that count and all cases of the one sample.
        second: Those of the other.
    """
    from scipy.stats import fisher_exact  # takes a moment to import

    table = [[passed, cases - passed] for passed, cases in (first, second)]
    return float(fisher_exact(table).pvalue)


def effect_of_shares(first: float, second: float) -> float:
    """Return Cohen's effect size h of two shares: from .2 small, from .5 medium, from .8 large."""
    angles = [2 * np.arcsin(np.sqrt(share)) for share in (first, second)]
    return float(abs(angles[0] - angles[1]))


def holm(p_T: Sequence[float]) -> list[float]:
    """Return p-values for many tests at once, by Holm's rule (1979).

    The chance that any of these is below a level by chance is at most that level.
    """
    order = np.argsort(p_T, kind="stable")
    adjusted, highest = [1.0] * len(p_T), 0.0
    for place, test in enumerate(order):
        highest = max(highest, min(1.0, (len(p_T) - place) * p_T[test]))
        adjusted[test] = highest
    return adjusted
