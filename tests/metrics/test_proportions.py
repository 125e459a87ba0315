import pytest

from icdcli.metrics.proportions import wilson_interval


@pytest.mark.parametrize(
    ("passed", "notes", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)],
)
def test_wilson_interval(passed: int, notes: int, low: float, high: float) -> None:
    assert wilson_interval(passed, notes) == pytest.approx((low, high), abs=1e-4)
