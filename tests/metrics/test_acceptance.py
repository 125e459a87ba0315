"""Scores from which codes can be accepted: precise enough on documents that didn't choose them."""

import time

import numpy as np
import pytest

from icdcli.metrics.acceptance import (
    FEWEST,
    PRECISIONS,
    AcceptanceTable,
    PredictedPairs,
    fit_acceptance,
)

CODES = 8  # predicted per document


def made_up(documents, seed, share=lambda score: score, alike=0.0):
    """Return predicted codes that are gold as often as their score says, or a share of it.

    Codes of one document may be alike: all of a document's codes are then better or worse.
    """
    draw = np.random.default_rng(seed)
    scores = draw.uniform(0.5, 1, (documents, CODES))
    odds = np.log(share(scores) / (1 - share(scores))) + draw.normal(0, alike, (documents, 1))
    gold = draw.random(scores.shape) < 1 / (1 + np.exp(-odds))
    rows = np.repeat(np.arange(documents), CODES)
    return PredictedPairs.of(scores.ravel(), gold.ravel(), rows, documents)


@pytest.mark.parametrize("alike", [0.0, 1.0])
@pytest.mark.parametrize("documents", [100, 400])
def test_accepted_codes_have_the_precision_on_other_documents(documents, alike):
    observed = {0.9: [], 0.95: []}
    for seed in range(16):
        table = fit_acceptance(made_up(documents, seed, alike=alike), "validation")
        others = made_up(1000, 1000 + seed, alike=alike)
        for precision, found in observed.items():
            score = table.row(precision).score
            if score is not None:
                found.append(others.accepted_from(precision, score).observed)
    for precision, found in observed.items():
        assert len(found) > 8
        assert np.mean(found) > precision - 0.01


def test_choosing_on_the_same_documents_alone_would_be_optimistic():
    """Without cross-fitting, scores of few documents give less than they promise."""
    lucky, fitted = [], []
    for seed in range(40):
        pairs, others = made_up(100, seed), made_up(1000, 1000 + seed)
        order = np.argsort(-pairs.scores_P)
        precisions = np.cumsum(pairs.gold_P[order]) / np.arange(1, len(order) + 1)
        reaching = np.flatnonzero((precisions >= 0.95) & (np.arange(len(order)) >= FEWEST - 1))
        if len(reaching):
            score = pairs.scores_P[order][reaching[-1]]
            lucky.append(others.accepted_from(0.95, score).observed)
        if (score := fit_acceptance(pairs, "validation").row(0.95).score) is not None:
            fitted.append(others.accepted_from(0.95, score).observed)
    assert np.mean(lucky) + 0.004 < np.mean(fitted) > 0.95


def test_a_row_counts_codes_and_complete_notes():
    scores = [0.9, 0.8, 0.7, 0.9, 0.95, 0.6]
    pairs = PredictedPairs.of(scores, [1, 1, 0, 1, 0, 1], [0, 0, 1, 1, 2, 3], documents=6)
    row = pairs.accepted_from(0.9, 0.8)
    assert (row.codes, row.notes) == (4 / 6, 2 / 6)  # notes 0 and 2; 4 and 5 have no codes
    assert (row.accepted, row.right, row.observed) == (4, 3, 0.75)
    nothing = pairs.accepted_from(0.9, None)
    assert (nothing.score, nothing.observed, nothing.interval, nothing.codes) == (None,) * 3 + (0,)


def test_scores_never_fall_as_the_precision_rises():
    for seed in range(8):
        table = fit_acceptance(made_up(60, seed), "validation")
        scores = [2.0 if row.score is None else row.score for row in table.rows]
        assert scores == sorted(scores)
        assert tuple(row.precision for row in table.rows) == PRECISIONS


def test_no_score_is_better_than_one_that_does_not_hold():
    half = made_up(200, 0, share=lambda score: np.full_like(score, 0.5))
    table = fit_acceptance(half, "validation")
    assert all(row.score is None and not row.accepted for row in table.rows)
    few = PredictedPairs.of(np.ones(FEWEST - 1), np.ones(FEWEST - 1), np.arange(FEWEST - 1), 99)
    assert fit_acceptance(few, "validation") is None
    assert fit_acceptance(PredictedPairs.of([], [], [], 0), "validation") is None


def test_equal_scores_are_accepted_together():
    """Half of the codes with the one score are gold, the gold ones first."""
    rows = np.arange(400)
    pairs = PredictedPairs.of(np.full(400, 0.9), rows < 200, rows, 400)
    assert fit_acceptance(pairs, "validation").row(0.8).score is None
    right = PredictedPairs.of(np.full(400, 0.9), rows < 399, rows, 400)
    row = fit_acceptance(right, "validation").row(0.95)
    assert (row.score, row.codes, row.notes, row.accepted) == (0.9, 1.0, 1.0, 400)


def test_scores_are_those_that_predictions_show():
    """A score is rounded as `icdcode predict` rounds it, so that both agree at the border."""
    scores = np.float32([0.12345678] * 100)
    pairs = PredictedPairs.of(scores, np.ones(100), np.arange(100), 100)
    assert fit_acceptance(pairs, "validation").row(0.9).score == round(float(scores[0]), 6)


def test_a_table_is_stored_and_read():
    table = fit_acceptance(made_up(100, 0), "validation")
    again = AcceptanceTable.from_json(table.to_json())
    assert (again.fitted_on, again.documents) == ("validation", 100)
    for row, same in zip(table.rows, again.rows, strict=True):
        assert same[:2] == row[:2]
        assert same[2:6] == pytest.approx(row[2:6], abs=1e-6)
    assert AcceptanceTable.from_json(again.to_json()) == again
    assert AcceptanceTable.from_json(None) is None
    assert table.row(0.5) is None


def test_pairs_of_a_split_are_those_that_reach_their_threshold(monkeypatch):
    draw = np.random.default_rng(0)
    scores_NL, gold_NL = draw.random((50, 7)).astype(np.float32), draw.random((50, 7)) < 0.3
    threshold_L = np.linspace(0.3, 0.9, 7, dtype=np.float32)
    pairs = PredictedPairs.of_split(scores_NL, gold_NL, threshold_L)
    expected = [(n, k) for n in range(50) for k in range(7) if scores_NL[n, k] >= threshold_L[k]]
    assert pairs.rows_P.tolist() == [n for n, _ in expected]
    assert pairs.gold_P.tolist() == [bool(gold_NL[n, k]) for n, k in expected]
    assert pairs.documents == 50


def test_many_codes_take_little_time():
    pairs = made_up(10_000, 0)
    begin = time.process_time()
    fit_acceptance(pairs, "validation")
    assert time.process_time() - begin < 3
