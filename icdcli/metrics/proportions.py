"""Intervals of shares of few cases."""

import math

import numpy as np
import numpy.typing as npt

_Z = 1.959963984540054  # the 97.5th percentile of the normal distribution


def wilson_interval(passed: int, cases: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Args:
        passed: The cases that count.
        cases: All cases, at least one.
    """
    share, weight = passed / cases, _Z**2 / cases
    middle = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return max(0.0, middle - half), min(1.0, middle + half)


def clopper_pearson(passed: float, cases: float) -> tuple[float, float]:
    """Return the exact 95 % interval of a share (Clopper and Pearson 1934, doi:10.2307/2331986).

    Args:
        passed: The cases that count; with `cases` an effective number, it needn't be whole.
        cases: All cases, more than none.
    """
    from scipy.special import betaincinv  # takes a moment to import

    low = float(betaincinv(passed, cases - passed + 1, 0.025)) if passed > 0 else 0.0
    high = float(betaincinv(passed + 1, cases - passed, 0.975)) if passed < cases else 1.0
    return low, high


def clustered_interval(
    passed_P: npt.ArrayLike, clusters_P: npt.ArrayLike
) -> tuple[float, float] | None:
    """Return the 95 % interval of a share of cases that come in clusters, such as documents.

    Cases of one cluster are alike, so there is less to learn from them than from as many
    independent cases. The interval is that of Clopper and Pearson for the effective number of cases
    (Korn and Graubard 1998): their number divided by the design effect, if that is above 1.

    Args:
        passed_P: Whether each case counts.
        clusters_P: The cluster of each case.

    Returns:
        The interval; None: there are no cases.
    """
    passed_P = np.asarray(passed_P, np.float64)
    cases = len(passed_P)
    if not cases:
        return None
    share = float(passed_P.mean())
    clusters_P = np.unique(np.asarray(clusters_P), return_inverse=True)[1]
    clusters, effect = int(clusters_P.max()) + 1, 1.0
    if 0 < share < 1 and clusters > 1:
        residuals = np.bincount(clusters_P, passed_P - share)
        variance = float((residuals**2).sum()) / cases**2 * clusters / (clusters - 1)
        effect = max(1.0, variance / (share * (1 - share) / cases))
    effective = cases / effect
    return clopper_pearson(share * effective, effective)
