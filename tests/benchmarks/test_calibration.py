"""The benchmark of calibrations finds a gain of bands if there is one, and none if there isn't."""

import numpy as np
import pytest


@pytest.fixture
def made(script):
    """Return a function that draws pairs whose codes are gold by score, and in bands less often."""

    def draw_pairs(fewer):
        draw = np.random.default_rng(0)
        scores_P = draw.uniform(0.02, 0.98, 6000).round(4)
        counts_P = draw.choice([0, 5, 30], 6000)
        gold_P = draw.random(6000) < scores_P * np.where(counts_P == 5, fewer, 1)
        rows_P = np.repeat(np.arange(300), 20)
        return script("calibration").Pairs(scores_P, gold_P, scores_P >= 0.5, rows_P, counts_P, 300)

    return draw_pairs


BANDS = ("and an offset per band", "one per band")


def test_bands_that_differ_are_worth_their_own_calibration(script, made):
    found = script("calibration").compare_ways(made(fewer=0.4))
    for way in BANDS:
        assert found[way]["difference"][2] < -0.02  # all of the interval
        assert found[way]["brier"] < found["one for all codes"]["brier"]
        assert found[way]["accepted"][0] > found["one for all codes"]["accepted"][0]


def test_bands_that_are_alike_are_not(script, made):
    found = script("calibration").compare_ways(made(fewer=1))
    assert found["one for all codes"]["difference"] == [0, 0, 0]
    for way in BANDS:
        assert found[way]["difference"][2] > 0
        assert found[way]["brier"] == pytest.approx(found["the score"]["brier"], abs=0.003)
