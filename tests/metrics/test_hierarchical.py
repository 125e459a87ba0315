"""Hierarchical measures against counting by hand and by dictionaries."""

from collections import Counter

import numpy as np
import pytest

from icdcli.metrics.hierarchical import hierarchical_counts

LEVELS = ("chapter", "category", "code")
PATHS = {
    "a.1": (("chapter", "AB"), ("category", "a"), ("code", "a.1")),
    "a.2": (("chapter", "AB"), ("category", "a"), ("code", "a.2")),
    "a.3": (("chapter", "AB"), ("category", "a"), ("code", "a.3")),
    "b.1": (("chapter", "AB"), ("category", "b"), ("code", "b.1")),
    "c": (("chapter", "CD"), ("category", "c")),
}
CODES = tuple(PATHS)


def matrix(*documents: str) -> np.ndarray:
    return np.array([[code in document.split() for code in CODES] for document in documents])


def by_dictionaries(gold: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Compute the measures from their definitions, one node at a time."""
    sets = [0, 0, 0]
    levels: dict[str, list[int]] = {level: [0, 0, 0] for level in LEVELS}
    documents = []
    for gold_L, predicted_L in zip(gold, predicted, strict=True):
        counts = [
            Counter(
                node for code, on in zip(CODES, row_L, strict=True) if on for node in PATHS[code]
            )
            for row_L in (predicted_L, gold_L)
        ]
        own = [set(one) for one in counts]
        numbers = len(own[0] & own[1]), len(own[0]), len(own[1])
        sets = [total + one for total, one in zip(sets, numbers, strict=True)]
        if own[1]:
            documents.append(numbers)
        for node in own[0] | own[1]:
            x, y = counts[0][node], counts[1][node]
            for place, value in enumerate((min(x, y), max(x - y, 0), max(y - x, 0))):
                levels[node[0]][place] += value
    values = {
        "hierarchical_precision": sets[0] / sets[1],
        "hierarchical_recall": sets[0] / sets[2],
        "hierarchical_f1": 2 * sets[0] / (sets[1] + sets[2]),
        "hierarchical_recall_documents": float(np.mean([r / g for r, _, g in documents])),
        "hierarchical_precision_documents": float(
            np.mean([r / p if p else 0 for r, p, _ in documents])
        ),
    }
    total = np.sum(list(levels.values()), axis=0)
    for name, (right, extra, missed) in {"": total, **levels}.items():
        suffix = f": {name}" if name else ""
        values[f"cophe_precision{suffix}"] = right / (right + extra) if right + extra else 0.0
        values[f"cophe_recall{suffix}"] = right / (right + missed) if right + missed else 0.0
        values[f"cophe_f1{suffix}"] = (
            2 * right / (2 * right + extra + missed) if right + extra + missed else 0.0
        )
    return values


def computed(gold: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    return hierarchical_counts(gold, predicted, list(PATHS.values()), LEVELS).metrics()


def test_a_sibling_is_half_right() -> None:
    values = computed(matrix("a.1"), matrix("a.2"))
    # AB and a of AB, a and a.1 are right.
    assert values["hierarchical_f1"] == pytest.approx(2 / 3)
    assert values["cophe_f1: category"] == 1
    assert values["cophe_f1: code"] == 0


def test_cophe_counts_how_many_codes_are_below_a_node() -> None:
    # Two codes of category a instead of one: as sets that is right, CoPHE counts one too many.
    values = computed(matrix("a.1"), matrix("a.2 a.3"))
    assert values["cophe_precision: category"] == 1 / 2
    assert values["cophe_recall: category"] == 1
    assert values["hierarchical_recall"] == pytest.approx(2 / 3)


def test_the_measures_are_those_of_the_definitions() -> None:
    draw = np.random.default_rng(4)
    gold, predicted = draw.random((60, 5)) < 0.4, draw.random((60, 5)) < 0.35
    gold[7] = predicted[9] = False
    values, expected = computed(gold, predicted), by_dictionaries(gold, predicted)
    assert {name: values[name] for name in expected} == pytest.approx(expected)


def test_resamples_are_the_metrics_of_repeated_documents() -> None:
    draw = np.random.default_rng(5)
    gold, predicted = draw.random((20, 5)) < 0.4, draw.random((20, 5)) < 0.4
    rows = draw.integers(0, 20, 20)
    counts = hierarchical_counts(gold, predicted, list(PATHS.values()), LEVELS)
    weights = np.bincount(rows, minlength=20)[None]
    drawn = {name: values[0] for name, values in counts.resampled(weights).items()}
    assert drawn == pytest.approx(computed(gold[rows], predicted[rows]))


def test_nothing_predicted_is_zero() -> None:
    values = computed(matrix("a.1", ""), matrix("", ""))
    assert set(values.values()) == {0.0}
