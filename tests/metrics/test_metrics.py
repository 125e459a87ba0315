import math
import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from icdcli.config.metric_names import METRICS
from icdcli.metrics.metrics import evaluate

Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@st.composite
def documents(draw: st.DrawFn) -> Arrays:
    """Return scores and targets with all corner cases.

    Scores have many ties, both zeros and subnormals; targets have empty rows and constant columns.
    """
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 9)))
    few = st.sampled_from(
        [
            *np.float32(
                [
                    0.0,
                    -0.0,
                    1e-45,
                    0.25,
                    0.5,
                    np.nextafter(np.float32(0.5), np.float32(1)),
                    0.75,
                    1.0,
                ]
            )
        ]
    )
    scores = st.one_of(few, st.floats(0, 1, width=32))
    targets = hnp.arrays(bool, shape, elements=st.booleans(), fill=st.just(False))
    return draw(hnp.arrays(np.float32, shape, elements=scores)), draw(targets)


def same(value: float, expected: float) -> bool:
    return (math.isnan(value) and math.isnan(expected)) or abs(value - expected) < 1e-12


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def roc(scores: Any, targets: Any) -> float:
    return (
        float(sk.roc_auc_score(targets, scores)) if 0 < targets.sum() < targets.size else math.nan
    )


def precision(scores: Any, targets: Any) -> float:
    return float(sk.average_precision_score(targets, scores)) if targets.any() else math.nan


@settings(max_examples=75, deadline=None)
@given(documents())
def test_areas_equal_scikit_learn(arrays: Arrays) -> None:
    scores, targets = arrays
    ours = evaluate(scores, targets)
    present = targets.any(axis=0)
    for name, area in (("aucroc", roc), ("aucprc", precision)):
        by_label = [area(scores[:, label], targets[:, label]) for label in range(targets.shape[1])]
        assert same(
            ours[f"{name}_macro"], mean([value for value in by_label if not math.isnan(value)])
        )
        assert same(ours[f"{name}_micro"], area(scores.ravel(), targets.ravel()))
        assert same(
            ours[f"{name}_micro_present"],
            area(scores[:, present].ravel(), targets[:, present].ravel()),
        )
    rows = [precision(row, gold) for row, gold in zip(scores, targets, strict=True) if gold.any()]
    assert same(ours["map"], mean(rows))


@settings(max_examples=75, deadline=None)
@given(documents(), st.sampled_from([0.0, 0.25, 0.5, 0.9]))
def test_decisions_equal_scikit_learn(arrays: Arrays, threshold: float) -> None:
    scores, targets = arrays
    ours = evaluate(scores, targets, threshold)
    predicted = scores >= np.float32(threshold)
    # With one column, scikit-learn takes it for a binary problem and returns one value per class.
    empty = np.zeros((len(targets), 1), dtype=bool)
    given = np.hstack([targets, empty]), np.hstack([predicted, empty])
    by_label = sk.precision_recall_fscore_support(*given, average=None, zero_division=0)[:3]
    micro = sk.precision_recall_fscore_support(*given, average="micro", zero_division=0)[:3]
    present = targets.any(axis=0)
    for name, value, values in zip(("precision", "recall", "f1"), micro, by_label, strict=True):
        assert same(ours[f"{name}_micro"], float(value))
        assert same(ours[f"{name}_macro_all"], mean(values[:-1]))
        assert same(ours[f"{name}_macro"], mean(values[:-1][present]))
    total = ours["precision_macro_all"] + ours["recall_macro_all"]
    harmonic = 2 * ours["precision_macro_all"] * ours["recall_macro_all"] / total if total else 0.0
    assert same(ours["f1_macro_caml"], harmonic)
    assert same(ours["exact_match"], float(sk.accuracy_score(*given)))


@settings(max_examples=75, deadline=None)
@given(documents())
def test_calibration_equals_scikit_learn(arrays: Arrays) -> None:
    scores, targets = arrays
    # The edges of the bins, and the floats next to them, which must be in the same bins.
    edges = np.linspace(0, 1, 16, dtype=np.float32)[1:-1]
    near = np.concatenate(
        [edges, np.nextafter(edges, np.float32(0)), np.nextafter(edges, np.float32(1))]
    )
    scores = np.concatenate([scores.ravel(), near])
    targets = np.concatenate([targets.ravel(), np.arange(len(near)) % 2 == 0])
    gold, mean_scores = calibration_curve(targets, scores, n_bins=15)
    places = np.searchsorted(np.linspace(0, 1, 16)[1:-1], scores.astype(np.float64))
    shares = np.bincount(places, minlength=15) / len(scores)
    expected = float((np.abs(gold - mean_scores) * shares[shares > 0]).sum())
    assert same(evaluate(scores[:, None], targets[:, None])["calibration_error"], expected)


@settings(max_examples=75, deadline=None)
@given(documents())
def test_ranks_equal_a_stable_sort(arrays: Arrays) -> None:
    scores, targets = arrays
    ours = evaluate(scores, targets, k=(1, 5, 8))
    ranked = [
        [gold[label] for label in np.argsort(-row, kind="stable")]
        for row, gold in zip(scores, targets, strict=True)
    ]
    with_gold = [hits for hits in ranked if any(hits)]
    for k in (1, 5, 8):
        assert same(ours[f"precision_at_{k}"], mean([sum(hits[:k]) / k for hits in ranked]))
        assert same(ours[f"recall_at_{k}"], mean([sum(hits[:k]) / sum(hits) for hits in with_gold]))
    assert same(
        ours["r_precision"], mean([sum(hits[: sum(hits)]) / sum(hits) for hits in with_gold])
    )


def as_edin(scores: Any, targets: Any, threshold: float, k: Sequence[int]) -> dict[str, float]:
    """Count as Edin et al. 2023: absent labels and documents without gold codes don't exist."""
    present = [label for label in range(targets.shape[1]) if targets[:, label].any()]
    if not present:
        return {}
    rows = [
        ([row[label] for label in present], [bool(gold[label]) for label in present])
        for row, gold in zip(scores, targets, strict=True)
        if gold.any()
    ]
    right, wrong, missed = (dict.fromkeys(range(len(present)), 0) for _ in range(3))
    by_document: dict[str, list[float]] = {}
    for row, gold in rows:
        predicted = [score >= np.float32(threshold) for score in row]
        for label, (found, true) in enumerate(zip(predicted, gold, strict=True)):
            right[label] += found and true
            wrong[label] += found and not true
            missed[label] += true and not found
        ranked = [gold[label] for label in sorted(range(len(row)), key=lambda at: -row[at])]
        values = {"exact_match": float(predicted == gold)}
        for rank in k:
            values[f"precision_at_{rank}"] = sum(ranked[:rank]) / rank
            values[f"recall_at_{rank}"] = sum(ranked[:rank]) / sum(gold)
        values["r_precision"] = sum(ranked[: sum(gold)]) / sum(gold)
        values["map"] = precision(np.array(row), np.array(gold))
        for name, value in values.items():
            by_document.setdefault(name, []).append(value)

    def ratio(over: float, under: float) -> float:
        return over / under if under else 0.0

    labels = range(len(present))
    tp, fp, fn = (sum(counts.values()) for counts in (right, wrong, missed))
    return {name: mean(values) for name, values in by_document.items()} | {
        "f1_micro": ratio(tp, tp + 0.5 * (fp + fn)),
        "precision_micro": ratio(tp, tp + fp),
        "recall_micro": ratio(tp, tp + fn),
        "f1_macro": mean([ratio(right[i], right[i] + (wrong[i] + missed[i]) / 2) for i in labels]),
        "precision_macro": mean([ratio(right[i], right[i] + wrong[i]) for i in labels]),
        "recall_macro": mean([ratio(right[i], right[i] + missed[i]) for i in labels]),
    }


@settings(max_examples=75, deadline=None)
@given(documents(), st.sampled_from([0.25, 0.5, 0.9]))
def test_edins_metrics_count_present_labels_and_documents_with_gold_codes(
    arrays: Arrays, threshold: float
) -> None:
    ours = evaluate(*arrays, threshold, k=(1, 5))
    theirs = as_edin(*arrays, threshold, k=(1, 5))
    names = {name for name in ours if name.endswith("_edin")}
    assert len(names) == 13
    if not theirs:
        assert all(math.isnan(ours[name]) for name in names)
    for name, value in theirs.items():
        assert same(ours[f"{name}_edin"], value), name


def test_edins_micro_auc_is_of_all_labels() -> None:
    scores = np.array([[0.6, 0.9, 0.4], [0.35, 0.05, 0.3], [0.2, 0.01, 0.45]], np.float32)
    targets = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 1]], bool)
    values = evaluate(scores, targets)
    assert values["aucroc_micro"] == pytest.approx(0.7222, abs=5e-5)
    assert "Edin" in METRICS["aucroc_micro"]
    assert "Edin" not in METRICS["aucroc_micro_present"]
    # The absent label has the first document's highest score.
    assert (values["precision_at_5"], values["map"]) == pytest.approx(
        (0.2, (1 / 2 + 1 / 2 + 1) / 3)
    )
    assert values["map_edin"] == pytest.approx((1 + 1 / 2 + 1) / 3)


def test_documents_without_a_gold_code_are_zero_for_caml_and_codiesp() -> None:
    scores = np.array([[0.9, 0.8, 0.1], [0.6, 0.7, 0.2]], dtype=np.float32)
    targets = np.array([[True, False, True], [False, False, False]])
    values = evaluate(scores, targets, k=(1, 2))
    assert (values["recall_at_1"], values["recall_at_1_caml"]) == (0.5, 0.25)
    average = (1 + 2 / 3) / 2
    assert (values["map"], values["map_codiesp"]) == pytest.approx((average, average / 2))


def test_codiesps_map_is_of_the_first_thousand_codes() -> None:
    scores = np.linspace(1, 0, 1500, dtype=np.float32)[None]
    targets = np.zeros((1, 1500), bool)
    targets[0, [1, 999, 1000]] = True
    assert evaluate(scores, targets)["map_codiesp"] == pytest.approx((1 / 2 + 2 / 1000) / 3)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    scores, targets = rng.random((40, 30), dtype=np.float32), rng.random((40, 30)) < 0.1
    at_once = evaluate(scores, targets)
    monkeypatch.setattr("icdcli.metrics.arrays._BLOCK", 100)
    assert evaluate(scores, targets) == at_once


def test_by_hand() -> None:
    scores = np.array([[0.9, 0.8, 0.1, 0.0], [0.6, 0.7, 0.2, 0.0]], dtype=np.float32)
    targets = np.array([[True, False, True, False], [False, True, False, False]])
    values = evaluate(scores, targets, k=(1, 2))
    assert values["f1_micro"] == pytest.approx(2 * 2 / (4 + 3))
    assert values["f1_macro"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert values["f1_macro_all"] == pytest.approx((2 / 3 + 2 / 3 + 0 + 0) / 4)
    # Both means over all labels: precision (1/2 + 1/2) / 4, recall (1 + 1) / 4.
    assert values["f1_macro_caml"] == pytest.approx(2 * 0.25 * 0.5 / 0.75)
    assert values["precision_at_1"] == 1.0
    assert values["recall_at_2"] == pytest.approx((1 / 2 + 1) / 2)
    assert values["r_precision"] == pytest.approx((1 / 2 + 1) / 2)
    assert values["map"] == pytest.approx(((1 + 2 / 3) / 2 + 1) / 2)
    assert values["exact_match"] == 0.0


def test_names_are_those_of_the_configuration() -> None:
    scores, targets = np.full((1, 1), 0.5, dtype=np.float32), np.ones((1, 1), dtype=bool)
    assert list(evaluate(scores, targets)) == list(METRICS)
    assert list(evaluate(scores, targets, names=["map", "f1_micro"])) == ["map", "f1_micro"]


def test_memory_stays_below_three_times_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "icdcli.metrics.arrays._BLOCK", 1 << 16
    )  # as small compared with the scores as in practice
    rng = np.random.default_rng(0)
    scores, targets = rng.random((1500, 1000), dtype=np.float32), rng.random((1500, 1000)) < 0.01
    tracemalloc.start()
    evaluate(scores, targets)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * scores.nbytes  # in addition to the scores themselves


def test_each_metric_alone_equals_all_together() -> None:
    rng = np.random.default_rng(1)
    scores, targets = rng.random((30, 20), dtype=np.float32), rng.random((30, 20)) < 0.2
    together = evaluate(scores, targets)
    assert {name: evaluate(scores, targets, names=[name])[name] for name in METRICS} == together


def test_a_score_at_the_threshold_counts() -> None:
    scores = np.array([[0.7, 0.5]], dtype=np.float32)
    targets = np.array([[True, True]])
    assert evaluate(scores, targets, 0.7)["recall_micro"] == 0.5
    assert evaluate(scores, targets, np.array([0.7, 0.5]))["recall_micro"] == 1.0
    assert evaluate(scores, targets, np.array([0.7, 0.6]))["recall_micro"] == 0.5


def test_metrics_without_gold_codes_are_nan_without_a_warning() -> None:
    values = evaluate(np.full((3, 4), 0.1, dtype=np.float32), np.zeros((3, 4), dtype=bool))
    undefined = {name for name, value in values.items() if math.isnan(value)}
    assert undefined >= {
        "aucroc_macro",
        "aucprc_micro_present",
        "f1_macro",
        "recall_at_5",
        "r_precision",
        "map",
    }
    assert values["f1_micro"] == values["f1_macro_all"] == values["precision_at_5"] == 0.0
    assert values["exact_match"] == 1.0


def test_inputs_are_not_changed() -> None:
    rng = np.random.default_rng(2)
    scores, targets = rng.random((8, 6), dtype=np.float32), rng.random((8, 6)) < 0.3
    before = scores.copy(), targets.copy()
    evaluate(scores, targets)
    assert (scores == before[0]).all()
    assert (targets == before[1]).all()


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -0.001, 1.5])
def test_wrong_scores_name_their_documents(wrong: float) -> None:
    scores = np.full((9, 3), 0.5)
    scores[[1, 7], 2] = wrong
    with pytest.raises(ValueError, match=r"aren't in 2 documents, rows 1, 7$"):
        evaluate(scores, np.ones((9, 3), dtype=bool))


def test_many_wrong_scores_name_the_first() -> None:
    with pytest.raises(ValueError, match=r"aren't in 9 documents, rows 0, 1, 2, 3, 4, …$"):
        evaluate(np.full((9, 3), 2.0), np.ones((9, 3), dtype=bool))


@pytest.mark.parametrize(
    ("scores", "targets"), [((2, 3), (3, 2)), ((0, 3), (0, 3)), ((2, 0), (2, 0)), ((3,), (3,))]
)
def test_wrong_shapes(scores: tuple[int, ...], targets: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must have the same shape"):
        evaluate(np.zeros(scores, dtype=np.float32), np.zeros(targets, dtype=bool))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": np.zeros(2)}, r"one per label \(3\)"),
        ({"threshold": math.nan}, "not NaN"),
        ({"k": (5, 0)}, r"positive ranks, not \(5, 0\)"),
        (
            {"names": ["map", "f1_mikro", "precision_at_9"]},
            "unknown metrics f1_mikro, precision_at_9; known with k",
        ),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(np.zeros((2, 3), dtype=np.float32), np.zeros((2, 3), dtype=bool), **arguments)


def test_targets_that_are_not_bool() -> None:
    with pytest.raises(ValueError, match="must be bool, not int64"):
        evaluate(np.zeros((2, 3), dtype=np.float32), np.zeros((2, 3), dtype=np.int64))
