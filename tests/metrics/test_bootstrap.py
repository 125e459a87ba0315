from typing import Any

import numpy as np
import pytest

from icdcli.metrics.bootstrap import differences, intervals, resample_weights
from icdcli.metrics.document_statistics import Statistics, statistics_of
from icdcli.metrics.metrics import evaluate

POOLED = {f"auc{curve}_micro{labels}" for curve in ("roc", "prc") for labels in ("", "_present")}


def made_up(
    seed: int = 0, documents: int = 60, labels: int = 25, skill: float = 2.0, least: float = 0.0
) -> tuple[Any, Any]:
    """Return scores and targets whose rarest label has this share of the documents."""
    targets = np.random.default_rng(9).random((documents, labels)) < np.linspace(least, 0.4, labels)
    noise = np.random.default_rng(seed).normal(-1, 1, targets.shape)
    return np.round(1 / (1 + np.exp(-noise - skill * targets)), 2).astype(np.float32), targets


def statistics(scores: Any, targets: Any) -> Statistics:
    losses = np.random.default_rng(3).random(len(scores))
    return statistics_of(scores, targets, np.full(targets.shape[1], 0.4, np.float32), losses)


def test_every_document_once_gives_the_metrics() -> None:
    found = statistics(*made_up())
    once = found.resampled(np.ones((1, len(found)), np.int64))
    assert {name: values[0] for name, values in once.items()} == pytest.approx(
        dict(found.metrics), abs=1e-12
    )


def test_a_resample_has_the_metrics_of_its_documents() -> None:
    scores, targets = made_up()
    found, drawn = statistics(scores, targets), next(resample_weights(len(scores), 5, 1))
    resampled = found.resampled(drawn)
    for number, times in enumerate(drawn):
        rows = np.repeat(np.arange(len(scores)), times)
        values = evaluate(scores[rows], targets[rows], 0.4)
        # The resamples of Edin's metrics keep the present labels of the split.
        exact = [
            name
            for name in values
            if name not in POOLED and "macro" not in name and "_edin" not in name
        ]
        assert len(exact) == 17
        assert all(
            resampled[name][number] == pytest.approx(values[name], abs=1e-12) for name in exact
        )


def test_a_resample_keeps_the_present_labels_of_edins_metrics() -> None:
    scores, targets = made_up()
    targets[:7] = False
    found, drawn = statistics(scores, targets), next(resample_weights(len(scores), 5, 1))
    resampled = found.resampled(drawn)
    present = targets.any(axis=0)
    for number, times in enumerate(drawn):
        rows = np.repeat(np.arange(len(scores)), times)
        predicted, gold = scores[rows] >= np.float32(0.4), targets[rows]
        counted = gold.any(axis=1)
        predicted, gold = predicted[counted][:, present], gold[counted][:, present]
        f1 = 2 * (predicted & gold).sum() / (predicted.sum() + gold.sum())
        assert resampled["f1_micro_edin"][number] == pytest.approx(f1, abs=1e-12)
        exact = (predicted == gold).all(axis=1).mean()
        assert resampled["exact_match_edin"][number] == pytest.approx(exact, abs=1e-12)


def test_pooled_areas_vary_as_much_as_those_of_whole_resamples() -> None:
    scores, targets = made_up(documents=120, least=0.1)
    drawn = next(resample_weights(len(scores), 100, 0))
    resampled = statistics(scores, targets).resampled(drawn)
    rows = [np.repeat(np.arange(len(scores)), times) for times in drawn]
    exact = [evaluate(scores[chosen], targets[chosen], names=sorted(POOLED)) for chosen in rows]
    for name in POOLED:
        values = np.array([values[name] for values in exact])
        assert resampled[name].std() == pytest.approx(values.std(), rel=0.15), name
        assert np.corrcoef(resampled[name], values)[0, 1] > 0.9, name


def test_intervals_contain_the_metrics_and_are_reproducible() -> None:
    found = statistics(*made_up())
    bounds = intervals(found, resamples=200)
    assert bounds == intervals(found, resamples=200) != intervals(found, resamples=200, seed=1)
    assert set(bounds) == set(found.metrics)
    for name, (low, high) in bounds.items():
        assert 0 <= low <= found.metrics[name] <= high, name
        assert name == "loss" or high <= 1


def test_an_interval_has_the_width_of_the_normal_distribution() -> None:
    # For a mean of independent documents it is known: 1.96 standard errors to either side.
    found = statistics(*made_up(documents=400, labels=3))
    values = found.means["loss"]
    low, high = intervals(found, resamples=2000)["loss"]
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(len(values)), rel=0.06)


def test_the_interval_of_exact_match_is_not_empty_without_matches() -> None:
    # Wilson 1927, none of 21 documents: z²/(n + z²).
    scores, targets = np.full((21, 3), 0.1, np.float32), np.ones((21, 3), bool)
    found = statistics_of(scores, targets, np.full(3, 0.5, np.float32))
    assert intervals(found, 20)["exact_match"] == pytest.approx(
        (0, 1.96**2 / (21 + 1.96**2)), abs=1e-4
    )


def test_more_documents_narrow_an_interval() -> None:
    widths = []
    for documents in (50, 450):
        low, high = intervals(statistics(*made_up(documents=documents)), resamples=200)["f1_micro"]
        widths.append(high - low)
    assert 2 < widths[0] / widths[1] < 4.5


def test_an_undefined_metric_has_no_interval() -> None:
    scores = np.full((4, 3), 0.1, np.float32)
    found = statistics_of(scores, np.zeros((4, 3), bool), np.full(3, 0.5, np.float32))
    assert {"map", "aucroc_micro", "f1_macro"} <= {
        name for name, value in found.metrics.items() if np.isnan(value)
    }
    assert not {"map", "aucroc_micro", "f1_macro", "loss"} & set(intervals(found, 20))


def test_a_metric_that_no_resample_changes_has_no_interval() -> None:
    # Five documents without an error don't show that there are no errors.
    scores, targets = (
        np.tile([[0.9, 0.1]], (5, 1)).astype(np.float32),
        np.tile([[True, False]], (5, 1)),
    )
    found = statistics_of(scores, targets, np.full(2, 0.5, np.float32))
    assert found.metrics["f1_micro"] == found.metrics["map"] == 1
    assert set(intervals(found, 50)) == {"exact_match", "exact_match_edin"}
    alone = statistics_of(scores[:1], targets[:1], np.full(2, 0.5, np.float32))
    assert set(intervals(alone, 50)) == {"exact_match", "exact_match_edin"}


def test_a_macro_metric_of_one_document_has_no_interval_and_no_sure_difference() -> None:
    draw = np.random.default_rng(0)
    targets = np.zeros((50, 4), bool)
    targets[7, :3] = True
    scores = [draw.random(targets.shape).astype(np.float32) for _ in range(2)]
    first, second = (statistics_of(each, targets, np.full(4, 0.5, np.float32)) for each in scores)
    assert not {"aucroc_macro", "aucprc_macro", "f1_macro"} & set(intervals(first, 50))
    found = differences(first, second, 50)["aucroc_macro"]
    assert (found.low, found.high, found.sure) == (-1, 1, False)


def test_a_model_does_not_differ_from_itself() -> None:
    found = statistics(*made_up())
    assert all(found == (0, 0, 0, False) for found in differences(found, found, 50).values())


def test_pairing_narrows_a_difference() -> None:
    scores, targets = made_up(skill=3.0)
    better = np.where(targets, np.minimum(scores + 0.02, 1), scores).astype(np.float32)
    first, second = statistics(scores, targets), statistics(better, targets)
    difference = differences(first, second, 300)["map"]
    assert difference.value == pytest.approx(second.metrics["map"] - first.metrics["map"])
    assert difference.sure
    assert 0 < difference.low < difference.value < difference.high
    low, high = intervals(first, 300)["map"]
    assert difference.high - difference.low < (high - low) / 1.5


def test_documents_are_drawn_with_replacement() -> None:
    drawn = np.concatenate(list(resample_weights(30, 250, 0)))
    assert drawn.shape == (250, 30)
    assert (drawn.sum(axis=1) == 30).all()
    # A document is missing from a resample with a probability of (29/30)**30.
    assert (drawn == 0).mean() == pytest.approx((29 / 30) ** 30, abs=0.02)


def test_the_order_of_documents_does_not_matter() -> None:
    found = statistics(*made_up())
    order = np.random.default_rng(0).permutation(len(found)).tolist()
    drawn = next(resample_weights(len(found), 3, 0))
    there, back = (
        found.resampled(drawn[:, order]),
        found.take(np.argsort(order).tolist()).resampled(drawn),
    )
    assert all(there[name] == pytest.approx(back[name]) for name in there)


def rare_codes(draw: np.random.Generator, documents: int, models: int) -> tuple[list[Any], Any]:
    """Return the statistics of models of equal quality on the same documents.

    Most codes are in one or two documents, as in discharge notes.
    """
    shares = np.clip(0.3 / np.arange(1, 201) ** 0.9, 0.005, None)
    targets = draw.random((documents, len(shares))) < shares
    logits = np.log(shares / (1 - shares)) + (2.5 + draw.normal(0, 0.5, (documents, 1))) * targets
    logits += draw.normal(0, 1, targets.shape)
    return [
        (1 / (1 + np.exp(-logits - draw.normal(0, 1, targets.shape)))).astype(np.float32)
        for _ in range(models)
    ], targets


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Statistics, Statistics]]:
    """Return a hundred rounds of two models of equal quality on a hundred documents."""
    draw, made = np.random.default_rng(1), []
    for _ in range(100):
        scores, targets = rare_codes(draw, 100, models=2)
        first, second = (
            statistics_of(each, targets, np.full(200, 0.3, np.float32)) for each in scores
        )
        made.append((first, second))
    return made


@pytest.mark.slow
def test_models_of_equal_quality_seldom_differ_surely(
    pairs: list[tuple[Statistics, Statistics]],
) -> None:
    sure: dict[str, int] = {}
    for seed, (first, second) in enumerate(pairs):
        for name, difference in differences(first, second, 200, seed).items():
            sure[name] = sure.get(name, 0) + difference.sure
    assert len(sure) == 45
    # Five in a hundred are expected; fourteen would be four standard errors more.
    assert max(sure.values()) <= 14, sure


@pytest.mark.slow
def test_intervals_contain_the_expected_metric(pairs: list[tuple[Statistics, Statistics]]) -> None:
    found = [first for first, _ in pairs]
    bounds = [intervals(each, 200, seed) for seed, each in enumerate(found)]
    for name in found[0].metrics:
        mean = np.mean([each.metrics[name] for each in found])
        held = sum(each[name].low <= mean <= each[name].high for each in bounds)
        assert held >= 86, (name, held)


def one_better(documents: int, better: int) -> dict[str, Any]:
    """Return two models; the second finds a code that the first misses in some documents."""
    draw = np.random.default_rng(4)
    targets = draw.random((documents, 8)) < 0.3
    targets[:better, 0] = True
    scores = np.where(targets, 0.8, 0.2) + draw.normal(0, 0.02, targets.shape)
    scores[5:9, 1:] = 1 - scores[5:9, 1:]  # neither is perfect
    second = scores.copy()
    scores[:better, 0] = 0.21
    made = [
        statistics_of(each.astype(np.float32), targets, np.full(8, 0.5, np.float32))
        for each in (scores, second)
    ]
    return dict(differences(*made, 400))


@pytest.mark.parametrize("better", [1, 2, 3, 4, 5])
def test_a_difference_in_few_documents_is_never_sure(better: int) -> None:
    found = one_better(200, better)
    assert found["f1_micro"].value > 0
    assert len(found) == 45
    assert not [name for name, difference in found.items() if difference.sure]


def test_a_difference_in_more_documents_is_sure() -> None:
    found = one_better(200, 12)
    assert {"f1_micro", "f1_macro", "recall_micro", "aucprc_micro", "map", "exact_match"} <= {
        name for name, difference in found.items() if difference.sure
    }


def test_no_difference_is_sure_with_few_documents() -> None:
    draw = np.random.default_rng(6)
    for documents in (1, 2, 5):
        targets = draw.random((documents, 30)) < 0.3
        targets[:, 0] = True
        good, bad = targets * 0.9, 0.9 - targets * 0.8
        made = [
            statistics_of(each.astype(np.float32), targets, np.full(30, 0.5, np.float32))
            for each in (bad, good)
        ]
        assert not [name for name, difference in differences(*made, 100).items() if difference.sure]


@pytest.mark.slow
@pytest.mark.parametrize("documents", [10, 20])
def test_with_few_documents_models_of_equal_quality_seldom_differ_surely(documents: int) -> None:
    draw, rounds = np.random.default_rng(8), 100
    sure: dict[str, int] = {}
    for seed in range(rounds):
        scores, targets = rare_codes(draw, documents, models=2)
        first, second = (
            statistics_of(each, targets, np.full(200, 0.3, np.float32)) for each in scores
        )
        for name, difference in differences(first, second, 200, seed).items():
            sure[name] = sure.get(name, 0) + difference.sure
    assert max(sure.values()) <= 18, sure


def test_a_difference_of_few_documents_stays_possible() -> None:
    gold = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1]], bool)
    sure = (gold * 0.9).astype(np.float32)
    one_code = sure * np.array([1, 0, 0], np.float32)
    found = differences(statistics(sure, gold), statistics(one_code, gold))
    for name, difference in found.items():
        if name != "loss":
            assert -1 <= difference.low <= difference.high <= 1, name
