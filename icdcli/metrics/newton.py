"""Newton's method, for logistic regressions of few coefficients.

The fits of this package differ in their penalty and in how they sum over the data, but not in their
iteration.

Shapes: P coefficients.
"""

from collections.abc import Callable

import numpy as np

from icdcli.metrics.arrays import Floats


def newton(
    start_P: Floats,
    derivatives: Callable[[Floats], tuple[Floats, Floats]],
    iterations: int,
    tolerance: float,
    max_change: float | None = None,
) -> Floats:
    """Find the minimum of a convex function by Newton's method.

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
    coefficients_P = start_P.copy()
    for _ in range(iterations):
        gradient_P, hessian_PP = derivatives(coefficients_P)
        step_P = np.linalg.solve(hessian_PP, gradient_P)
        largest = float(np.abs(step_P).max())
        scale = max_change / largest if max_change is not None and largest > max_change else 1.0
        coefficients_P -= step_P * scale
        if largest < tolerance:
            break
    return coefficients_P
