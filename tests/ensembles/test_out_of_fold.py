import json
from pathlib import Path

import numpy as np
import pytest

from icdcli.ensembles.run import ensemble_runs
from icdcli.evaluation.reference.summary import REFERENCE
from icdcli.io.manifest import read_manifest
from icdcli.model.checkpoint import load_model
from icdcli.refit.run import refit
from icdcli.run_dir import RunDir, find_checkpoint
from icdcli.training.setting_up.final_fit import FinalFit

pytestmark = pytest.mark.filterwarnings("ignore:leakage")


@pytest.fixture(scope="module")
def refits(train_member):
    """Return final fits of two TF-IDF runs that were cross-fitted in two folds."""
    folders = []
    for longest in (1, 2):
        run = train_member(f"words{longest}", model="tfidf", word_ngrams=longest)
        folders.append(refit(run, 2).result.run)
    return folders


def test_weights_and_threshold_of_refits_come_from_their_folds(refits, tmp_path):
    warnings: list[str] = []
    made = ensemble_runs(refits, "both", project=tmp_path, on_warning=warnings.append)
    assert not [message for message in warnings if "leakage" not in message]
    assert made.tuned_on == "2-fold cross-fitting on train+validation"
    assert made.weights == "fitted"
    assert made.held_out[None]["map"] > 0.9
    model = load_model(made.run)
    assert model.fusion.tuned_on == made.tuned_on
    assert 0.3 < made.correlations[("words1-refit", "words2-refit")] < 0.95
    assert not np.isnan(model.scores(["htn and aki"])).any()
    checkpoint = find_checkpoint(RunDir(made.run), "metric")
    assert read_manifest(checkpoint)["measured_by"] == made.tuned_on
    assert json.loads((checkpoint / REFERENCE).read_text())["scores"]["split"] == made.tuned_on


def test_without_the_folds_nothing_is_fitted(refits, tmp_path):
    folds = Path(FinalFit.read(refits[0].root).run) / "cross_fitting"
    folds.rename(folds.with_name("moved"))
    try:
        warnings: list[str] = []
        made = ensemble_runs(refits, "both", project=tmp_path, on_warning=warnings.append)
    finally:
        folds.with_name("moved").rename(folds)
    assert any("Nothing can be fitted: the weights are equal" in message for message in warnings)
    assert (made.weights, made.tuned_on, made.held_out) == ("equal", None, {})
    assert [*made.shares.values()] == [0.5, 0.5]
    thresholds = [load_model(run.root).threshold.value for run in refits]
    found = load_model(made.run).threshold.value
    assert min(thresholds) <= found <= max(thresholds)
