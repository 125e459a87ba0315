"""Runs whose heads start from code descriptions, with precomputed inputs and lexical scores."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from icdcli.data.notes.text import Note
from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ConfigError, DataError
from icdcli.evaluation.score_split import score_split
from icdcli.icd.code_system import CodeSystem, open_code_system
from icdcli.io.manifest import write_manifest
from icdcli.lexical.descriptions import descriptions_of
from icdcli.metrics.metrics import evaluate
from icdcli.model.checkpoint import load_model
from icdcli.model.inference import precompute as state_cache
from icdcli.model.inference.precompute import description_similarities
from icdcli.model.new_model import embed_descriptions
from icdcli.predict.batches import NotePredictor, Selection
from icdcli.training.events import Evaluated, StepDone
from icdcli.training.loop import train
from icdcli.training.schedule import learning_rate, learning_rate_factor
from icdcli.training.setup import new_training

CPU = torch.device("cpu")
ALONE = ProcessGroup(0, 1)
LORA = {"freeze_backbone": "null", "lora_activate": True, "lora_r": 4}


def validations_of(training):
    return [event for event in train(training) if isinstance(event, Evaluated)]


def losses(config):
    return [
        (event.train_loss, event.validation_loss)
        for event in validations_of(new_training(config, ALONE)[0])
    ]


def save(training, folder):
    folder.mkdir()
    training.model.save(folder)
    write_manifest(folder, {})
    return load_model(folder)


@pytest.mark.parametrize(
    "pooling_mode", ["label_attention", pytest.param("mean", marks=pytest.mark.slow)]
)
def test_states_that_were_computed_before_train_as_those_computed_on_the_way(
    described, pooling_mode
):
    with_states, _ = new_training(described(pooling_mode=pooling_mode), ALONE)
    without, _ = new_training(described(pooling_mode=pooling_mode, state_cache_gb=0), ALONE)
    assert with_states.train.hidden_states is not None
    assert without.train.hidden_states is None
    for cached, computed in zip(validations_of(with_states), validations_of(without), strict=True):
        assert cached.train_loss == pytest.approx(computed.train_loss, rel=1e-3)
        assert cached.validation_loss == pytest.approx(computed.validation_loss, rel=1e-3)


def test_what_was_computed_once_is_there_the_next_time(described, monkeypatch):
    first = losses(described())
    monkeypatch.setattr(state_cache, "_fill", lambda *_: pytest.fail("computed again"))
    assert losses(described()) == first


@pytest.mark.slow
def test_another_backbone_or_length_has_its_own(described, model_folders, tmp_path):
    folders = []
    for changes in ({}, {"max_len": 24}, {"state_pooling": 2}, {"chunk_len": 16}):
        _, corpus = new_training(described(**changes), ALONE)
        folders.append({path.name for path in corpus.folder.glob("s*-train-*")})
    assert (
        len(set.union(*folders)) == 7
    )  # states each, similarities each but for another state_pooling


def test_a_disk_that_is_too_small_is_reported_before_anything_is_written(described, monkeypatch):
    monkeypatch.setattr(
        state_cache.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})()
    )
    with pytest.raises(DataError, match=r"precomputed hidden states .* need .* GB.*state_cache_gb"):
        new_training(described(), ALONE)


@pytest.mark.parametrize("file", ["states.npy", "similarities.npy", "ids.npy"])
def test_what_was_computed_once_and_is_damaged_names_the_remedy(described, file):
    _, corpus = new_training(described(), ALONE)
    for path in corpus.folder.glob(f"*/{file}"):
        path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(
        DataError,
        match=f"can't be read .{file} is damaged.*. Delete this folder; it will be made again",
    ):
        new_training(described(), ALONE)


@pytest.mark.parametrize(
    "options",
    [{}, *(pytest.param(o, marks=pytest.mark.slow) for o in (LORA, {"freeze_backbone": False}))],
)
def test_the_prior_goes_by_the_backbone_as_it_was(described, options):
    training, corpus = new_training(described(**options, lr0=0.05), ALONE)
    before = training.validation.similarities.cosine_NM
    validations_of(training)
    documents = training.model.encoded(training.train.tokens, corpus.documents("validation"))
    with training.model.untrained() as reader:
        after = description_similarities(reader, training.model.network.prior, documents).cosine_NM
    np.testing.assert_allclose(after, before, atol=2e-3)
    if options:
        trained = description_similarities(
            training.model.network, training.model.network.prior, documents
        ).cosine_NM
        assert np.abs(trained - before).max() > 0.01


@pytest.mark.parametrize("lexical", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_saved_model_scores_as_the_run_did_when_it_was_validated(described, tmp_path, lexical):
    options = {"max_len": 200, "chunk_len": 16, "chunk_stride": 8, "positive_threshold": "auto"}
    training, corpus = new_training(described(lexical=lexical, **options), ALONE)
    last = validations_of(training)[-1]
    model = save(training, tmp_path / "saved")
    assert model.chunks is not None
    assert (model.fusion is not None) == (model.lexical is not None) == lexical
    found = score_split(model, corpus, "validation")
    targets_NL = found.documents.targets_NL(len(corpus.labels))
    again = evaluate(
        found.scores_NL,
        targets_NL,
        model.threshold.values_L(len(corpus.labels)),
        names=list(last.metrics),
    )
    assert again == pytest.approx(last.metrics, rel=1e-4)
    some = score_split(model, corpus, "validation", only=[3, 1])
    np.testing.assert_allclose(some.scores_NL, found.scores_NL[[3, 1]], atol=2e-3)
    texts = list(corpus.texts("validation"))
    np.testing.assert_allclose(model.scores(texts), found.scores_NL, atol=2e-3)


@pytest.mark.slow
def test_words_alone_help_a_network_that_has_learned_nothing(described):
    plain, with_words = (
        validations_of(
            new_training(described(lexical=lexical, lr0=1e-9, metrics="[map]"), ALONE)[0]
        )[-1]
        for lexical in (False, True)
    )
    assert with_words.metrics["map"] > plain.metrics["map"] + 0.1


@pytest.mark.slow
@pytest.mark.usefixtures("full_tiny")
def test_a_note_longer_than_the_window_is_read_to_its_end(config):
    training, _ = new_training(config(steps=96, long_notes="windows"), ALONE)
    validations_of(training)
    model = training.model
    filler = "high blood pressure. patient seen. plan discussed. stable. " * 60
    windows = model.windows(len(model.tokenizer(filler, add_special_tokens=False).input_ids))
    assert len(windows) > 3
    assert all(end - start <= 48 for start, end in windows)
    pneumonia = model.labels.index["J18.9"]
    [filled], [both] = (
        model.scores([filler]),
        model.scores([filler + "lobar infiltrate. pneumonia"]),
    )
    assert filled[pneumonia] < 0.3
    assert both[pneumonia] > 0.6


@pytest.mark.parametrize(
    "options", [LORA, pytest.param({"freeze_backbone": False}, marks=pytest.mark.slow)]
)
def test_the_head_learns_alone_at_first_and_the_backbone_with_it_afterwards(described, options):
    training, _ = new_training(
        described(head_steps=10, warmup_steps=2, lora_dropout=0.0, **options), ALONE
    )
    network, seen = training.model.network, {}
    assert training.train.hidden_states is not None
    for event in train(training):
        if isinstance(event, StepDone):
            seen[event.step] = {
                name: weight.detach().clone() for name, weight in network.named_parameters()
            }
            assert (
                (training.train.hidden_states is not None) == network.frozen == (event.step <= 10)
            )

    def moved(first, last):
        return {
            name.split(".")[0]
            for name in seen[first]
            if not torch.equal(seen[first][name], seen[last][name])
        }

    assert moved(1, 10) == {"head", "prior"}
    assert moved(10, 24) == {"head", "prior", "backbone"}


def test_each_stage_has_a_schedule_of_its_own(config):
    options = config(head_steps=10, warmup_steps=4, head_lr_factor=50, lrf=0.0).train
    rates = [learning_rate(step, options) for step in range(1, 25)]
    assert rates[3] == rates[13] == max(rates)
    assert rates[9] == pytest.approx(0, abs=1e-9)
    assert rates[23] == pytest.approx(0, abs=1e-9)
    group = {"factor": 50.0, "joint_factor": options.joint_factor}
    assert [learning_rate_factor(group, step, options) for step in (0, 9, 10, 23)] == [50, 50, 5, 5]


def test_labels_start_from_their_descriptions_the_same_in_every_process(described):
    first, second = (
        new_training(described(), ALONE)[0].model.network.state_dict() for _ in range(2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    random = new_training(described(label_init="random"), ALONE)[0].model.network.state_dict()
    assert not torch.equal(first["head.queries_LW"], random["head.queries_LW"])


def test_synonyms_are_descriptions_of_the_prior_and_the_start_if_the_lexicon_is_on(described):
    # In bfloat16, a description's vector depends on the shape of its batch, within rounding.
    exact = {"cpu_precision": "float32"}
    with_lexicon, corpus = new_training(described(**exact), ALONE)
    without, _ = new_training(described(lexicon=False, **exact), ALONE)
    official = descriptions_of(corpus.labels, corpus.code_system)
    known = descriptions_of(corpus.labels, corpus.code_system, "en")
    network = without.model.network
    assert network.prior.counts == [len(texts) for texts in official]
    assert with_lexicon.model.network.prior.counts == [len(texts) for texts in known]
    assert all(len(texts) > len(few) for texts, few in zip(known, official, strict=True))
    tools = (without.model.tokenizer, without.model.special_tokens)
    titles = embed_descriptions(network, *tools, official)
    means = embed_descriptions(network, *tools, known)
    single = embed_descriptions(network, *tools, [[text] for text in known[0]])
    torch.testing.assert_close(means.means_LD[0], single.titles_LD.mean(dim=0))
    for training, vectors_LD in ((without, titles.titles_LD), (with_lexicon, means.means_LD)):
        head = training.model.network.head
        expected = deepcopy(head)
        expected.start_from_descriptions(vectors_LD, titles.known_L)
        torch.testing.assert_close(head.queries_LW, expected.queries_LW)
        torch.testing.assert_close(head.outputs_LW, expected.outputs_LW)


@pytest.mark.parametrize(
    "pooling_mode", ["label_attention", pytest.param("mean", marks=pytest.mark.slow)]
)
def test_codes_that_no_document_has_are_candidates_that_training_leaves_alone(
    described, monkeypatch, pooling_mode
):
    some = list(open_code_system("icd10").described_codes(("diagnosis",)))[::500]
    monkeypatch.setattr(CodeSystem, "described_codes", lambda *_: iter(some))
    training, corpus = new_training(
        described(
            label_space="described",
            steps=13,
            weight_decay=0.1,
            lr0=1e-2,
            pooling_mode=pooling_mode,
        ),
        ALONE,
    )
    head, labels = training.model.network.head, corpus.labels
    seen = {labels.index[code] for code in ("I10", "E11.9", "J18.9", "N17.9")}
    assert set(training.learned_labels.tolist()) == seen
    assert len(labels) > 140
    never = labels.train_counts.count(0)
    documents = corpus.card["splits"]["train"]["documents"]
    unseen = labels.train_counts.index(0)
    # No code is in exactly one document, so all codes without documents share the mass of one.
    assert head.bias_L[unseen].item() == pytest.approx(np.log(1 / (documents * never)), rel=1e-4)
    before = [weight.detach().clone() for weight in head.label_weights()]
    words = 3 if pooling_mode == "label_attention" else 2
    assert len(before) == words + (2 if pooling_mode == "label_attention" else 1)
    [evaluated] = validations_of(training)
    for place, (weight, initial) in enumerate(zip(head.label_weights(), before, strict=True)):
        changed = {
            label for label in range(len(labels)) if not torch.equal(weight[label], initial[label])
        }
        # What the notes deny changes the weights for assertion classes; they deny nothing.
        assert changed == (seen if place < words else set())
    assert np.isfinite(evaluated.validation_loss)
    assert len(evaluated.samples[0].scores) < 30


def test_notes_are_cleaned_as_the_texts_were_that_it_learned_from(described, tmp_path):
    training, _corpus = new_training(described(text_cleaning="edin"), ALONE)
    model = save(training, tmp_path / "saved")
    np.testing.assert_array_equal(
        model.scores(["High BLOOD -- pressure, 17!"]), model.scores(["high blood pressure"])
    )
    # Cleaning removes numbers and blanks; the rest of the last note fits into one window.
    notes = ["(12) (34)", " \n", "", "pain " + "17 " * 400]
    assert model.score_notes(notes).window_counts == [0, 0, 0, 1]
    assert model.predict(notes)[:3] == [[], [], []]
    assert not model.scores(notes)[:3].any()
    coded = NotePredictor(model, Selection(top=2)).predict(
        [Note(str(place), note) for place, note in enumerate(notes)]
    )
    assert [(note.windows, len(note.codes)) for note in coded] == [(0, 0), (0, 0), (0, 0), (1, 2)]


@pytest.mark.parametrize(
    ("options", "key"),
    [({}, "description_prior: True"), ({"description_prior": False}, "label_init: descriptions")],
)
def test_codes_of_no_known_system_have_nothing_to_start_from(described, options, key):
    with pytest.raises(
        ConfigError, match=f"{key}: none of the 4 codes has a title. Name their code system"
    ):
        new_training(described(code_system="null", **options), ALONE)
    training, _ = new_training(
        described(code_system="null", label_init="random", description_prior=False, steps=13), ALONE
    )
    assert len(validations_of(training)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"max_len": 500, "chunk_len": 200},
            "chunk_len: 200: model .* reads at most 128 tokens. Set chunk_len: 128",
        ),
        (
            {"max_len": 200, "chunk_len": 16, "chunk_stride": 15},
            "chunk_stride: chunks of 16 tokens must overlap",
        ),
    ],
)
def test_chunks_that_a_model_cannot_read_are_reported(described, options, message):
    with pytest.raises(ConfigError, match=message):
        new_training(described(**options), ALONE)


def test_documents_longer_than_the_window_are_read_in_chunks_by_default(described):
    training, _ = new_training(described(max_len=500), ALONE)
    assert (training.model.chunks.length, training.model.chunks.stride) == (128, 96)


@pytest.mark.slow
def test_folds_share_what_was_computed_for_the_corpus(described, tmp_path, monkeypatch):
    _, corpus = new_training(described(), ALONE)
    monkeypatch.setattr(state_cache, "_fill", lambda *_: pytest.fail("computed again"))
    changes = {"train_on": "train+validation", "held_out_fold": "2/3"}
    training, view = new_training(described(**changes), ALONE)
    assert view.folder == corpus.folder
    assert training.train.hidden_states is not None
    monkeypatch.undo()
    without, _ = new_training(
        described(**changes, state_cache_gb=0, cache_dir=tmp_path / "other"), ALONE
    )
    for shared, computed in zip(validations_of(training), validations_of(without), strict=True):
        assert shared.train_loss == pytest.approx(computed.train_loss, rel=1e-3)
        assert shared.validation_loss == pytest.approx(computed.validation_loss, rel=1e-3)


def test_the_backbone_reads_each_split_of_a_view_once(described, monkeypatch):
    fill, made = state_cache._fill, []

    def counted(folders, split, *others):
        made.append((split, sorted(folders)))
        fill(folders, split, *others)

    monkeypatch.setattr(state_cache, "_fill", counted)
    new_training(described(train_on="train+validation", held_out_fold="2/3"), ALONE)
    both = ["similarities", "states"]
    assert sorted(made) == [("train", both), ("validation", both)]


@pytest.mark.parametrize("long_notes", [pytest.param("first", marks=pytest.mark.slow), "windows"])
def test_a_view_reads_the_states_and_similarities_of_its_own_documents(described, long_notes):
    changes = {"long_notes": long_notes, "max_len": 12, "state_pooling": 1}
    training, _ = new_training(described(**changes, held_out_fold="1/3"), ALONE)
    alone = replace(training.validation, hidden_states=None)
    network = training.model.network
    prior = network.prior
    expected = description_similarities(network, prior, alone).cosine_NM
    rows = np.arange(len(alone))
    np.testing.assert_allclose(
        training.validation.similarities.cosine_NM[rows], expected, atol=2e-3
    )
    found = {}

    def take(rows, batch, hidden_TD):
        parts = hidden_TD.split(list(batch.documents.lengths))
        found.update(zip(rows.tolist(), parts, strict=True))

    for _ in state_cache.read_states(network, alone, take):
        pass
    for row, states in found.items():
        np.testing.assert_allclose(
            training.validation.hidden_states[row], states.detach().numpy(), atol=5e-3
        )
