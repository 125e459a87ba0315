"""The confidence is better calibrated than the scores, on documents that it wasn't fitted on."""

import numpy as np
import pytest

from icdcli.metrics.calibration import calibration_bins, expected_calibration_error
from icdcli.metrics.confidence import (
    SUGGESTED,
    Confidence,
    fit_confidence,
    pooled,
    suggested_pairs,
)

DOCUMENTS, LABELS = 200, 40


def made_up(distort, seed=0):
    """Return scores of documents whose codes are gold as often as the undistorted score says."""
    draw = np.random.default_rng(seed)
    share_NL = 1 / (1 + np.exp(-draw.normal(-2, 2, (DOCUMENTS, LABELS))))
    gold_NL = draw.random(share_NL.shape) < share_NL
    return distort(share_NL).astype(np.float32), gold_NL


def overconfident(share):
    odds = np.log(share / (1 - share))
    return 1 / (1 + np.exp(-2.5 * odds - 0.5))


def step(share):
    return np.where(share < 0.3, share / 3, 0.9 + share / 20)


def flat(share):
    return np.where(share < 0.5, 0.4 + share / 10, 0.98 + share / 100)


def error(shares_NL, gold_NL):
    return expected_calibration_error(calibration_bins(shares_NL, gold_NL).sum(axis=0))


def fitted(distort, seed=0):
    scores_NL, gold_NL = made_up(distort, seed)
    pairs = suggested_pairs(scores_NL, gold_NL, np.full(LABELS, 0.5, np.float32))
    return fit_confidence(*pairs, "validation")


@pytest.mark.parametrize(
    ("distort", "method"), [(overconfident, "platt"), (step, "isotonic"), (flat, "isotonic")]
)
def test_the_confidence_is_better_calibrated_than_the_score(distort, method):
    confidence = fitted(distort)
    assert (confidence.method, confidence.fitted_on) == (method, "validation")
    assert confidence.log_loss < confidence.log_loss_of_score
    scores_NL, gold_NL = made_up(distort, seed=1)
    shares_NL = confidence.of(scores_NL)
    # Of what is suggested, as it was fitted on.
    top_NL = np.argsort(np.argsort(-scores_NL, axis=1), axis=1) < SUGGESTED
    before, after = (
        error(np.where(top_NL, each_NL, 0).astype(np.float32), gold_NL & top_NL)
        for each_NL in (scores_NL, shares_NL)
    )
    assert after < before / 2
    order = np.argsort(scores_NL, axis=None)
    assert (np.diff(shares_NL.ravel()[order]) >= -1e-12).all()


def test_good_scores_are_kept():
    confidence = fitted(lambda share: share)
    # If not the score itself, then at least no other than it.
    assert np.abs(confidence.of([0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.05


def test_a_confidence_is_stored_and_read_again():
    for distort in (overconfident, step):
        confidence = fitted(distort)
        assert Confidence.from_json(confidence.to_json()) == confidence
        assert ((confidence.of([0.0, 1.0]) > 0) & (confidence.of([0.0, 1.0]) < 1)).all()
    assert Confidence.from_json(None) is None
    assert Confidence().of([0.25, 1.0]).tolist() == [0.25, 1.0]


def test_too_few_pairs_say_nothing():
    gold = [True] * 19 + [False] * 300
    assert fit_confidence(np.linspace(0.9, 0.1, 319), gold, np.arange(319), "validation") is None
    gold[30] = True
    found = fit_confidence(np.linspace(0.9, 0.1, 319), gold, np.arange(319), "validation")
    assert found is not None


def test_scores_that_mislead_get_the_share_of_all():
    draw = np.random.default_rng(0)
    scores = draw.random(2000)
    confidence = fit_confidence(
        scores, draw.random(2000) < 0.6 - 0.4 * scores, np.arange(2000), "validation"
    )
    assert confidence.of([0.01, 0.99]) == pytest.approx([0.4, 0.4], abs=0.1)


def test_pooled_levels_are_those_of_scikit_learn():
    from sklearn.isotonic import IsotonicRegression

    draw = np.random.default_rng(0)
    shares, weights = draw.random(300) + np.linspace(0, 1, 300), draw.integers(1, 9, 300)
    places = np.arange(300)
    expected = IsotonicRegression().fit(places, shares, weights).predict(places)
    levels = pooled(shares, weights.astype(float))
    found = np.concatenate([np.full(end - begin, share) for begin, end, share in levels])
    assert found == pytest.approx(expected)


def test_the_line_is_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    scores_NL, gold_NL = made_up(overconfident)
    scores, gold, rows = suggested_pairs(scores_NL, gold_NL, np.full(LABELS, 0.5, np.float32))
    confidence = fit_confidence(scores, gold, rows, "validation")
    odds = np.log(scores / (1 - scores))
    expected = LogisticRegression(C=1e6).fit(odds[:, None], gold).predict_proba(odds[:, None])
    assert confidence.method == "platt"
    assert confidence.of(scores) == pytest.approx(expected[:, 1], abs=2e-3)


def test_pairs_are_the_highest_and_the_predicted():
    scores_NL = np.tile(np.linspace(1, 0, LABELS, dtype=np.float32), (3, 1))
    gold_NL = np.zeros((3, LABELS), bool)
    gold_NL[1, [0, -1]] = True  # the last one is below the highest, and not predicted
    low = np.full(LABELS, 2, np.float32)
    low[30] = 0.0
    scores, gold, rows = suggested_pairs(scores_NL, gold_NL, low)
    assert len(scores) == 3 * (SUGGESTED + 1)
    assert (gold.sum(), rows[gold].tolist()) == (1, [1])
    assert np.bincount(rows).tolist() == [SUGGESTED + 1] * 3
