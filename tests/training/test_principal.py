"""Models that learn the principal diagnosis: networks and TF-IDF, interrupted and not."""

import json
import random

import numpy as np
import pytest
import torch

from icdcli.config.loading import load_config
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.data.notes.text import Note
from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ConfigError, DataError
from icdcli.evaluation.evaluate import evaluate_split
from icdcli.evaluation.principal.measuring import means_of, principal_values
from icdcli.evaluation.score_split import score_split
from icdcli.io.manifest import verify
from icdcli.lexical.reading import NoteReading
from icdcli.model.checkpoint import load_model
from icdcli.predict.batches import NotePredictor, Selection
from icdcli.run_dir import RunDir, find_checkpoint
from icdcli.training.baseline import train_baseline
from icdcli.training.events import Evaluated, StepDone
from icdcli.training.loop import train
from icdcli.training.recorder import recording
from icdcli.training.setup import new_training, resumed_training

ALONE = ProcessGroup(0, 1)
WORDS = {"A01": "fever", "B02": "rash", "C03": "cough", "D04": "pain", "E05": "palsy"}
METRICS = "[f1_micro, principal_accuracy, principal_mrr]"


@pytest.fixture
def own(config, tmp_path):
    """Return a function that configures a run on notes whose first words are the reason."""
    draw = random.Random(0)
    path = tmp_path / "claims.jsonl"
    with path.open("w") as file:
        for number in range(240):
            codes = draw.sample([*WORDS], 3)
            others = " ".join(f"also {WORDS[code]}" for code in sorted(codes[1:]))
            text = f"admitted for {WORDS[codes[0]]} {others}"
            file.write(json.dumps({"id": str(number), "text": text, "codes": codes}) + "\n")

    def make(**changes):
        options = {"data_path": path, "principal": True, "metrics": METRICS, "steps": 50}
        return config(**options | {"monitor": "f1_micro"} | changes)

    return make


def run_it(config, name, stop_after=None, resumed=None):
    if resumed is None:
        training, corpus = new_training(config, ALONE)
        run = RunDir.create(config.run.project, name)
    else:
        run, checkpoint = resumed, find_checkpoint(resumed, "last")
        training, corpus = resumed_training(config, checkpoint, verify(checkpoint), ALONE)
    events = []
    with recording(training, run, corpus, []) as publish:
        for event in train(training):
            publish(event)
            events.append(event)
            if isinstance(event, StepDone) and event.step == stop_after:
                training.stop_requested = lambda: 2
    return run, corpus, [event for event in events if isinstance(event, Evaluated)]


def baselines(model, corpus):
    """Return the accuracy of the highest score, and of the most frequent one of the predicted."""
    scored = score_split(model, corpus, "test")
    present_NL = scored.scores_NL >= model.threshold.values_L(len(model.labels))
    rated_NL = np.where(present_NL, model.principal.rates_L, 0)
    return [
        means_of(principal_values(values_NL, scored.principal_N))["principal_accuracy"]
        for values_NL in (scored.scores_NL, rated_NL)
    ]


@pytest.mark.slow
def test_an_interrupted_run_learns_the_same(own):
    complete, _, events = run_it(own(), "complete")
    parts, _, before = run_it(own(), "parts", stop_after=31)
    _, _, after = run_it(own(), "parts", resumed=parts)
    assert [one.metrics for one in [*before, *after]] == [one.metrics for one in events]
    hashes = [
        verify(run.checkpoint("last"))["files"]["head.safetensors"] for run in (complete, parts)
    ]
    assert hashes[0] == hashes[1]
    stored = [
        json.loads((run.checkpoint("last") / "coder.json").read_text())["principal"]
        for run in (complete, parts)
    ]
    assert stored[0] == stored[1]
    assert stored[0]["tuned_on"] == "validation"
    assert {"principal_accuracy", "principal_mrr"} <= events[-1].metrics.keys()


def test_the_codes_of_a_frozen_network_are_the_same_with_and_without(described, own):
    # Without clipping and dropout, the two outputs have no weight in common.
    options = {"data_path": own().data.data_path, "max_grad_norm": 1e9, "head_dropout": 0}
    options |= {"label_init": "random", "description_prior": False, "steps": 8}
    with_it, without = (
        new_training(described(**options, principal=principal, accept_unknown_codes=True), ALONE)[0]
        for principal in (True, False)
    )
    for training in (with_it, without):
        for _ in train(training):
            pass
    heads = [training.model.network.head.state_dict() for training in (with_it, without)]
    assert heads[0].keys() == heads[1].keys()
    # A constant of all keys changes nothing, so that its gradient is only rounding.
    for name in heads[0].keys() - {"key.bias"}:
        torch.testing.assert_close(heads[0][name], heads[1][name], atol=1e-6, rtol=1e-5)
    assert without.model.principal is None and without.model.network.principal is None


@pytest.fixture
def baseline(own, tmp_path):
    """Return a TF-IDF model that chooses the principal diagnosis, its corpus and its folder."""
    config = own(model="tfidf", word_ngrams=2)
    corpus = open_corpus(prepare(config.data).folder)
    run = RunDir.create(tmp_path / "runs", "tfidf")
    events = [*train_baseline(config, corpus, run)]
    return load_model(run.checkpoint("last")), corpus, run, events


def test_tfidf_learns_it_from_the_text(baseline):
    model, corpus, run, events = baseline
    scored = score_split(model, corpus, "test")
    found = means_of(principal_values(scored.principal_NL, scored.principal_N))
    assert found["principal_accuracy"] > max(baselines(model, corpus)) + 0.2
    assert model.principal.weights["own"] > 0
    evaluation = evaluate_split("test", scored, model.labels, model.threshold)
    assert evaluation.to_json()["metrics"]["principal_mrr"] == found["principal_mrr"]
    assert "principal_accuracy" in evaluation.intervals
    validated = next(event for event in events if isinstance(event, Evaluated))
    assert validated.metrics["principal_mrr"] > 0.6
    assert (run.checkpoint("last") / "principal" / "tfidf.npz").is_file()


def test_predictions_mark_it_also_below_the_threshold(baseline):
    model, *_ = baseline
    notes = [Note("1", "admitted for rash also cough also fever"), Note("2", " ")]
    [coded, empty] = NotePredictor(model, Selection()).predict(notes)
    assert [code.code for code in coded.codes if code.principal] == ["B02"]
    assert {code.principal for code in coded.codes} == {True, False}
    assert empty.codes == ()
    [hidden, _] = NotePredictor(model, Selection(min_score=1.0)).predict(notes)
    assert [(code.code, code.principal) for code in hidden.codes] == [("B02", True)]


def test_the_scores_of_notes_are_those_of_the_split(baseline, monkeypatch):
    model, corpus, *_ = baseline
    split, texts = score_split(model, corpus, "test"), [*corpus.texts("test")]
    read, really = [], NoteReading.read
    monkeypatch.setattr(NoteReading, "read", lambda *one: read.append(one[1]) or really(*one))
    found = model.score_notes(texts)
    assert read == texts  # each once, although two classifiers score it
    assert found.principal_NL.argmax(axis=1).tolist() == split.principal_NL.argmax(axis=1).tolist()
    assert found.principal_NL.sum(axis=1) == pytest.approx(1)
    assert next(model.score_batches([texts[:2]], as_logits=True)).principal_NL is None


def test_metrics_of_it_need_it(own):
    with pytest.raises(ConfigError, match="principal_accuracy needs principal: True"):
        load_config(None, ["metrics=[principal_accuracy]"])
    with pytest.raises(ConfigError, match="monitor: principal_mrr needs principal: True"):
        load_config(None, ["monitor=principal_mrr"])


def test_training_needs_one_that_is_known(own, tmp_path):
    codes = tmp_path / "codes.csv"
    rows = [f"{number},2,A01" for number in range(240)]
    codes.write_text("\n".join(["id,seq,code", *rows]) + "\n")
    with pytest.raises(DataError, match="no training document has a principal diagnosis"):
        new_training(own(codes_path=codes), ALONE)
