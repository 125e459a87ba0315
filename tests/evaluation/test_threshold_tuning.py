from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from icdcli.evaluation.threshold_tuning import best_label_thresholds, best_threshold, shrink, tune
from icdcli.metrics.metrics import evaluate

Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@st.composite
def documents(draw: st.DrawFn) -> Arrays:
    """Return scores with many ties, and targets with at least one positive."""
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 6)))
    few = st.sampled_from(
        [
            *np.float32(
                [0.0, 1e-45, 0.25, 0.5, np.nextafter(np.float32(0.5), np.float32(1)), 0.75, 1.0]
            )
        ]
    )
    scores = draw(hnp.arrays(np.float32, shape, elements=st.one_of(few, st.floats(0, 1, width=32))))
    targets = draw(hnp.arrays(bool, shape))
    targets[draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))] = True
    return scores, targets


def f1(scores: Any, targets: Any, threshold: Any) -> float:
    return evaluate(scores, targets, threshold, names=["f1_micro"])["f1_micro"]


@settings(max_examples=150, deadline=None)
@given(documents())
def test_no_threshold_has_a_better_micro_f1(arrays: Arrays) -> None:
    scores, targets = arrays
    threshold, value = best_threshold(scores, targets)
    every = {float(score): f1(scores, targets, score) for score in np.unique(scores)}
    assert f1(scores, targets, threshold) == value == max(every.values())
    # It is the highest of the equally good ones, or decides as that one does.
    best = max(score for score, found in every.items() if found == value)
    lower = max((score for score in every if score < best), default=0.0)
    assert lower <= threshold <= best
    assert lower < threshold or best == lower


@settings(max_examples=150, deadline=None)
@given(documents(), st.floats(0, 1))
def test_no_threshold_of_a_label_adds_more(arrays: Arrays, wanted: float) -> None:
    scores, targets = arrays

    def gain(label: int, threshold: float) -> float:
        predicted = scores[:, label] >= np.float32(threshold)
        return float(2 * (predicted & targets[:, label]).sum() - wanted * predicted.sum())

    for label, threshold in enumerate(best_label_thresholds(scores, targets, wanted)):
        assert np.isnan(threshold) == (not targets[:, label].any())
        if np.isnan(threshold):
            continue
        best = max(gain(label, score) for score in scores[:, label])
        if best > 0:
            assert gain(label, threshold) == pytest.approx(best)
        else:  # never predict it; but a score of 1 reaches every threshold
            assert threshold >= scores[:, label].max()
            assert threshold > scores[:, label].max() or threshold == 1


def test_a_threshold_is_between_two_scores() -> None:
    scores = np.array([[0.9, 0.7, 0.5, 0.1]], dtype=np.float32)
    assert best_threshold(scores, scores > 0.6) == (pytest.approx(0.6), 1.0)
    assert best_label_thresholds(scores.T, scores.T > 0.6, 0.5) == pytest.approx([0.6])


def test_a_code_that_scores_do_not_separate_is_never_predicted() -> None:
    scores = np.linspace(0.1, 0.8, 8, dtype=np.float32)[:, None]
    assert best_label_thresholds(scores, scores == scores.min(), 0.5) == pytest.approx([0.9])


def test_few_gold_documents_keep_the_threshold_near_the_single_one() -> None:
    own = np.array([0.9, 0.9, 0.9, np.nan])
    drawn = shrink(own, np.array([1, 10, 1000, 0]), 0.5, prior=10)
    assert 0.5 < drawn[0] < drawn[1] < drawn[2] < 0.9
    # Half-way on the log-odds scale.
    assert drawn[1] == pytest.approx(0.75)
    assert drawn[3] == pytest.approx(0.5)
    assert np.isfinite(shrink(np.array([0.0, 1.0]), np.array([5, 5]), 0.3)).all()


def test_a_code_with_another_scale_gets_its_own_threshold() -> None:
    draw = np.random.default_rng(0)
    targets = draw.random((400, 2)) < 0.3
    scores = (
        (np.where(targets, 0.6, 0.4) + draw.normal(0, 0.05, targets.shape))
        .clip(0, 1)
        .astype(np.float32)
    )
    scores[:, 1] /= 4
    one, each = (tune(how, scores, targets, "validation") for how in ("auto", "auto_per_code"))
    assert one.per_code is None
    assert (one.how, one.tuned_on) == ("auto", "validation")
    assert each.per_code is not None
    assert each.per_code[0] > 3 * each.per_code[1]
    assert each.value == one.value
    assert f1(scores, targets, each.values_L(2)) > f1(scores, targets, one.values_L(2)) + 0.1


def test_misses_outside_of_the_label_space_lower_the_threshold() -> None:
    draw = np.random.default_rng(0)
    targets = draw.random((200, 5)) < 0.3
    scores = np.clip(draw.normal(0.35 + 0.3 * targets, 0.2), 0, 1).astype(np.float32)
    known, _ = best_threshold(scores, targets)
    with_misses, best = best_threshold(scores, targets, missed=300)
    assert with_misses < known
    predicted = scores >= with_misses
    assert best == 2 * (predicted & targets).sum() / (predicted.sum() + targets.sum() + 300)
    assert tune("auto", scores, targets, "validation", missed=300).value == with_misses


def test_the_threshold_without_gold_codes_is_one_half() -> None:
    scores, targets = np.full((3, 2), 0.2, np.float32), np.zeros((3, 2), bool)
    assert tune("auto", scores, targets, "validation").value == 0.5
    assert tune("auto_per_code", scores, targets, "validation").per_code == (0.5, 0.5)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    scores, targets = draw.random((50, 20), dtype=np.float32), draw.random((50, 20)) < 0.1
    at_once = tune("auto_per_code", scores, targets, "validation")
    monkeypatch.setattr("icdcli.metrics.arrays._BLOCK", 60)
    assert tune("auto_per_code", scores, targets, "validation") == at_once
