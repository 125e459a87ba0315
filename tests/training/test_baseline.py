import json
import math
import os

import numpy as np
import pytest

from icdcli.config.loading import load_config
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.errors import ConfigError, DataError, ResumeError
from icdcli.evaluation.score_split import score_split
from icdcli.evaluation.threshold_tuning import best_threshold
from icdcli.io.manifest import write_manifest
from icdcli.metrics.metrics import evaluate
from icdcli.model.checkpoint import load_model
from icdcli.run_dir import RunDir, read_rows
from icdcli.training.baseline import fit_baseline, train_baseline, unused_keys
from icdcli.training.events import Evaluated, Saved, Started, Stopped
from icdcli.training.run import resume_training, run_training


@pytest.fixture
def trained(config, tmp_path):
    """Trains a baseline on the notes: its corpus, its run and its events."""

    def run(**changes):
        options = config(model="tfidf", **changes)
        corpus = open_corpus(prepare(options.data).folder)
        folder = RunDir.create(tmp_path / "runs", "run")
        return corpus, folder, list(train_baseline(options, corpus, folder))

    return run


def loaded(run, name="last"):
    return load_model(run.checkpoint(name))


def test_a_run_tells_everything_in_order(trained):
    _, _, [started, evaluated, *saved, stopped] = trained()
    assert started == Started(0, 1, 1)
    assert isinstance(evaluated, Evaluated)
    assert saved == [Saved(name, 1) for name in ("metric", "loss", "last")]
    assert isinstance(stopped, Stopped)
    assert stopped.finished
    assert (evaluated.best_metric, evaluated.best_loss, len(evaluated.samples)) == (True, True, 2)
    assert math.isnan(evaluated.train_loss)
    assert math.isnan(evaluated.lr)


def test_it_learns(trained):
    _, _, events = trained()
    assert events[1].metrics["f1_micro"] > 0.9


def test_a_run_is_put_on_disk_as_every_other(trained):
    corpus, run, events = trained()
    [row] = read_rows(run.results)
    assert list(row) == [
        "epoch",
        "step",
        "seconds",
        "train_loss",
        "validation_loss",
        "lr",
        "f1_micro",
        "aucroc_micro",
    ]
    assert (row["epoch"], row["step"], row["train_loss"], row["lr"]) == ("1", "1", "", "")
    assert float(row["f1_micro"]) == events[1].metrics["f1_micro"]
    assert not run.steps.exists()
    assert {
        name: os.readlink(run.checkpoint(name)) for name in ("metric", "loss", "last")
    } == dict.fromkeys(("metric", "loss", "last"), "steps/1")
    manifest = json.loads((run.checkpoint("last") / "manifest.json").read_text())
    assert (manifest["corpus"], manifest["step"], manifest["metrics"]) == (
        corpus.folder.name,
        1,
        events[1].metrics,
    )


def test_what_it_tells_is_what_its_checkpoint_scores(trained):
    corpus, run, events = trained(monitor="map")
    model = loaded(run)
    scored = score_split(model, corpus, "validation")
    targets = scored.documents.targets_NL(len(model.labels))
    expected = evaluate(scored.scores_NL, targets, 0.5, names=["f1_micro", "aucroc_micro", "map"])
    assert events[1].metrics == {name: expected[name] for name in ("f1_micro", "aucroc_micro")}
    assert events[1].monitored == expected["map"]
    logits = model.logits(list(corpus.texts("validation"))).astype(np.float64)
    np.testing.assert_allclose(scored.scores_NL, 1 / (1 + np.exp(-logits)), rtol=1e-5)
    np.testing.assert_allclose(
        scored.losses_N,
        np.log1p(np.exp(np.where(targets, -logits, logits))).mean(axis=1),
        rtol=1e-6,
    )
    assert events[1].validation_loss == scored.losses_N.mean()


def test_some_documents_score_as_among_all(trained):
    corpus, run, _ = trained()
    model = loaded(run)
    everything = score_split(model, corpus, "train")
    some = score_split(model, corpus, "train", only=[7, 2])
    assert some.documents.ids == [everything.documents.ids[row] for row in (7, 2)]
    assert np.array_equal(some.scores_NL, everything.scores_NL[[7, 2]])
    assert np.array_equal(some.losses_N, everything.losses_N[[7, 2]])


def test_a_threshold_is_tuned_on_validation_and_kept(trained):
    corpus, run, events = trained(positive_threshold="auto")
    model = loaded(run)
    scored = score_split(model, corpus, "validation")
    value, f1 = best_threshold(scored.scores_NL, scored.documents.targets_NL(len(model.labels)))
    assert (model.threshold.value, model.threshold.tuned_on) == (value, "validation")
    assert events[1].threshold == str(model.threshold)
    assert events[1].metrics["f1_micro"] == pytest.approx(f1)


def test_the_same_seed_gives_the_same_bytes(trained):
    runs = [trained(seed=seed, workers=workers)[1] for seed, workers in ((0, 1), (0, 2), (1, 1))]
    content = [(run.checkpoint("last") / "tfidf.npz").read_bytes() for run in runs]
    assert content[0] == content[1] != content[2]


def test_the_validation_loss_can_be_what_the_best_goes_by(trained):
    _, _, events = trained(monitor="validation_loss")
    assert events[1].monitored == events[1].validation_loss


def test_keys_that_mean_nothing_to_a_baseline_are_named():
    def named(*overrides):
        return unused_keys(load_config(None, ["model=tfidf", *overrides]))

    assert (
        named()
        == named("device=cpu", "word_ngrams=2", "seed=3", "monitor=map", "data_path=x", "name=y")
        == []
    )
    assert named("bit=4", "lr0=1", "device=mps", "log_every=2") == [
        "device",
        "bit",
        "lr0",
        "log_every",
    ]


def test_what_a_baseline_cannot_have_is_refused():
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["model=tfidf", "lexical=True", "description_prior=True"])
    assert "lexical: not available with model: tfidf" in str(caught.value)
    assert "description_prior: not available with model: tfidf" in str(caught.value)
    # A network's impossible combinations are none of its own.
    assert load_config(None, ["model=tfidf", "steps=1", "bit=8", "device=mps"]).model.is_baseline


def table(tmp_path, texts, codes="I10"):
    path = tmp_path / "notes.jsonl"
    rows = [
        {"id": str(n), "subject_id": str(n), "text": text, "codes": [codes]}
        for n, text in enumerate(texts)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_notes_that_share_no_word_are_reported_with_their_corpus(config, tmp_path):
    options = config(model="tfidf", data_path=table(tmp_path, [f"word{n}" for n in range(60)]))
    corpus = open_corpus(prepare(options.data).folder)
    with pytest.raises(
        DataError, match=f"^{corpus.folder.name}: the training documents share no word"
    ):
        fit_baseline(options, corpus)


@pytest.mark.parametrize("harm", ["damaged", "of another format", "without classifiers"])
def test_resuming_a_baseline_opens_its_checkpoint(config, harm):
    run = run_training(config(model="tfidf")).run
    assert resume_training(run).finished
    folder = run.checkpoint("last").resolve()
    if harm == "damaged":
        (folder / "tfidf.npz").write_bytes(b"half")
    if harm == "of another format":
        settings = json.loads((folder / "coder.json").read_text())
        (folder / "coder.json").write_text(json.dumps(settings | {"format": 999}))
    if harm == "without classifiers":
        (folder / "tfidf.npz").unlink()
    if harm != "damaged":  # as if it had been written so
        manifest = json.loads((folder / "manifest.json").read_text())
        del manifest["files"]
        write_manifest(folder, manifest)
    with pytest.raises(ResumeError):
        resume_training(run)
