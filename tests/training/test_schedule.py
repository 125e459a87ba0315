import math

import pytest

from icdcli.training.schedule import learning_rate
from icdcli.training.section import TrainConfig


def config(**options):
    return TrainConfig(**{"steps": 1000, "warmup_steps": 100, "lr0": 1e-3, "lrf": 0.01, **options})


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_the_closed_formulas(kind):
    options = config(scheduler_type=kind)
    assert learning_rate(0, options) == 0
    assert learning_rate(50, options) == pytest.approx(0.5e-3)
    assert learning_rate(100, options) == pytest.approx(1e-3)
    assert learning_rate(550, options) == pytest.approx((1e-3 + 1e-5) / 2)
    assert learning_rate(1000, options) == pytest.approx(1e-5)


def test_a_quarter_of_the_way():
    assert learning_rate(325, config(scheduler_type="linear")) == pytest.approx(
        1e-5 + 0.75 * (1e-3 - 1e-5)
    )
    cosine = 0.5 * (1 + math.cos(math.pi / 4))
    assert learning_rate(325, config(scheduler_type="cosine")) == pytest.approx(
        1e-5 + cosine * (1e-3 - 1e-5)
    )


@pytest.mark.parametrize("kind", ["linear", "cosine"])
@pytest.mark.parametrize("lrf", [0.0, 0.01, 1.0])
def test_it_never_falls_below_its_last_value(kind, lrf):
    options = config(scheduler_type=kind, lrf=lrf)
    rates = [learning_rate(step, options) for step in range(100, 3000)]
    assert min(rates) >= options.lr0 * lrf
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(options.lr0 * lrf)


def test_without_warm_up_it_starts_at_the_top():
    assert learning_rate(0, config(warmup_steps=0)) == 1e-3
