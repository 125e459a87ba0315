import numpy as np
import pytest
from scipy.stats import binomtest

from icdcli.metrics.proportions import clopper_pearson, clustered_interval, wilson_interval


@pytest.mark.parametrize(
    ("passed", "notes", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)],
)
def test_wilson_interval(passed: int, notes: int, low: float, high: float) -> None:
    assert wilson_interval(passed, notes) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("passed", "cases"), [(0, 10), (5, 10), (10, 10), (299, 300)])
def test_clopper_pearson_is_exact(passed: int, cases: int) -> None:
    expected = binomtest(passed, cases).proportion_ci(method="exact")
    assert clopper_pearson(passed, cases) == pytest.approx((expected.low, expected.high))


def test_independent_cases_have_the_interval_of_clopper_and_pearson() -> None:
    passed = np.arange(100) % 10 != 0
    low, high = clustered_interval(passed, np.arange(100)) or (0.0, 0.0)
    assert (low, high) == pytest.approx(clopper_pearson(90, 100), abs=2e-3)
    assert clustered_interval([], []) is None
    assert clustered_interval([True] * 20, [0] * 20) == clopper_pearson(20, 20)


def test_alike_cases_count_less_so_that_the_interval_holds() -> None:
    """In nine of ten documents all codes are right; a document is worth one case."""
    draw = np.random.default_rng(0)
    clusters = np.repeat(np.arange(60), 10)
    held, naive = 0, 0
    for _ in range(400):
        passed = np.repeat(draw.random(60) < 0.9, 10)
        low, high = clustered_interval(passed, clusters) or (0.0, 0.0)
        held += low <= 0.9 <= high
        low, high = clopper_pearson(int(passed.sum()), len(passed))
        naive += low <= 0.9 <= high
    assert held / 400 > 0.92
    assert naive / 400 < 0.6
