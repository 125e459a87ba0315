from typing import Any

import numpy as np
import pytest

from icdcli.evaluation.bootstrap import differences, intervals, weights
from icdcli.evaluation.influence import AREAS
from icdcli.evaluation.metrics import evaluate
from icdcli.evaluation.statistics import Statistics, statistics_of

LINEAR = {*AREAS, *AREAS.values()}


def made_up(seed: int = 0, documents: int = 60, labels: int = 25, skill: float = 2.0, least: float = 0.0) -> tuple[Any, Any]:
    """Documents of labels of which the rarest has so small a share."""
    targets = np.random.default_rng(9).random((documents, labels)) < np.linspace(least, 0.4, labels)
    noise = np.random.default_rng(seed).normal(-1, 1, targets.shape)
    return np.round(1 / (1 + np.exp(-noise - skill * targets)), 2).astype(np.float32), targets


def statistics(scores: Any, targets: Any) -> Statistics:
    losses = np.random.default_rng(3).random(len(scores))
    return statistics_of(scores, targets, np.full(targets.shape[1], 0.4, np.float32), losses)


def test_every_document_once_gives_the_metrics() -> None:
    found = statistics(*made_up())
    once = found.resampled(np.ones((1, len(found)), np.int64))
    assert {name: values[0] for name, values in once.items()} == pytest.approx(dict(found.metrics), abs=1e-12)


def test_a_resample_has_the_metrics_of_its_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, targets = made_up()
    # However sparse the matrices are taken to be, the sums are the same.
    for sparse in (0, 10**9):
        monkeypatch.setattr("icdcli.evaluation.statistics._SPARSE", sparse)
        found, drawn = statistics(scores, targets), next(weights(len(scores), 5, 1))
        resampled = found.resampled(drawn)
        for number, times in enumerate(drawn):
            rows = np.repeat(np.arange(len(scores)), times)
            values = evaluate(scores[rows], targets[rows], 0.4)
            assert all(resampled[name][number] == pytest.approx(values[name], abs=1e-12) for name in values.keys() - LINEAR)


def test_areas_vary_as_much_as_those_of_whole_resamples() -> None:
    scores, targets = made_up(documents=120, least=0.1)
    drawn = next(weights(len(scores), 100, 0))
    resampled = statistics(scores, targets).resampled(drawn)
    rows = [np.repeat(np.arange(len(scores)), times) for times in drawn]
    exact = [evaluate(scores[chosen], targets[chosen], names=sorted(LINEAR)) for chosen in rows]
    for name in LINEAR:
        values = np.array([values[name] for values in exact])
        assert resampled[name].std() == pytest.approx(values.std(), rel=0.15), name
        assert np.corrcoef(resampled[name], values)[0, 1] > 0.9, name


def test_intervals_lie_around_the_metrics_and_are_the_same_twice() -> None:
    found = statistics(*made_up())
    bounds = intervals(found, resamples=200)
    assert bounds == intervals(found, resamples=200) != intervals(found, resamples=200, seed=1)
    assert set(bounds) == set(found.metrics)
    for name, (low, high) in bounds.items():
        assert 0 <= low <= found.metrics[name] <= high, name
        assert name == "loss" or high <= 1


def test_an_interval_has_the_width_of_the_normal_distribution() -> None:
    # Of a mean of independent documents it is known: 1.96 standard errors to either side.
    found = statistics(*made_up(documents=400, labels=3))
    values = found.means["loss"]
    low, high = intervals(found, resamples=2000)["loss"]
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(len(values)), rel=0.06)


def test_more_documents_narrow_an_interval() -> None:
    widths = []
    for documents in (50, 450):
        low, high = intervals(statistics(*made_up(documents=documents)), resamples=200)["f1_micro"]
        widths.append(high - low)
    assert 2 < widths[0] / widths[1] < 4.5


def test_what_is_undefined_has_no_interval() -> None:
    scores = np.full((4, 3), 0.1, np.float32)
    found = statistics_of(scores, np.zeros((4, 3), bool), np.full(3, 0.5, np.float32))
    assert {"f1_micro", "exact_match"} <= set(intervals(found, 20))
    assert not {"map", "aucroc_micro", "f1_macro", "loss"} & set(intervals(found, 20))


def test_a_coder_does_not_differ_from_itself() -> None:
    found = statistics(*made_up())
    assert all((value, low, high) == (0, 0, 0) for value, low, high in differences(found, found, 50).values())


def test_pairing_narrows_a_difference() -> None:
    scores, targets = made_up(skill=3.0)
    better = np.where(targets, np.minimum(scores + 0.02, 1), scores).astype(np.float32)
    first, second = statistics(scores, targets), statistics(better, targets)
    difference = differences(first, second, 300)["map"]
    assert difference.value == pytest.approx(second.metrics["map"] - first.metrics["map"])
    assert difference.is_sure and 0 < difference.low < difference.value < difference.high
    low, high = intervals(first, 300)["map"]
    assert difference.high - difference.low < (high - low) / 1.5


def test_draws_are_of_as_many_documents_with_replacement() -> None:
    drawn = np.concatenate(list(weights(30, 250, 0)))
    assert drawn.shape == (250, 30) and (drawn.sum(axis=1) == 30).all()
    # A document stays out of a resample with a probability of (29/30)**30.
    assert (drawn == 0).mean() == pytest.approx((29 / 30) ** 30, abs=0.02)


def test_documents_may_change_places() -> None:
    found = statistics(*made_up())
    order = np.random.default_rng(0).permutation(len(found)).tolist()
    drawn = next(weights(len(found), 3, 0))
    there, back = found.resampled(drawn[:, order]), found.take(np.argsort(order).tolist()).resampled(drawn)
    assert all(there[name] == pytest.approx(back[name]) for name in there)
