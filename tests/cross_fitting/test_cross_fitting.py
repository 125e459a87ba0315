"""Cross-fitting of small runs."""

import json
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from icdcli.config.loading import load_config
from icdcli.config.run_paths import change_keys
from icdcli.cross_fitting import fold_runs
from icdcli.cross_fitting.files import SUMMARY
from icdcli.cross_fitting.fold_runs import Watching
from icdcli.cross_fitting.run import (
    cross_fit,
    folds_of_run,
    monitored_value,
    out_of_fold,
    read_out_of_fold,
)
from icdcli.cross_fitting.scaling import scaled_steps, steps_of_epochs
from icdcli.errors import ConfigError, ResumeError
from icdcli.metrics.metrics import evaluate
from icdcli.model.checkpoint import load_model
from icdcli.model.fusion import NETWORK
from icdcli.model.threshold import Threshold
from icdcli.run_dir import RunDir, train_alone
from icdcli.training.run import run_training

KEYS = {"model": "tfidf", "positive_threshold": "auto", "metrics": "[map, f1_micro]"}


@pytest.fixture
def trained(config, tmp_path):
    """Trains a run to cross-fit."""

    def make(**changes):
        options = {**KEYS, "cache_dir": tmp_path / "cache"} | changes
        return run_training(config(**options)).run

    return make


@pytest.fixture(scope="module")
def fitted(notes, tmp_path_factory):
    """A run, and its out-of-fold scores."""
    folder = tmp_path_factory.mktemp("fitted")
    keys = {**KEYS, "data_path": notes, "project": folder / "runs", "cache_dir": folder / "cache"}
    run = run_training(load_config(None, [f"{key}={value}" for key, value in keys.items()])).run
    with pytest.raises(ConfigError, match=f"isn't trained yet. Run `icdcode refit {run.root} --fo"):
        read_out_of_fold(run, 3)
    return run, cross_fit(run, 3)


def test_each_document_is_scored_by_the_model_that_has_not_seen_it(fitted):
    run, found = fitted
    known = folds_of_run(run, 3)
    assert np.bincount(found.folds_N).sum() == len(found.ids) == len(set(found.ids))
    for fold, view in enumerate(known.views):
        seen = set(view.documents("train").ids)
        held_out = [own for own, of in zip(found.ids, found.folds_N, strict=True) if of == fold]
        assert held_out
        assert not seen.intersection(held_out)
        assert set(view.documents("validation").ids) == set(held_out)
        model = load_model(RunDir(found.fold_runs[fold]).checkpoint("last"))
        scored = model.score_split(view, "validation")
        for row, document in enumerate(scored.documents.ids[:5]):
            np.testing.assert_allclose(
                found.parts[NETWORK][found.ids.index(document)], scored.parts[NETWORK][row], 1e-5
            )


def test_metrics_and_decisions_are_those_of_the_scores(fitted):
    _, found = fitted
    gold = evaluate(found.fused_NL, found.targets_NL, found.final[1].value, names=["f1_micro"])
    right = (found.predicted_NL & found.targets_NL).sum()
    f1 = 2 * right / (found.predicted_NL.sum() + found.targets_NL.sum())
    assert gold["f1_micro"] == pytest.approx(f1)
    assert found.statistics.metrics["f1_micro"] == pytest.approx(f1)
    assert found.final[1].tuned_on == "3-fold cross-fitting on train+validation"


def test_codes_that_the_model_of_a_fold_lacks_are_missed_in_metrics_of_ranks(fitted):
    _, found = fitted
    candidates_NL = found.candidates_NL.copy()
    candidates_NL[found.folds_N == 0, 0] = False
    lacking = replace(found, candidates_NL=candidates_NL)
    arrays = lacking.fused_NL, lacking.targets_NL, lacking.final[1].value
    tied = evaluate(*arrays, names=["map"])["map"]
    missed = evaluate(*arrays, names=["map"], unscored_NL=~candidates_NL)["map"]
    assert missed < tied
    assert lacking.statistics.metrics["map"] == pytest.approx(missed)
    assert monitored_value(lacking, ["map"]) == pytest.approx(missed)


def test_what_decides_about_a_document_does_not_depend_on_its_fold(fitted):
    _, found = fitted
    fooled_NL = np.where((found.folds_N == 0)[:, None], ~found.targets_NL, found.targets_NL)
    targets = [np.flatnonzero(row).astype(np.int32) for row in fooled_NL]
    fooled = replace(found, documents=replace(found.documents, targets=targets))
    own_N = found.folds_N == 0
    assert fooled.chosen_by(~own_N) == found.chosen_by(~own_N)
    # Only the common threshold, on which scores of all folds are aligned, may move.
    order, moved = (np.argsort(each.fused_NL[own_N][0]) for each in (found, fooled))
    assert order.tolist() == moved.tolist()


@pytest.mark.parametrize("how", ["auto", "auto_per_code"])
def test_the_decisions_about_a_fold_are_those_of_thresholds_tuned_without_it(fitted, how):
    found = fitted[1]
    # Its gold codes move the thresholds of all documents, but not its own.
    fooled_NL = np.where((found.folds_N == 0)[:, None], ~found.targets_NL, found.targets_NL)
    targets = [np.flatnonzero(row).astype(np.int32) for row in fooled_NL]
    documents = replace(found.documents, targets=targets)
    found = replace(found, documents=documents, how=Threshold(how=how))
    for fold in np.unique(found.folds_N):
        own_N = found.folds_N == fold
        fusion, threshold = found.chosen_by(~own_N)
        scores_NL = found.fuse(fusion, own_N)
        decided_NL = scores_NL >= threshold.values_L(len(found.labels))
        assert decided_NL.any()
        assert (found.predicted_NL[own_N] == decided_NL).all()


def test_finished_folds_are_not_repeated_and_what_was_found_can_be_read(fitted, monkeypatch):
    run, first = fitted
    monkeypatch.setattr(fold_runs, "run_training", lambda *_, **__: pytest.fail("repeated"))
    for again in (cross_fit(run, 3), read_out_of_fold(run, 3)):
        assert (again.fused_NL == first.fused_NL).all()
        assert again.ids == first.ids
    folder = run.root / "cross_fitting"
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.rglob("*.npz"))
    summary = json.loads((folder / "train+validation-3" / "out_of_fold.json").read_text())
    assert summary["documents"] == len(first.ids)


def test_folds_that_another_process_trains_are_left_alone(trained):
    run = trained()
    folder = folds_of_run(run, 2).runs[0].folder
    started = folder / "fold-1" / "steps.csv"
    started.parent.mkdir(parents=True)
    started.write_text("")
    alone = train_alone(RunDir(folder), pytest.fail)
    with alone, pytest.raises(ResumeError, match="is being trained by"):
        cross_fit(run, 2)
    assert started.exists()


def test_a_fold_of_another_configuration_or_other_data_is_refused(trained, tmp_path):
    run = trained()
    cross_fit(run, 2)
    args = run.args.read_text()
    run.args.write_text(args.replace("word_ngrams: 1", "word_ngrams: 2"))
    with pytest.raises(ConfigError, match=r"word_ngrams.*to start over"):
        cross_fit(run, 2)
    run.args.write_text(args)
    data = load_config(run.args).data.path
    moved = tmp_path / "fewer.jsonl"
    moved.write_text("".join(data.read_text().splitlines(keepends=True)[:-2]))
    run.args.write_text(args.replace(str(data), str(moved)))
    for call in (cross_fit, read_out_of_fold):
        with pytest.raises(ResumeError, match="have changed"):
            call(run, 2)


@pytest.mark.parametrize(
    ("keys", "epoch"),
    [
        ({"monitor": "principal_accuracy"}, 2),
        ({"metrics": ["principal_mrr"]}, 2),
        ({"metrics": ["f1_micro", "principal_mrr"]}, 1),
    ],
)
def test_epochs_are_chosen_without_metrics_of_the_principal_diagnosis(
    fitted, tmp_path, keys, epoch
):
    copied = Path(shutil.copytree(fitted[0].root, tmp_path / "run", symlinks=True))
    (copied / "cross_fitting" / "train+validation-3" / SUMMARY).unlink()
    known = folds_of_run(copied, 3)
    for fold in known.runs:  # a second epoch has a lower loss, but ranks nothing
        parts = fold.scores(1)
        fold.write_scores(2, {NETWORK: np.full_like(parts[NETWORK], -2)})
        fold.write_scores(1, {NETWORK: parts[NETWORK] + 8})
    config = change_keys(known.config, {"principal": True, **keys})
    assert out_of_fold(replace(known, config=config)).epochs == epoch


@pytest.mark.parametrize("folds", [1, 1000])
def test_impossible_numbers_of_folds_write_nothing(trained, folds):
    run = trained()
    with pytest.raises(ConfigError, match="folds"):
        cross_fit(run, folds)
    assert not (run.root / "cross_fitting").exists()


def test_steps_grow_with_the_documents(config):
    train = config(batch_size=16, steps=320, warmup_steps=32).train  # 10 epochs of 512
    more = scaled_steps(train, 1024, 512)
    assert more == {
        "steps": 640, "stop_step": None, "warmup_steps": 64, "head_steps": 0, "patience": 0,
    }  # fmt: skip
    assert scaled_steps(train, 1024, 512, last_step=160)["stop_step"] == 320
    longer = train.model_copy(update={"steps": 640})
    assert steps_of_epochs(longer, 1024, 10) == {"stop_step": None}
    assert steps_of_epochs(longer, 1024, 4) == {"stop_step": 256}


@pytest.mark.slow
def test_a_network_is_scored_after_every_epoch_and_ends_at_the_best(trained):
    run = trained(model="tiny", steps=24, max_len=32)
    shown = []
    watching = Watching(lambda what: shown.append(what) or Watching().start(what))
    found = cross_fit(run, 2, watching=watching)
    assert shown == ["fold 1/2", "fold 2/2"]
    known = folds_of_run(run, 2)
    steps = known.runs[0].scored_steps
    assert steps[-1] == known.configs[0].train.last_step
    assert len(steps) == len(list((known.runs[0].run.root / "held_out").glob("[0-9]*.npz")))
    assert 1 <= found.epochs <= len(steps)
    assert found.parts[NETWORK].std() > 0
