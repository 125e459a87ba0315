"""The score from which a checkpoint's codes are accepted: from its manifest, or its evaluation."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icdcli.errors import ConfigError, DataError
from icdcli.evaluation.acceptance.stored import accept_score, checkpoint_acceptance
from icdcli.io.manifest import checkpoint_identity, read_manifest
from icdcli.metrics.acceptance import PredictedPairs, fit_acceptance

ROWS = np.repeat(np.arange(300), 6)


def made_up_scores():
    draw = np.random.default_rng(0)
    scores = draw.random(len(ROWS)).astype(np.float32)
    return scores, draw.random(len(ROWS)) < scores


@pytest.fixture
def run(tmp_path):
    """Return a run with a checkpoint that says nothing about acceptance."""
    checkpoint = tmp_path / "run" / "weights" / "metric"
    checkpoint.mkdir(parents=True)
    (tmp_path / "run" / "args.yaml").write_text("")
    change(checkpoint, step=1, files={"labels.parquet": "0" * 64})
    return tmp_path / "run"


def change(checkpoint, **values):
    path = checkpoint / "manifest.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**before, **values}))


def evaluate(run, scores, gold):
    """Write what an evaluation of the checkpoint writes; scores from .4 are predicted."""
    folder = run / "evaluation" / "validation"
    folder.mkdir(parents=True)
    ids = [f"d{row}" for row in ROWS]
    columns = {"id": ids, "score": scores, "predicted": scores >= np.float32(0.4), "gold": gold}
    pq.write_table(pa.table(columns), folder / "predictions.parquet")
    identity = checkpoint_identity(read_manifest(run / "weights" / "metric"))
    (folder / "metrics.json").write_text(json.dumps({**identity, "metrics": {}}))


def test_the_table_of_the_manifest_counts(run):
    scores, gold = made_up_scores()
    table = fit_acceptance(PredictedPairs.of(scores, gold, ROWS, 300), "cross-fitting")
    checkpoint = run / "weights" / "metric"
    change(checkpoint, acceptance=table.to_json())
    assert accept_score(checkpoint, 0.9) == table.row(0.9).score
    found = checkpoint_acceptance(checkpoint, read_manifest(checkpoint))
    assert (found.fitted_on, found.documents) == ("cross-fitting", 300)


def test_an_evaluation_on_validation_gives_the_table_of_its_predictions(run):
    scores, gold = made_up_scores()
    evaluate(run, scores, gold)
    checkpoint = run / "weights" / "metric"
    threshold_L = np.full(6, 0.4, np.float32)
    of_split = PredictedPairs.of_split(scores.reshape(300, 6), gold.reshape(300, 6), threshold_L)
    expected = fit_acceptance(of_split, "validation").row(0.9).score
    # Documents are in another order, by their ids, and so in other folds.
    assert accept_score(checkpoint, 0.9) == pytest.approx(expected, abs=0.02)
    change(checkpoint, step=2)  # another checkpoint than the one that was evaluated
    assert checkpoint_acceptance(checkpoint, read_manifest(checkpoint)) is None


@pytest.mark.parametrize(
    ("precision", "words"),
    [
        (0, "--accept-at 0: isn't a precision"),
        (1, "--accept-at 1: isn't a precision"),
        (95, "such as .95"),
        (float("nan"), "isn't a precision"),
        (-0.5, "isn't a precision"),
        (0.5, "0.80, 0.81 … 0.99"),
        (0.925, "Choose one of them"),
        (0.95, "has no acceptance table. Run `icdcode evaluate"),
    ],
)
def test_what_cannot_be_accepted_at_is_refused(run, precision, words):
    with pytest.raises(ConfigError, match="--accept-at") as refused:
        accept_score(run / "weights" / "metric", precision)
    assert words in str(refused.value)


def test_a_precision_that_no_score_reaches_is_refused_with_the_highest(run):
    scores, gold = made_up_scores()
    evaluate(run, scores, gold)
    checkpoint = run / "weights" / "metric"
    with pytest.raises(ConfigError, match=r"no score .* 300 documents \(validation\). The highest"):
        accept_score(checkpoint, 0.99)
    none = fit_acceptance(PredictedPairs.of(scores, gold & False, ROWS, 300), "validation")
    change(checkpoint, acceptance=none.to_json())
    with pytest.raises(ConfigError, match="review all codes"):
        accept_score(checkpoint, 0.8)


def test_too_few_predicted_codes_are_said_to_be_too_few(run):
    checkpoint = run / "weights" / "metric"
    change(checkpoint, acceptance=None)
    with pytest.raises(ConfigError, match="fewer than 30 codes"):
        accept_score(checkpoint, 0.9)
    evaluate(run, *map(np.zeros_like, made_up_scores()))
    with pytest.raises(ConfigError, match="fewer than 30 codes"):
        accept_score(checkpoint, 0.9)


def test_damaged_predictions_are_reported(run):
    evaluate(run, *made_up_scores())
    (run / "evaluation" / "validation" / "predictions.parquet").write_bytes(b"no")
    with pytest.raises(DataError, match="can't be read"):
        accept_score(run / "weights" / "metric", 0.9)
    shutil.rmtree(run / "evaluation")
    with pytest.raises(ConfigError, match="has no acceptance table"):
        accept_score(run / "weights" / "metric", 0.9)
