from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import precision_recall_curve

from icdcli.evaluation.curves import (
    calibration,
    confusions,
    f1_by_frequency,
    precision_recall,
    precision_recall_curves,
)
from icdcli.evaluation.evaluate import Evaluation
from icdcli.icd.code_system import open_code_system
from icdcli.model.threshold import Threshold

Make = Callable[..., Evaluation]


@st.composite
def documents(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 6)))
    scores = hnp.arrays(
        np.float32, shape, elements=st.sampled_from([*np.float32([0.0, 0.2, 0.25, 0.5, 0.75, 1.0])])
    )
    return draw(scores), draw(hnp.arrays(bool, shape))


@settings(max_examples=100, deadline=None)
@given(documents())
def test_precision_and_recall_equal_scikit_learn(arrays: tuple[Any, Any]) -> None:
    scores, targets = arrays
    curve = precision_recall(scores, targets)
    if not targets.any():
        assert curve.x == curve.y == []
        return
    precision, recall, _ = precision_recall_curve(targets.ravel(), scores.ravel())
    every = {
        (round(x, 9), round(y, 9)) for x, y in zip(recall.tolist(), precision.tolist(), strict=True)
    }
    assert {(round(x, 9), round(y, 9)) for x, y in zip(curve.x, curve.y, strict=True)} <= every
    assert curve.x == sorted(curve.x)
    assert curve.x[-1] == 1.0


def test_a_long_curve_is_thinned_evenly() -> None:
    draw = np.random.default_rng(0)
    curve = precision_recall(
        draw.random((300, 100), dtype=np.float32), draw.random((300, 100)) < 0.3
    )
    assert 300 <= len(curve.x) <= 400
    assert max(np.diff(curve.x)) < 0.01


def test_gold_codes_without_scores_are_never_found(made_up_evaluation: Make) -> None:
    whole = made_up_evaluation()
    scores_NL = whole.scored.scores_NL.copy()
    scores_NL[:, -1] = 0
    scored = replace(whole.scored, scores_NL=scores_NL)
    evaluation = replace(whole, scored=scored, outside=1)
    known, missed = whole.targets_NL[:, :-1].sum(), whole.targets_NL[:, -1].sum()
    curves = precision_recall_curves(evaluation)
    assert curves["all codes"].x[-1] == pytest.approx(known / (known + missed))
    assert curves["11-50 in training"].x[-1] == 1
    assert curves["51-500 in training"].x[-1] < 1


def test_there_is_a_curve_of_all_codes_and_one_per_frequency_band(made_up_evaluation: Make) -> None:
    names = list(precision_recall_curves(made_up_evaluation()))
    assert names == [
        "all codes",
        ">500 in training",
        "51-500 in training",
        "11-50 in training",
        "1-10 in training",
        "never in training",
    ]


def test_calibration_gives_the_error(made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation()
    bins = calibration(evaluation)
    gaps = np.abs(np.array(bins.scores) - bins.gold) @ np.array(bins.counts) / sum(bins.counts)
    assert gaps == pytest.approx(evaluation.metrics["calibration_error"])
    assert sum(bins.counts) == 40 * 12


def test_f1_by_frequency_is_of_gold_codes(made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation()
    codes, means = f1_by_frequency(evaluation)
    assert codes.x == sorted(
        evaluation.labels.train_counts[label] for label in range(12) if label != 10
    )  # which is never gold
    assert np.mean(codes.y) == pytest.approx(evaluation.metrics["f1_macro"])
    assert means[">500"] == evaluation.by_training_frequency[">500"]["f1_macro"]


def test_confusions_by_hand(made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation(threshold=Threshold(0.35), skill=0.5)
    predicted, gold = evaluation.statistics.predicted_NL, evaluation.targets_NL
    place = {code: label for label, code in enumerate(evaluation.labels.codes)}
    found = confusions(evaluation, open_code_system("icd9"))
    assert found
    assert all(pairs == sorted(pairs, key=lambda pair: -pair.documents) for pairs in found.values())
    circulatory = found["Diseases of the circulatory system (390-459)"]
    assert {code for pair in circulatory for code in (pair.missed, pair.instead)} <= {
        "401.9",
        "410.71",
        "427.31",
        "428.0",
    }
    for pair in circulatory:
        missed = gold[:, place[pair.missed]] & ~predicted[:, place[pair.missed]]
        extra = predicted[:, place[pair.instead]] & ~gold[:, place[pair.instead]]
        assert (pair.documents, pair.of) == (
            (missed & extra).sum(),
            missed.sum(),
        )
        assert pair.missed != pair.instead
    assert list(confusions(evaluation, None)) == ["all codes"]


def test_a_perfect_model_confuses_nothing(made_up_evaluation: Make) -> None:
    assert confusions(made_up_evaluation(skill=50.0), open_code_system("icd9")) == {}
