"""Final fits of small runs."""

import shutil
import signal
import subprocess
import sys

import pytest

from icdcli.config.loading import load_config
from icdcli.cross_fitting.run import read_out_of_fold
from icdcli.data.corpus.migrated import MIGRATION
from icdcli.errors import ConfigError, ResumeError
from icdcli.evaluation.run import evaluate_run, open_run
from icdcli.io.manifest import read_manifest
from icdcli.model.checkpoint import load_model
from icdcli.model.files.export import export_model
from icdcli.refit.gain import Gain
from icdcli.refit.run import default_folds, refit
from icdcli.refit.words import gain_in_words, metrics_in_words
from icdcli.run_dir import RunDir, read_rows, train_alone
from icdcli.training.run import resume_training, run_training
from icdcli.training.setting_up.final_fit import FINAL_FIT, FinalFit

KEYS = {"model": "tfidf", "positive_threshold": "auto", "metrics": "[map, f1_micro]"}
BY_FOLDS = "3-fold cross-fitting on train+validation"


@pytest.fixture
def trained(config, tmp_path):
    """Trains a run to fit again."""

    def make(**changes):
        options = {**KEYS, "cache_dir": tmp_path / "cache"} | changes
        return run_training(config(**options)).run

    return make


@pytest.fixture(scope="module")
def fitted(notes, tmp_path_factory):
    """A run, and what it was fitted again to."""
    folder = tmp_path_factory.mktemp("fitted")
    keys = {**KEYS, "data_path": notes, "project": folder / "runs", "name": "run"}
    keys |= {"cache_dir": folder / "cache", "principal": True}
    keys["metrics"] = "[map, f1_micro, principal_mrr]"
    run = run_training(load_config(None, [f"{key}={value}" for key, value in keys.items()])).run
    return run, refit(run, 3)


def ignore(_):
    pass


def test_a_final_fit_has_what_the_folds_have_chosen_and_says_so(fitted):
    run, found = fitted
    new = found.result.run
    assert new.root == run.root.with_name("run-refit")
    out_of_fold = read_out_of_fold(run, 3)
    model = load_model(new.root)
    assert model.threshold == out_of_fold.final[1]
    assert model.threshold.tuned_on == BY_FOLDS
    manifest = read_manifest(new.checkpoint("metric"))
    assert manifest["measured_by"] == BY_FOLDS
    assert manifest["metrics"]["map"] == pytest.approx(out_of_fold.statistics.metrics["map"])
    assert manifest["confidence"]["fitted_on"] == BY_FOLDS
    assert load_config(new.args).data.train_on == "train+validation"
    before = open_run(run, on_warning=ignore).corpus
    both = sum(len(before.documents(split)) for split in ("train", "validation"))
    opened = open_run(new, on_warning=ignore)
    assert len(opened.corpus.documents("train")) == both == sum(found.final_fit.documents.values())
    assert opened.model.labels.train_counts == opened.corpus.labels.train_counts
    assert found.to_json()["gain"]["trained_on"]["refit"] == both


def test_it_is_evaluated_on_the_test_split_and_refused_on_validation(fitted):
    new = fitted[1].result.run
    assert "map" in evaluate_run(new, "test", on_warning=ignore).metrics
    with pytest.raises(ConfigError, match="the model was trained on validation"):
        evaluate_run(new, "validation", on_warning=ignore)
    assert not new.evaluation("validation").exists()
    assert any(
        "trained on these" in note for note in evaluate_run(new, "train", on_warning=ignore).notes
    )


def test_the_choice_of_the_principal_diagnosis_keeps_the_weights_of_the_run(fitted):
    run, found = fitted
    before, after = (load_model(one.root).principal for one in (run, found.result.run))
    assert before.weights != before.start
    assert after.weights == before.weights == FinalFit.read(found.result.run.root).principal
    assert after.tuned_on == "the validation split, before it was trained on (run run)"
    assert (after.rates_L != before.rates_L).any()  # those of all documents
    # The folds have no scores for it.
    assert [*metrics_in_words(found.final_fit)][-1].split() == ["principal_mrr", "undefined"]
    assert found.final_fit.monitored_by == ("map", "f1_micro")


def test_its_card_says_what_was_measured_by_what(fitted, tmp_path):
    new = fitted[1].result.run
    export_model(new.root, tmp_path / "exported")
    card = (tmp_path / "exported" / "README.md").read_text()
    assert BY_FOLDS in card
    assert "trained on train+validation" in card


def test_without_folds_the_validation_of_the_run_decides(trained):
    run = trained(principal=True)
    found = refit(run, 0, name="without")
    assert not (run.root / "cross_fitting").exists()
    before, after = load_model(run.root), load_model(found.result.run.root)
    assert after.threshold.value == before.threshold.value
    assert after.threshold.tuned_on == "the validation split, before it was trained on (run run)"
    assert after.principal.weights == before.principal.weights != before.principal.start
    assert after.principal.tuned_on == after.threshold.tuned_on
    assert found.gain is None
    assert (default_folds(750), default_folds(50_000)) == (5, 0)


def test_runs_that_are_moved_together_still_know_each_other(fitted, tmp_path):
    run, found = fitted
    assert FinalFit.read(found.result.run.root).run == str(run.root.resolve())
    moved = tmp_path / "moved"
    for one in (run, found.result.run):
        (moved / one.root.name).mkdir(parents=True)
    shutil.copy(found.result.run.root / FINAL_FIT, moved / "run-refit")
    assert FinalFit.read(moved / "run-refit").run == str((moved / "run").resolve())


def test_a_name_that_is_in_use_is_refused_before_anything_is_trained(fitted):
    run, _ = fitted
    run.root.with_name("taken").mkdir()
    (run.root.with_name("taken") / "note.txt").write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        refit(run, 2, name="taken")
    assert not (run.root / "cross_fitting" / "train+validation-2").exists()
    with pytest.raises(ConfigError, match="exists already"):
        refit(run, 3)
    for name in ("", "a/b"):
        with pytest.raises(ConfigError, match="should be the name of a folder"):
            refit(run, 3, name=name)


def test_a_final_fit_that_another_process_trains_is_left_alone(fitted):
    run, found = fitted
    held = RunDir(run.root.with_name("held"))
    held.root.mkdir()
    found.final_fit.write(held.root)
    held.results.write_text("")
    with train_alone(held, pytest.fail), pytest.raises(ResumeError, match="is being trained by"):
        refit(run, 3, name="held")
    assert held.results.exists()


def test_a_final_fit_that_was_killed_before_it_wrote_anything_starts_over(fitted):
    run, _ = fitted
    killed = run.root.with_name("killed")
    killed.mkdir()
    (killed / ".lock").write_text("")
    assert refit(run, 3, name="killed").result.run.root == killed


def test_runs_that_cannot_be_fitted_again_are_refused(fitted, trained, config):
    run, found = fitted
    with pytest.raises(ConfigError, match="is a refit already"):
        refit(found.result.run, 2)
    with pytest.raises(ConfigError, match="is the run of a single fold"):
        refit(found.out_of_fold.fold_runs[0], 2)
    run = trained()
    (run.root / MIGRATION).write_text("{}")
    with pytest.raises(ConfigError, match="was migrated"):
        refit(run, 2, name="again")
    with pytest.raises(ConfigError, match="leaves no documents to choose"):
        run_training(config(**KEYS, train_on="train+validation"))


def test_a_run_that_is_not_finished_is_refused(trained):
    run = trained(model="tiny", steps=4, warmup_steps=0, max_len=32)
    run.args.write_text(run.args.read_text().replace("steps: 4\n", "steps: 400\n"))
    with pytest.raises(ConfigError, match=r"isn't finished \(step 4 of 400\).*icdcode resume"):
        refit(run, 2)


def test_a_gain_that_is_none_is_said_and_one_that_cannot_be_seen(fitted):
    gain = fitted[1].gain
    lines, warning = gain_in_words(gain, ("map",))
    assert gain.more < gain.fewer
    assert "Use more folds" in lines[0]
    assert warning is None
    losing = Gain(10, 100, 120, 150, gain.before, gain.before, gain.differences)
    assert losing.expected("map") == pytest.approx(0, abs=1e-9)
    lines, warning = gain_in_words(losing, ("map",))
    assert "refitting doesn't improve map" in warning
    assert len(lines) >= 2


@pytest.fixture
def network(described, tmp_path):
    """Trains a network with lexical parts and descriptions."""
    keys = {**KEYS, "lexical": True, "steps": 24, "patience": 0, "model": None, "principal": True}
    options = described(**{key: value for key, value in keys.items() if value is not None})
    return run_training(options).run


@pytest.mark.slow
def test_a_network_is_fitted_again_with_its_lexical_parts(network):
    found = refit(network, 2)
    new = found.result.run
    assert found.result.finished
    model = load_model(new.root)
    assert model.fusion == found.out_of_fold.final[0]
    assert model.fusion.tuned_on == "2-fold cross-fitting on train+validation"
    assert set(model.fusion.weights) == {"network", *model.lexical.parts}
    own = load_model(network.root).principal
    assert model.principal.weights == own.weights != own.start
    config = load_config(new.args)
    assert read_manifest(new.checkpoint("metric"))["step"] == config.train.last_step
    [row] = read_rows(new.results)
    assert int(row["epoch"]) == found.out_of_fold.epochs
    assert model.predict(["htn and dm2, aki"])[0]


RESUMED = """
import os, signal, sys
from icdcli.training import recorder
real = recorder.Recorder.handle
def handle(self, event):
    real(self, event)
    place = getattr(event, "step", None)
    if str(self._run.root).endswith(sys.argv[2]) and place == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
recorder.Recorder.handle = handle
from icdcli.refit.run import refit
refit(sys.argv[1], 2)
"""


@pytest.mark.slow
def test_killed_folds_and_final_fits_go_on_bit_for_bit(network, tmp_path):
    copied = tmp_path / "copied"
    subprocess.run(["cp", "-a", str(network.root), str(copied)], check=True)
    whole = refit(network, 2).result.run

    def killed(folder: str, step: int) -> int:
        command = [sys.executable, "-c", RESUMED, str(copied), folder, str(step)]
        return subprocess.run(command, check=False).returncode

    for folder, step in (("fold-1", 3), ("fold-1", 9), ("fold-2", 12), ("copied-refit", 5)):
        assert killed(folder, step) == -signal.SIGKILL
    again = refit(copied, 2).result.run
    for file in ("model.safetensors", "head.safetensors", "lexical/ngrams.npz"):
        for one, other in [(whole.checkpoint("metric") / file, again.checkpoint("metric") / file)]:
            assert one.exists() == other.exists()
            if one.exists():
                assert one.read_bytes() == other.read_bytes()
    assert load_model(whole.root).threshold == load_model(again.root).threshold
    assert load_model(whole.root).fusion == load_model(again.root).fusion


@pytest.mark.slow
def test_a_final_fit_is_resumed_by_resume_and_needs_what_it_started_from(network):
    new = refit(network, 2).result.run
    chosen = FinalFit.read(new.root)
    result = resume_training(new)
    assert result.finished
    (new.root / "final_fit.json").unlink()
    with pytest.raises(ResumeError, match=r"final_fit\.json"):
        resume_training(new)
    chosen.write(new.root)
    assert FinalFit.read(new.root) == chosen
