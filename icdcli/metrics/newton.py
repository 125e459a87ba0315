"""Newton's method, for logistic regressions of few coefficients.

The fits of this package differ in their penalty and in how they sum over the data, but not in their
iteration.

Shapes: P coefficients, C cases.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from icdcli.metrics.arrays import Floats

_LOGISTIC_STEPS, _LOGISTIC_SMALL = 50, 1e-8


def newton(
    start_P: Floats,
    derivatives: Callable[[Floats], tuple[Floats, Floats]],
    iterations: int,
    tolerance: float,
    max_change: float | None = None,
) -> Floats:
    """Find the minimum of a convex function by Newton's method.

    A step that goes so far beyond the minimum that the function rises there more steeply than it
    fell before is halved.

    Args:
        start_P: The first coefficients.
        derivatives: Returns the gradient (P,) and the Hessian (P, P) at some coefficients.
        iterations: The most iterations.
        tolerance: Stop when no coefficient's step is larger.
        max_change: The most that a coefficient may change per iteration; longer steps are scaled
            down. None: no limit.

    Returns:
        The coefficients (P,).
    """
    coefficients_P, share = start_P.copy(), 1.0
    gradient_P, hessian_PP = derivatives(coefficients_P)
    for _ in range(iterations):
        step_P = np.linalg.solve(hessian_PP, gradient_P)
        largest = float(np.abs(step_P).max())
        scale = max_change / largest if max_change is not None and largest > max_change else 1.0
        next_P = coefficients_P - step_P * (scale * share)
        if largest < tolerance:
            return next_P
        gradient_after_P, hessian_after_P = derivatives(next_P)
        # Such steps could go back and forth around the minimum forever.
        if -(gradient_after_P @ step_P) > gradient_P @ step_P:
            share /= 2
            continue
        coefficients_P, share = next_P, 1.0
        gradient_P, hessian_PP = gradient_after_P, hessian_after_P
    return coefficients_P


def logistic(
    features_CP: NDArray[np.float64], hits_C: NDArray[np.bool_], prior_P: Floats
) -> Floats:
    """Fit a logistic regression with a ridge penalty of 1 towards prior coefficients (P,)."""

    def derivatives(coefficients_P: Floats) -> tuple[Floats, Floats]:
        likely_C = expit(features_CP @ coefficients_P)
        gradient_P = features_CP.T @ (likely_C - hits_C) + (coefficients_P - prior_P)
        weighted_PC = features_CP.T * (likely_C * (1 - likely_C))
        return gradient_P, weighted_PC @ features_CP + np.eye(len(prior_P))

    return newton(prior_P, derivatives, _LOGISTIC_STEPS, _LOGISTIC_SMALL)
