from dataclasses import replace

import numpy as np
import pytest

from icdcli.data.corpus.reader import Documents
from icdcli.ensembles.fitting import (
    HeldOutScores,
    error_correlations,
    fit_ensemble,
    held_out_metrics,
)
from icdcli.model.ensemble.member import UNCALIBRATED

DOCUMENTS, LABELS = 400, 8


@pytest.fixture(scope="module")
def drawn():
    """Return the true log-odds of pairs and gold codes that are drawn by them."""
    draw = np.random.default_rng(0)
    truth_NL = draw.normal(-1, 2, (DOCUMENTS, LABELS))
    targets_NL = draw.random((DOCUMENTS, LABELS)) < 1 / (1 + np.exp(-truth_NL))
    return draw, truth_NL, targets_NL


def held_out(targets_NL, **logits):
    targets = [np.flatnonzero(row).astype(np.int32) for row in targets_NL]
    count = len(targets)
    documents = Documents([str(n) for n in range(count)], [None] * count, np.arange(count), targets)
    return HeldOutScores(
        "validation", documents, {name: part.astype(np.float32) for name, part in logits.items()}
    )


def test_calibration_finds_the_line_and_weights_leave_noise_out(drawn):
    draw, truth_NL, targets_NL = drawn
    noise_NL = draw.normal(0, 1, truth_NL.shape)
    scores = held_out(targets_NL, steep=2 * truth_NL + 1, noise=noise_NL)
    fitted = fit_ensemble(scores)
    line = fitted.calibrations["steep"]
    assert (line.slope, line.bias) == (pytest.approx(0.5, abs=0.06), pytest.approx(-0.5, abs=0.15))
    assert fitted.fusion.weights["noise"] == 0
    assert fitted.fusion.weights["steep"] == pytest.approx(1, abs=0.1)
    assert fitted.threshold.tuned_on == "validation"
    assert scores.logits["steep"][0, 0] == np.float32(2 * truth_NL[0, 0] + 1)  # not changed


def test_members_that_differ_are_better_together(drawn):
    draw, truth_NL, targets_NL = drawn
    one, other = (truth_NL + draw.normal(0, 2, truth_NL.shape) for _ in range(2))
    scores = held_out(targets_NL, one=one, other=other)
    for weights in ("fitted", "equal"):
        together = held_out_metrics(scores, weights)
        alone = [held_out_metrics(scores.only(name), weights) for name in ("one", "other")]
        assert together["map"] > max(each["map"] for each in alone) + 0.01
    equal = fit_ensemble(scores, "equal").fusion.weights
    assert equal["one"] == equal["other"] > 0.5  # the mean of two is too cautious


def test_documents_without_an_error_leave_the_scores_as_they_are(drawn):
    _, truth_NL, _ = drawn
    fitted = fit_ensemble(held_out(truth_NL > 0, one=truth_NL, other=2 * truth_NL))
    assert set(fitted.calibrations.values()) == {UNCALIBRATED}
    assert fitted.fusion.weights == {"one": 0.5, "other": 0.5}


def test_codes_that_no_model_could_know_change_no_weight(drawn):
    _, truth_NL, targets_NL = drawn
    plain = held_out(targets_NL[:, 1:], one=truth_NL[:, 1:])
    unknown_NL = truth_NL.copy()
    unknown_NL[:, 0] = -20
    candidates_NL = np.ones(targets_NL.shape, bool)
    candidates_NL[:, 0] = False
    with_unknown = held_out(targets_NL, one=unknown_NL)
    masked = replace(with_unknown, candidates_NL=candidates_NL)
    expected, found = (fit_ensemble(each).calibrations["one"] for each in (plain, masked))
    assert found.slope == pytest.approx(expected.slope, abs=0.01)
    assert fit_ensemble(with_unknown).calibrations["one"].slope < expected.slope / 2


def test_codes_that_a_member_lacks_are_not_calibrated(drawn):
    draw, truth_NL, targets_NL = drawn
    known = np.arange(1, LABELS)
    scaled_NL = 2 * truth_NL + 1
    scaled_NL[:, 0] = -3  # their frequency
    other_NL = truth_NL + draw.normal(0, 1, truth_NL.shape)
    scores = replace(held_out(targets_NL, one=scaled_NL, other=other_NL), known={"one": known})
    fitted = fit_ensemble(scores)
    own_NL = 2 * truth_NL[:, 1:] + 1
    alone = fit_ensemble(held_out(targets_NL[:, 1:], one=own_NL)).calibrations["one"]
    assert fitted.calibrations["one"] == alone
    calibrated_NL = fitted.calibrated(scores)["one"]
    assert (calibrated_NL[:, 0] == -3).all()
    assert np.allclose(calibrated_NL[:, 1:], alone.slope * own_NL + alone.bias, atol=1e-5)


def test_correlations_of_errors_are_those_of_numpy(drawn):
    draw, truth_NL, targets_NL = drawn
    parts = {
        name: (truth_NL + draw.normal(0, 1, truth_NL.shape)).astype(np.float32) for name in "abc"
    }
    found = error_correlations(parts, targets_NL)
    errors = [(1 / (1 + np.exp(-part)) - targets_NL).ravel() for part in parts.values()]
    expected = np.corrcoef(errors)
    assert found == {
        ("a", "b"): pytest.approx(expected[0, 1], abs=1e-5),
        ("a", "c"): pytest.approx(expected[0, 2], abs=1e-5),
        ("b", "c"): pytest.approx(expected[1, 2], abs=1e-5),
    }
