"""Newton's method."""

import numpy as np
import pytest

from icdcli.metrics.newton import newton

FEATURES_XP = np.array([[0, 1], [3, 1], [0.1, 1]], float)
COUNTS_X = np.array([20_000, 40, 400], float)
GOLD_X = np.array([2, 20, 2], float)


def derivatives(weights_P):
    """Return the derivatives of the loss of a logistic regression on rare pairs."""
    chance_X = 1 / (1 + np.exp(-np.clip(FEATURES_XP @ weights_P, -30, 30)))
    gradient_P = FEATURES_XP.T @ (COUNTS_X * chance_X - GOLD_X)
    weight_X = COUNTS_X * chance_X * (1 - chance_X)
    return gradient_P, FEATURES_XP.T @ (FEATURES_XP * weight_X[:, None])


@pytest.mark.parametrize("bias", [0.0, -9.0, -18.0, 12.0])
def test_the_minimum_is_found_from_afar(bias):
    found_P = newton(np.array([0, bias]), derivatives, 30, 1e-6, 5.0)
    assert np.abs(derivatives(found_P)[0]).max() < 1e-3


def test_a_quadratic_function_takes_one_step():
    hessian_PP = np.array([[2, 0.5], [0.5, 1]])
    wanted_P = np.array([3.0, -2.0])
    found_P = newton(
        np.zeros(2), lambda weights_P: (hessian_PP @ (weights_P - wanted_P), hessian_PP), 1, 0.0
    )
    assert np.allclose(found_P, wanted_P)
