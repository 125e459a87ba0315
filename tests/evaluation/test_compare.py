from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from icdcli.errors import ConfigError
from icdcli.evaluation.compare import (
    Contender,
    common_codes,
    compare_models,
    note_warnings,
    restrict_statistics,
)
from icdcli.evaluation.evaluate import Evaluation
from icdcli.metrics.metrics import evaluate

Make = Callable[..., Evaluation]


def contender(name: str, evaluation: Evaluation) -> Contender:
    ids = tuple(evaluation.scored.documents.ids)
    return Contender(
        name, str(evaluation.threshold), ids, evaluation.labels.codes, evaluation.statistics
    )


def test_the_better_model_is_surely_better(made_up_evaluation: Make) -> None:
    models = [
        contender(name, made_up_evaluation(skill=skill))
        for name, skill in (("a", 1.0), ("b", 3.0), ("c", 1.0))
    ]
    comparison = compare_models(models)
    better, same = comparison.differences
    first, second = (model.statistics.metrics["map"] for model in models[:2])
    assert better["map"].value == pytest.approx(second - first)
    assert better["map"].sure
    assert same["map"] == (0, 0, 0, False)
    assert not same["map"].sure


def test_documents_are_aligned(made_up_evaluation: Make) -> None:
    first, other = (
        contender("a", made_up_evaluation()),
        contender("b", made_up_evaluation(seed=5)),
    )
    order = np.random.default_rng(0).permutation(40).tolist()
    shuffled = replace(
        other, ids=tuple(other.ids[row] for row in order), statistics=other.statistics.take(order)
    )
    assert (
        compare_models([first, shuffled]).differences == compare_models([first, other]).differences
    )


def test_other_documents_are_refused(made_up_evaluation: Make) -> None:
    first = contender("a", made_up_evaluation())
    with pytest.raises(
        ConfigError,
        match=r"b: was evaluated on different documents from a \(40 and 40, 39 in both\)",
    ):
        compare_models([first, replace(first, name="b", ids=("another", *first.ids[1:]))])


def test_other_gold_codes_are_refused(made_up_evaluation: Make) -> None:
    first = contender("a", made_up_evaluation())
    changed = replace(first.statistics, gold_NL=~first.statistics.gold_NL)
    with pytest.raises(
        ConfigError, match="b: has different gold codes from a for the same documents"
    ):
        compare_models([first, replace(first, name="b", statistics=changed)])


def test_other_label_spaces_are_refused(made_up_evaluation: Make) -> None:
    first = contender("a", made_up_evaluation())
    other = replace(first, name="b", codes=("new", *first.codes[1:]))
    with pytest.raises(
        ConfigError,
        match=r"b: its label space \(12 codes\) differs from that of a \(12 codes, 11 in both\)"
        r".*--intersection",
    ):
        compare_models([first, other])
    none = replace(first, name="c", codes=tuple(f"new {code}" for code in first.codes))
    with pytest.raises(
        ConfigError, match=r"0 in both\)\. Compare runs with the same coding system"
    ):
        compare_models([first, none])


def test_the_codes_in_common() -> None:
    assert common_codes([("b", "a", "c"), ("c", "b"), ("b", "c", "d")]) == ("b", "c")
    with pytest.raises(ConfigError, match="no code in common"):
        common_codes([("a",), ("b",)])


def test_other_codes_are_ignored(made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation()
    scores, targets, codes = (
        evaluation.scored.scores_NL,
        evaluation.targets_NL,
        evaluation.labels.codes,
    )
    threshold = np.linspace(0.2, 0.8, 12).astype(np.float32)
    chosen = ("486", "401.9")
    labels = [codes.index(code) for code in chosen]
    found = restrict_statistics(scores, targets, threshold, codes, chosen)
    assert dict(found.metrics) == evaluate(scores[:, labels], targets[:, labels], threshold[labels])


def test_other_notes_of_the_same_documents_are_named() -> None:
    same, other, both = ("en", "text"), ("es", "text"), ("es", "body")
    assert list(note_warnings({"a": same, "b": same})) == []
    assert list(note_warnings({"a": same, "b": same, "c": other, "d": both})) == [
        "c: read other notes than a (language: es instead of en). The difference between these "
        "runs may be that of the notes.",
        "d: read other notes than a (language: es instead of en, text_column: body instead of "
        "text). The difference between these runs may be that of the notes.",
    ]
