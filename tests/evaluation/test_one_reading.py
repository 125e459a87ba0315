"""Every command reads the same part of a long note: evaluation, prediction and evidence agree."""

import json
import random
from collections import Counter
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch

from icdcli.data.batching import SpecialTokens
from icdcli.data.corpus.reader import Documents
from icdcli.data.encoded_documents import Tokens, Windows
from icdcli.data.notes.files import find_notes
from icdcli.distributed.process_group import ProcessGroup
from icdcli.evaluation.ablation import ablate
from icdcli.evaluation.run import evaluate_run, open_run
from icdcli.evaluation.sample import sample_run
from icdcli.evaluation.threshold_tuning import best_threshold
from icdcli.explain.evidence import evidence_finder
from icdcli.model import precision
from icdcli.model.fusion import NETWORK, PRIOR
from icdcli.model.inference.model_inputs import with_similarities
from icdcli.model.inference.scored import Scored
from icdcli.model.inference.scoring import document_losses, pool_windows
from icdcli.model.network import CodingNetwork
from icdcli.predict.run import predict_to_file
from icdcli.run_dir import read_rows
from icdcli.training.loop import train
from icdcli.training.run import run_training
from icdcli.training.setup import new_training, summarize

WORDS = {"I10": "hypertension", "E11.9": "diabetes", "J18.9": "pneumonia", "N17.9": "nephritis"}
FILLER = "patient seen on the ward today. vital signs stable and diet tolerated. "
MAX_LEN = 24


@pytest.fixture(scope="module")
def long_notes(tmp_path_factory):
    """Return a table of notes whose codes are mentioned all over the text."""
    draw = random.Random(5)
    path = tmp_path_factory.mktemp("long") / "notes.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(72):
            codes = [code for code in WORDS if draw.random() < 0.5] or ["I10"]
            text = "".join(f"has {WORDS[code]}. {FILLER * draw.randint(0, 2)}" for code in codes)
            split = ("train", "train", "train", "train", "validation", "test")[number % 6]
            text = f"visit v{number}a. {text}"
            row = {"id": f"n{number}", "text": text, "codes": codes, "split": split}
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture(scope="module")
def trained(config_of, long_notes, model_folders, tmp_path_factory):
    """Return a function that trains a model of a kind, once, and returns its run; read only."""
    encoder = {
        "model": model_folders["bert"], "freeze_backbone": True, "head_lr_factor": 1, "lr0": 2e-2,
    }  # fmt: skip
    attention = {"pooling_mode": "label_attention", "label_width": 16, "description_prior": True}
    kinds = {
        "decoder": {"steps": 40},
        "label attention": encoder | attention | {"lexical": "[ngrams, descriptions]"},
        "bfloat16": encoder | attention | {"cpu_precision": "bfloat16"},
        "trained encoder": encoder | attention | {"freeze_backbone": False, "lr0": 1e-3},
        "chunked encoder": encoder | {"max_len": 40, "chunk_len": 16},
        "cleaned": {"steps": 40, "text_cleaning": "edin"},
        "tfidf": {"model": "tfidf", "text_cleaning": "caml"},
    }

    @cache
    def make(kind, reading):
        project = tmp_path_factory.mktemp("runs")
        options = {
            "code_system": "icd10", "positive_threshold": "auto", "max_len": MAX_LEN,
            "cache_dir": project / "cache", "prediction_print_n": 0, "long_notes": reading,
        }  # fmt: skip
        return run_training(config_of(project, long_notes, **(options | kinds[kind]))).run

    return make


def test_notes(folder, long_notes):
    rows = [json.loads(line) for line in long_notes.read_text().splitlines()]
    path = folder / "test.jsonl"
    kept = [{"id": row["id"], "text": row["text"]} for row in rows if row["split"] == "test"]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    return path


test_notes.__test__ = False


def test_a_frozen_backbone_reads_a_note_once(trained, monkeypatch):
    model = open_run(trained("label attention", "windows")).model
    read, seen = CodingNetwork.hidden_states, []
    monkeypatch.setattr(
        CodingNetwork, "hidden_states", lambda *args: seen.append(args) or read(*args)
    )
    texts = [f"has {word}." for word in WORDS.values()]
    scores_NL = model.scores(texts)
    assert len(seen) == len(texts)  # on a CPU, each note has a pass of its own

    monkeypatch.setattr(model.network, "untrained_backbone", False)
    encode = type(model).encoded
    monkeypatch.setattr(
        type(model), "encoded", lambda self, *args: with_similarities(self, encode(self, *args))
    )
    np.testing.assert_allclose(model.scores(texts), scores_NL, atol=1e-6)


@pytest.mark.parametrize("reading", [pytest.param("first", marks=pytest.mark.slow), "windows"])
def test_every_use_of_a_frozen_backbone_reads_a_note_once(trained, monkeypatch, reading):
    opened = open_run(trained("label attention", reading))
    model, corpus = opened.model, opened.corpus
    cached = model.score_split(corpus, "test")
    read, seen = CodingNetwork.hidden_states, []

    def counted(self, batch):
        seen.append(sum(batch.documents.lengths))
        return read(self, batch)

    monkeypatch.setattr(CodingNetwork, "hidden_states", counted)
    again = model.score_split(corpus, "test", state_cache_gb=0)  # the states don't fit
    tokens = model.encoded(model.cached_tokens(corpus), corpus.documents("test")).lengths.sum()
    assert sum(seen) == tokens
    np.testing.assert_allclose(again.parts[NETWORK], cached.parts[NETWORK], atol=2e-3)
    for part in (NETWORK, PRIOR):
        np.testing.assert_allclose(
            again.without(part)[NETWORK], cached.without(part)[NETWORK], atol=2e-3
        )

    seen.clear()
    (sample,) = sample_run(opened, "test", number=1)
    windows = len(seen)
    assert windows == 1
    seen.clear()
    (text,) = [text for name, text in zip(cached.documents.ids, corpus.texts("test"), strict=True)
               if name == sample.prediction.id]  # fmt: skip
    (scored,) = model.score_notes([text]).windows
    assert len(seen) == 1
    labels = [*range(len(model.labels))]
    assert any(evidence_finder(model)(text, labels, scored))
    peaks = {int(peak) for peak in scored.logits_WL.argmax(axis=0)}
    assert len(seen) == 1 + len(peaks)  # once more, with gradients, each window that counts


KINDS = (
    *("decoder", "label attention", "bfloat16", "trained encoder", "chunked encoder"),
    *("cleaned", "tfidf"),
)
QUICK = {
    *(("decoder", "windows"), ("label attention", "windows")),
    *(("tfidf", "first"), ("tfidf", "windows")),
}


@pytest.mark.parametrize(
    ("kind", "reading"),
    [
        pytest.param(*one, marks=[pytest.mark.slow] * (one not in QUICK))
        for one in product(KINDS, ("first", "windows"))
    ],
)
def test_evaluation_and_prediction_give_the_same_codes(
    trained, long_notes, tmp_path, monkeypatch, kind, reading
):
    if kind == "bfloat16":  # some machines compute it slowly, and warn
        monkeypatch.setattr(precision, "computes_bfloat16_fast", lambda: True)
    run = trained(kind, reading)
    evaluation = evaluate_run(run, "test")
    threshold_L = evaluation.threshold.values_L(len(evaluation.labels))
    evaluated = {
        (document, evaluation.labels.codes[label])
        for document, scores_L in zip(
            evaluation.scored.documents.ids, evaluation.scored.scores_NL, strict=True
        )
        for label in np.flatnonzero(scores_L >= threshold_L)
    }
    output = tmp_path / "codes.jsonl"
    warnings = []
    written = predict_to_file(
        run.root, find_notes([str(test_notes(tmp_path, long_notes))]), output, top=4,
        on_warning=warnings.append,
    )  # fmt: skip
    notes = [json.loads(line) for line in output.read_text().splitlines()]
    predicted = {(n["id"], c["code"]) for n in notes for c in n["codes"] if c["predicted"]}
    assert predicted == evaluated != set()
    scores = {(n["id"], c["code"]): c["score"] for n in notes for c in n["codes"]}
    for document, scores_L in zip(
        evaluation.scored.documents.ids, evaluation.scored.scores_NL, strict=True
    ):
        assert [scores[document, code] for code in evaluation.labels.codes] == pytest.approx(
            scores_L.tolist(), abs=2e-6 if kind == "bfloat16" else 2e-3
        )
    cut = [note["read"] for note in notes if note["read"] < 1]
    caveat = f"{len(cut)} of 12 documents are longer than max_len"
    assert any(caveat in note for note in evaluation.notes) == bool(cut)
    if kind == "tfidf" or reading == "windows":
        assert (warnings, cut, written.cut.notes) == ([], [], 0)
        assert (max(note["windows"] for note in notes) > 1) == (kind != "tfidf")
        return
    assert {note["windows"] for note in notes} == {1}
    assert 5 < len(cut) == written.cut.notes
    (warning,) = warnings
    assert f"{len(cut)} of 12 notes are longer than max_len" in warning
    assert f"{np.mean(cut):.0%}" in warning
    assert "long_notes: windows" in warning
    assert written.to_json()["cut_notes_read"] == pytest.approx(np.mean(cut), abs=1e-5)


@pytest.mark.parametrize(
    "kind", [pytest.param("decoder", marks=pytest.mark.slow), "label attention"]
)
def test_the_threshold_is_tuned_on_the_scores_of_all_windows(trained, kind):
    run = trained(kind, "windows")
    evaluation = evaluate_run(run, "validation", load="last")
    best, f1_micro = best_threshold(evaluation.scored.scores_NL, evaluation.targets_NL)
    assert evaluation.threshold.value == pytest.approx(best, abs=2e-3)
    last = read_rows(run.results)[-1]
    assert float(last["f1_micro"]) == pytest.approx(f1_micro)


def test_the_summary_of_a_run_says_what_is_read_of_long_documents(config, long_notes):
    def tokens(**changes):
        alone = ProcessGroup(0, 1)
        options = {"data_path": long_notes, "code_system": "icd10", "max_len": MAX_LEN}
        training, corpus = new_training(config(**(options | changes)), alone)
        return training, summarize(corpus, training).to_json()["tokens"]

    training, first = tokens()
    longer = int((training.train.document_tokens > MAX_LEN - 1).sum())
    assert 30 < longer < 48
    assert f"; {longer} longer ones are cut (long_notes)" in first
    training, windows = tokens(long_notes="windows")
    mean = len(training.train.windows) / 48
    assert mean > 2
    assert f"one of {mean:.1f} windows per document and epoch" in windows
    assert "longer" not in windows
    _, complete = tokens(max_len=500)
    assert "longer" not in complete and "windows" not in complete


@pytest.mark.parametrize("reading", ["first", "windows"])
def test_each_epoch_trains_on_other_windows_of_long_documents(
    config, long_notes, monkeypatch, reading
):
    options = {"batch_size": 16, "steps": 6, "warmup_steps": 1}  # two epochs of 48 documents
    training, _ = new_training(
        config(data_path=long_notes, max_len=MAX_LEN, long_notes=reading, **options),
        ProcessGroup(0, 1),
    )
    forward, read = CodingNetwork.forward, {0: Counter(), 1: Counter()}

    def noted(self, batch, *rest, **more):
        if self.training:
            tokens = Counter(batch.ids.flatten().tolist())
            read[training.state.step // training.steps_per_epoch] += tokens
        return forward(self, batch, *rest, **more)

    monkeypatch.setattr(CodingNetwork, "forward", noted)
    list(train(training))
    padding = training.model.tokenizer.pad_token_id
    first, second = ({**tokens, padding: 0} for tokens in read.values())
    assert sum(first.values()) == sum(second.values()) > 500
    assert (first == second) == (reading == "first")


@pytest.mark.parametrize("reading", ["first", "windows"])
def test_evidence_is_in_the_part_of_a_note_that_is_read(trained, long_notes, reading):
    model = open_run(trained("decoder", reading)).model
    text, labels = FILLER * 4 + " has pneumonia.", [model.labels.index["J18.9"]]
    (scored,) = model.score_notes([text]).windows
    (found,) = evidence_finder(model)(text, labels)
    assert found == evidence_finder(model)(text, labels, scored)[0] != ()
    beyond = model.tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    limit = beyond["offset_mapping"][MAX_LEN][0]
    assert (max(span.end for span in found) <= limit) == (reading == "first")


def test_a_sample_of_a_split_has_the_scores_of_the_evaluation(trained):
    run = trained("label attention", "windows")
    opened, evaluation = open_run(run), evaluate_run(run, "test")
    rows = {name: row for row, name in enumerate(evaluation.scored.documents.ids)}
    for document in sample_run(opened, "test"):
        row = rows[document.prediction.id]
        for code, score in document.prediction.scores.items():
            label = evaluation.labels.index[code]
            assert score == pytest.approx(evaluation.scored.scores_NL[row, label], abs=2e-3)


def test_without_the_prior_another_window_may_have_the_highest_logit(trained):
    opened = open_run(trained("label attention", "windows"))
    model, corpus = opened.model, opened.corpus
    parts = model.score_split(corpus, "validation")
    with torch.no_grad():
        model.network.prior.weight.zero_()
    expected = model.score_split(corpus, "validation").parts[NETWORK]
    np.testing.assert_allclose(parts.without(PRIOR)[NETWORK], expected, atol=2e-5)
    assert np.abs(parts.parts[NETWORK] - expected).max() > 0.01
    rows = [row.without for row in ablate(model, corpus, "test")]
    assert rows[: 1 + len(model.parts)] == [None, *model.parts]


def windows_of_notes(*lengths, seed=0):
    ids = np.arange(sum(lengths), dtype=np.uint32)
    tokens = Tokens(ids, np.cumsum([0, *lengths]))
    targets = [np.array([row % 3], np.int32) for row in range(len(lengths))]
    names = [str(row) for row in range(len(lengths))]
    documents = Documents(names, [None] * len(names), np.arange(len(names)), targets)
    return tokens.of(documents, SpecialTokens((7,), (8,), 0), 10, None, "windows")


def test_an_epoch_reads_one_window_of_each_document_and_all_are_drawn():
    documents = windows_of_notes(30, 4, 0, 9)
    assert len(documents) == 5 + 1 + 1 + 2
    drawn = [documents.drawn(3, epoch) for epoch in range(60)]
    seen = [set() for _ in range(4)]
    for each in drawn:
        assert len(each) == 4
        assert each.lengths.tolist() == [10, 6, 2, 10]
        for row in range(4):
            seen[row].add(tuple(each[row].chunks[0].tolist()))
    assert [len(windows) for windows in seen] == [5, 1, 1, 2]
    assert seen[1] == {(7, 30, 31, 32, 33, 8)}
    again = documents.drawn(3, 5)
    assert again.drawn_N.tolist() == drawn[5].drawn_N.tolist()
    assert any(documents.drawn(4, 5).drawn_N != drawn[5].drawn_N)
    assert [t.tolist() for t in again.targets_at(np.array([2, 0]))] == [[2], [0]]


def test_windows_are_pooled_by_the_highest_logit():
    documents = windows_of_notes(30, 4, 9)
    logits_WL = np.random.default_rng(0).normal(size=(len(documents), 5)).astype(np.float32)
    pooled = pool_windows(Scored(logits_WL, np.zeros(len(documents))), documents, 2.0)
    expected_NL = np.stack([logits_WL[:5].max(axis=0), logits_WL[5], logits_WL[6:].max(axis=0)])
    np.testing.assert_array_equal(pooled.logits_NL, expected_NL)
    losses_N = document_losses(torch.from_numpy(expected_NL), torch.eye(5)[:3], 2.0)
    np.testing.assert_allclose(pooled.losses_N, losses_N.numpy(), rtol=1e-6)
    assert Windows.of([[(0, 3)], [(0, 8), (2, 10)]]).firsts_N.tolist() == [0, 1]
