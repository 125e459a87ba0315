"""Intervals of shares of few cases."""

import math

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
