"""Fitting and measuring the choice of the principal diagnosis."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from icdcli.evaluation.principal.fitting import fit_principal
from icdcli.evaluation.principal.measuring import (
    means_of,
    principal_notes,
    principal_values,
    with_principal,
)
from icdcli.metrics import arrays
from icdcli.metrics.bootstrap import intervals
from icdcli.metrics.document_statistics import statistics_of
from icdcli.model.inference import room
from icdcli.model.principal.choice import OUTSIDE, UNKNOWN_PRINCIPAL, PrincipalChoice


def invented(documents=400, labels=30, seed=0, true=(2.0, 0.5, 0.0)):
    """Return a choice, scores, own logits and gold labels drawn from a conditional logit."""
    random = np.random.default_rng(seed)
    scores_NL = random.uniform(0.01, 0.99, (documents, labels)).astype(np.float32)
    own_NL = random.normal(size=(documents, labels)).astype(np.float32)
    rates_L = random.uniform(0.02, 0.9, labels).astype(np.float32)
    start = {"score": 1.0, "rate": 1.0, "own": 0.0}
    choice = PrincipalChoice(rates_L, np.ones(labels, bool), start, start)
    drawn = replace(choice, weights=dict(zip(start, true, strict=True)))
    shares_NL = drawn.probabilities(scores_NL, own_NL).astype(float)
    shares_NL /= shares_NL.sum(axis=1, keepdims=True)
    gold_N = np.array([random.choice(labels, p=shares_L) for shares_L in shares_NL])
    return choice, scores_NL, own_NL, gold_N


def test_the_weights_are_those_that_documents_were_drawn_with():
    choice, scores_NL, own_NL, gold_N = invented(4000, true=(2.0, 0.5, 0.7))
    fitted = fit_principal(choice, scores_NL, own_NL, gold_N, "validation")
    assert fitted.weights == pytest.approx({"score": 2.0, "rate": 0.5, "own": 0.7}, abs=0.2)
    assert fitted.tuned_on == "validation"


def test_no_weight_is_below_zero():
    choice, scores_NL, own_NL, gold_N = invented(1000, true=(2.0, 0.5, -0.5))
    fitted = fit_principal(choice, scores_NL, own_NL, gold_N, "validation")
    assert fitted.weights["own"] == 0
    assert fitted.weights["score"] > 1.5


def test_few_documents_keep_the_start_and_unknown_ones_do_not_count():
    choice, scores_NL, own_NL, gold_N = invented(40)
    unknown_N = np.where(np.arange(40) % 2, UNKNOWN_PRINCIPAL, OUTSIDE)
    drifted = replace(
        choice, weights={"score": 9.0, "rate": 0.0, "own": 5.0}, tuned_on="validation"
    )
    unfitted = fit_principal(drifted, scores_NL, own_NL, unknown_N, "validation")
    assert (unfitted.weights, unfitted.tuned_on) == (choice.start, None)
    unknown_N[:20] = gold_N[:20]
    some = fit_principal(choice, scores_NL, own_NL, unknown_N, "validation")
    same = fit_principal(choice, scores_NL[:20], own_NL[:20], gold_N[:20], "validation")
    assert some.weights == pytest.approx(dict(same.weights))
    few = fit_principal(choice, scores_NL[:1], own_NL[:1], gold_N[:1], "validation")
    assert few.weights == pytest.approx(dict(choice.weights), abs=0.5)


def test_a_fit_does_not_depend_on_earlier_ones():
    choice, scores_NL, own_NL, gold_N = invented(20)
    drifted = replace(choice, weights={"score": 9.0, "rate": 0.0, "own": 5.0})
    fitted, again = (
        fit_principal(one, scores_NL, own_NL, gold_N, "validation") for one in (choice, drifted)
    )
    assert again.weights == fitted.weights
    assert again.start == choice.start


def test_only_the_likeliest_of_many_codes_are_compared():
    choice, scores_NL, own_NL, gold_N = invented(300, labels=400, true=(3.0, 1.0, 0.0))
    fitted = fit_principal(choice, scores_NL, own_NL, gold_N, "validation")
    assert fitted.weights["score"] == pytest.approx(3.0, abs=0.8)


def test_a_fitted_choice_beats_highest_score_and_most_frequent():
    choice, scores_NL, own_NL, gold_N = invented(1500, true=(3.0, 1.5, 1.0))
    fitted = fit_principal(
        choice, scores_NL[:1000], own_NL[:1000], gold_N[:1000], "validation"
    ).logits(scores_NL[1000:], own_NL[1000:])
    rated_NL = np.where(scores_NL >= 0.5, choice.rates_L, 0)
    accuracies = [
        means_of(principal_values(logits_NL, gold_N[1000:]))["principal_accuracy"]
        for logits_NL in (fitted, scores_NL[1000:], rated_NL[1000:])
    ]
    assert accuracies[0] > max(accuracies[1:]) + 0.05


def test_accuracy_and_rank_of_each_document():
    logits_NL = np.array([[3, 2, 1], [3, 2, 1], [1, 2, 2], [0, 0, 0], [5, 1, 1]], np.float32)
    principal_N = np.array([0, 2, 1, UNKNOWN_PRINCIPAL, OUTSIDE])
    values = principal_values(logits_NL, principal_N)
    assert values["principal_accuracy"] == pytest.approx([1, 0, 1, np.nan, 0], nan_ok=True)
    assert values["principal_mrr"] == pytest.approx([1, 1 / 3, 1 / 1.5, np.nan, 0], nan_ok=True)
    assert means_of(values)["principal_accuracy"] == 0.5
    assert np.isnan(means_of(principal_values(logits_NL[:1], np.array([-1])))["principal_mrr"])
    assert [*principal_notes(principal_N)] == [
        "principal_accuracy and principal_mrr leave out documents whose principal diagnosis isn't "
        "known (1 of 5).",
        "Principal diagnoses outside of the label space count as missed (1 of 5 documents).",
    ]
    assert not [*principal_notes(np.array([0, 1]))]


def test_many_documents_take_little_memory_and_give_the_same(monkeypatch):
    random = np.random.default_rng(0)
    scores_NL, own_NL = random.random((2, 1000, 500), np.float32)
    gold_N, labels = random.integers(-2, 500, 1000), np.arange(500)
    weights = {"score": 1.0, "rate": 2.0, "own": 0.5}
    choice = PrincipalChoice(scores_NL[0], labels > 9, weights, weights)
    whole_NL = choice.logits(scores_NL, own_NL)
    whole = principal_values(whole_NL, gold_N)
    monkeypatch.setattr(arrays, "_BLOCK", 1 << 14)
    monkeypatch.setattr(room, "IN_MEMORY", 1 << 19)
    tracemalloc.start()
    logits_NL = choice.logits(scores_NL, own_NL)
    found = principal_values(logits_NL, gold_N)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(logits_NL, np.memmap)
    assert peak < scores_NL.nbytes / 2
    assert (logits_NL == whole_NL).all()
    for name, values_N in whole.items():
        assert np.array_equal(values_N, found[name], equal_nan=True)


def test_an_evaluation_has_them_with_intervals():
    _, scores_NL, _, gold_N = invented(60)
    targets_NL = scores_NL > 0.7
    statistics = statistics_of(scores_NL, targets_NL, np.full(30, 0.5, np.float32))
    assert with_principal(statistics, scores_NL, np.full(60, UNKNOWN_PRINCIPAL)) is statistics
    found = with_principal(statistics, scores_NL, gold_N)
    accuracy = found.metrics["principal_accuracy"]
    assert accuracy == (scores_NL.argmax(axis=1) == gold_N).mean()
    low, high = intervals(found)["principal_accuracy"]
    assert low < accuracy < high
    assert {**statistics.metrics}.items() <= {**found.metrics}.items()
