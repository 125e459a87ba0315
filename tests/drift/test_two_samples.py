"""Tests and effect sizes of differences between two samples, against scipy and by hand."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from icdcli.drift.two_samples import (
    effect_of_shares,
    holm,
    kolmogorov_smirnov,
    population_stability_index,
    shares_differ,
)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
def test_kolmogorov_smirnov_is_that_of_scipy(shift: float) -> None:
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=400), draw.normal(shift, size=300)
    expected = ks_2samp(first, second, method="asymp").pvalue
    assert kolmogorov_smirnov(first, second) == pytest.approx(expected, rel=0.2, abs=0.02)


def test_equal_values_make_it_cautious() -> None:
    draw = np.random.default_rng(0)
    found = [
        kolmogorov_smirnov(draw.poisson(3, 100), draw.poisson(3, 100)) < 0.05 for _ in range(300)
    ]
    assert np.mean(found) < 0.05
    assert kolmogorov_smirnov([1] * 50, [1] * 50) == 1
    assert kolmogorov_smirnov([1] * 50, [2] * 50) < 1e-6


def test_the_index_against_a_calculation_by_hand() -> None:
    expected = np.arange(1, 101)  # ten values per bin
    assert population_stability_index(expected, expected) == 0
    found = np.where(expected <= 50, expected, 101 - expected)  # nothing above 50
    by_hand = 5 * (0.2 - 0.1) * np.log(2) + 5 * (0.001 - 0.1) * np.log(0.001 / 0.1)
    assert population_stability_index(expected, found) == pytest.approx(by_hand, abs=1e-6)
    assert population_stability_index([0] * 100, [0] * 10) == 0
    assert population_stability_index([0] * 100, [5] * 10) > 1


def test_shares() -> None:
    assert shares_differ((5, 100), (5, 100)) == pytest.approx(1)
    assert shares_differ((5, 100), (40, 100)) < 1e-6
    assert effect_of_shares(0.2, 0.2) == 0
    assert effect_of_shares(0.5, 0.0) == pytest.approx(np.pi / 2)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
