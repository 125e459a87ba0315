"""What scores decide on a split: the table applied, the risk, and what calibration is worth."""

import csv
import io

import numpy as np
import pytest

from icdcli.evaluation.acceptance.measuring import measure_acceptance
from icdcli.evaluation.acceptance.risk_coverage import risk_coverage
from icdcli.metrics.acceptance import PredictedPairs, fit_acceptance
from icdcli.metrics.confidence import fit_confidence, suggested_pairs

LABELS = 12
THRESHOLD_L = np.full(LABELS, 0.5, np.float32)


def made_up(documents, seed, skill=1.0):
    """Return scores whose log-odds are too large by a factor, and the gold codes."""
    draw = np.random.default_rng(seed)
    odds_NL = draw.normal(-0.5, 2, (documents, LABELS))
    gold_NL = draw.random(odds_NL.shape) < 1 / (1 + np.exp(-odds_NL))
    return (1 / (1 + np.exp(-odds_NL * skill))).astype(np.float32), gold_NL


def test_on_validation_the_table_and_its_cross_fitted_precisions_are_shown():
    scores_NL, gold_NL = made_up(300, 0)
    found = measure_acceptance("validation", scores_NL, gold_NL, THRESHOLD_L)
    table = fit_acceptance(PredictedPairs.of_split(scores_NL, gold_NL, THRESHOLD_L), "validation")
    assert (found.rows, found.fitted_on, found.documents) == (table.rows, "validation", 300)
    assert [row.precision for row in found.shown] == [0.9, 0.95, 0.99]


def test_on_another_split_the_scores_of_the_table_are_applied():
    table = fit_acceptance(PredictedPairs.of_split(*made_up(300, 0), THRESHOLD_L), "validation")
    scores_NL, gold_NL = made_up(500, 1)
    found = measure_acceptance("test", scores_NL, gold_NL, THRESHOLD_L, table)
    for row, chosen in zip(found.rows, table.rows, strict=True):
        assert row.score == chosen.score
        if row.score is not None:
            accepted_NL = (scores_NL >= 0.5) & (scores_NL.astype(float).round(6) >= row.score)
            assert row.accepted == accepted_NL.sum()
            assert row.right == (accepted_NL & gold_NL).sum()
            complete_N = (accepted_NL == (scores_NL >= 0.5)).all(axis=1)
            complete_N &= accepted_NL.any(axis=1)
            assert row.notes == pytest.approx(complete_N.mean())
    without = measure_acceptance("test", scores_NL, gold_NL, THRESHOLD_L)
    assert (without.rows, without.fitted_on, without.confidence) == ((), None, None)
    assert without.to_json()["rows"] == []


def test_a_table_of_other_documents_is_not_replaced_on_validation():
    """A refitted model was trained on the validation split: its own table counts."""
    pairs = PredictedPairs.of_split(*made_up(300, 0), THRESHOLD_L)
    table = fit_acceptance(pairs, "cross-fitting")
    scores_NL, gold_NL = made_up(200, 1)
    found = measure_acceptance("validation", scores_NL, gold_NL, THRESHOLD_L, table)
    assert found.fitted_on == "cross-fitting"
    assert [row.score for row in found.rows] == [row.score for row in table.rows]


def test_calibration_is_compared_on_documents_that_it_was_not_fitted_on():
    scores_NL, gold_NL = made_up(300, 0, skill=2.5)
    found = measure_acceptance("validation", scores_NL, gold_NL, THRESHOLD_L).confidence
    assert (found.method, found.fitted_on, found.pairs) == ("platt", "validation", 300 * LABELS)
    assert found.error_after < found.error_before / 3
    assert found.brier_after < found.brier_before
    confidence = fit_confidence(*suggested_pairs(scores_NL, gold_NL, THRESHOLD_L), "validation")
    other = made_up(300, 1, skill=2.5)
    applied = measure_acceptance("test", *other, THRESHOLD_L, confidence=confidence).confidence
    shares, gold = confidence.of(other[0]), other[1]
    assert applied.brier_after == pytest.approx(np.square(shares - gold).mean(), abs=1e-6)
    assert applied.brier_before == pytest.approx(np.square(other[0] - gold).mean(), abs=1e-6)


def test_in_sample_calibration_would_flatter():
    """Scores without meaning: what is learned from them doesn't help on other documents."""
    draw = np.random.default_rng(0)
    scores_NL, gold_NL = (
        draw.random((12, LABELS)).astype(np.float32),
        draw.random((12, LABELS)) < 0.5,
    )
    found = measure_acceptance("validation", scores_NL, gold_NL, THRESHOLD_L).confidence
    pairs = suggested_pairs(scores_NL, gold_NL, THRESHOLD_L)
    in_sample = fit_confidence(*pairs, "validation").of(pairs[0])
    assert np.square(in_sample - pairs[1]).mean() < found.brier_after


def test_the_curve_against_a_count_by_hand():
    scores = [0.9, 0.8, 0.8, 0.7]
    pairs = PredictedPairs.of(scores, [True, False, True, True], [0, 0, 1, 1], documents=4)
    curve = risk_coverage(pairs)
    assert [point[:4] for point in curve.points] == [(0.7, 1.0, 0.5, 0.75)]  # fewer than 30
    assert curve.area == pytest.approx((0 + 2 * (1 / 3) + 1 / 4) / 4)  # equal scores at once
    many = PredictedPairs.of(np.linspace(1, 0.5, 1000), np.ones(1000), np.arange(1000), 1000)
    curve = risk_coverage(many)
    assert len(curve.points) == 200 and curve.area == 0
    assert curve.points[0].codes == 0.03 and curve.points[-1].codes == 1
    assert all(point.precision == point.high == 1 > point.low for point in curve.points)
    rows = [*csv.reader(io.StringIO(curve.to_csv()))]
    assert rows[0] == ["score", "codes", "notes", "precision", "low", "high"]
    assert [float(cell) for cell in rows[-1]] == pytest.approx(curve.points[-1], abs=1e-6)


def test_nothing_predicted_is_no_problem():
    scores_NL = np.zeros((30, LABELS), np.float32)
    found = measure_acceptance("validation", scores_NL, scores_NL > 1, THRESHOLD_L)
    assert (found.rows, found.curve.points) == ((), [])
    assert found.to_json()["area_under_risk_coverage"] is None
