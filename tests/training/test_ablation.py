"""What the parts of a model, and what they read, are worth."""

import numpy as np
import pytest

from icdcli.distributed.process_group import ProcessGroup
from icdcli.evaluation import ablation, fusion_fitting
from icdcli.evaluation.ablation import ablate
from icdcli.evaluation.fusion_fitting import fit_fusion
from icdcli.lexical.descriptions import descriptions_of
from icdcli.metrics.metrics import evaluate
from icdcli.model.fusion import probabilities
from icdcli.training.events import Evaluated
from icdcli.training.loop import train
from icdcli.training.setup import new_training

ALONE = ProcessGroup(0, 1)


@pytest.mark.slow
def test_what_each_part_is_worth(described):
    training, corpus = new_training(described(lexical=True, metrics="[map]"), ALONE)
    last = [event for event in train(training) if isinstance(event, Evaluated)][-1]
    complete, *rows = ablate(training.model, corpus, "validation")
    assert complete.without is None
    assert complete.metrics["map"] == pytest.approx(last.metrics["map"], rel=1e-4)
    affirmed = ["affirmed_descriptions", "affirmed_terms"]
    names = ["prior", "network", "ngrams", "descriptions", "terms", *affirmed, "marked_ngrams"]
    assert [row.without for row in rows] == [
        *names,
        "views",
        "abbreviations",
        "spelling",
        "synonyms",
    ]
    parts = training.model.score_split(corpus, "validation")
    by_words = {name: part for name, part in parts.parts.items() if name != "network"}
    by_words = {"network": np.zeros_like(parts.parts["network"]), **by_words}
    targets_NL = parts.documents.targets_NL(len(corpus.labels))
    alone = evaluate(
        probabilities(by_words, fit_fusion(by_words, targets_NL, "validation")),
        targets_NL,
        names=["map"],
    )
    assert rows[1].metrics["map"] == pytest.approx(alone["map"])
    complete_text = {name: part for name, part in parts.parts.items() if "_" not in name}
    fused = probabilities(complete_text, fit_fusion(complete_text, targets_NL, "validation"))
    [views] = [row for row in rows if row.without == "views"]
    assert views.metrics["map"] == pytest.approx(evaluate(fused, targets_NL, names=["map"])["map"])


@pytest.mark.slow
def test_with_the_lexicon_pairs_with_evidence_have_their_own_weights(described, monkeypatch):
    # Few documents, and none is annotated: descriptions stand for annotated evidence.
    monkeypatch.setattr(fusion_fitting, "_PAIRS_PER_WEIGHT", 0)
    monkeypatch.setattr(fusion_fitting, "is_evidence", lambda name: "descriptions" in name)
    for lexicon in (True, False):
        training, corpus = new_training(
            described(lexical=True, lexicon=lexicon, assertion="mentions", metrics="[map]"), ALONE
        )
        last = [event for event in train(training) if isinstance(event, Evaluated)][-1]
        assert (training.model.fusion.found is not None) == lexicon
        complete, *_ = ablate(training.model, corpus, "validation")
        assert complete.metrics["map"] == pytest.approx(last.metrics["map"], rel=1e-4)


@pytest.mark.slow
def test_without_abbreviations_notes_are_read_as_written(described):
    training, corpus = new_training(described(lexical="[descriptions]"), ALONE)
    model, label = training.model, corpus.labels.index["I10"]
    changed = dict(ablation._other_readings(model))["abbreviations"]
    complete, without = (
        one.lexical.scores(["Known HTN."])["descriptions"][0, label] for one in (model, changed)
    )
    assert complete > without + 0.5
    assert changed.lexical.scores(["Hypertension."]).keys() == model.lexical.scores([""]).keys()


@pytest.mark.slow
def test_without_spelling_notes_are_read_as_written(described):
    training, corpus = new_training(described(lexical="[descriptions]"), ALONE)
    model, label = training.model, corpus.labels.index["J18.9"]
    changed = dict(ablation._other_readings(model))["spelling"]
    complete, without = (
        one.lexical.scores(["Has pnuemonia."])["descriptions"][0, label] for one in (model, changed)
    )
    assert complete > without + 0.5
    assert model.reading.read("Has pnuemonia.").text == "Has pneumonia."
    assert changed.reading.read("Has pnuemonia.").text == "Has pnuemonia."
    assert changed.reading.key != model.reading.key


@pytest.mark.slow
def test_without_synonyms_prior_and_overlap_know_only_official_terms(described):
    training, corpus = new_training(described(lexical="[descriptions]"), ALONE)
    model, official = training.model, descriptions_of(corpus.labels, corpus.code_system)
    label = corpus.labels.index["J18.9"]
    without = ablation._without_synonyms(model, corpus, official)
    complete, fewer = (
        one.lexical.scores(["Has a lung infection."])["affirmed_descriptions"][0, label]
        for one in (model, without)
    )
    assert complete > fewer + 0.1
    parts = model.score_split(corpus, "validation")
    logits_NL = ablation._logits_without_synonyms(parts, official)
    prior, seen = model.network.prior, parts.similarities
    for row in range(len(logits_NL)):
        first = 0
        for place, (texts, count) in enumerate(zip(official, prior.counts, strict=True)):
            own = (seen.cosine_NM[row] - seen.offset_M)[first : first + count]
            change = own[: len(texts)].max() - own.max()
            expected = parts.parts["network"][row, place] + prior.weight.item() * change
            assert logits_NL[row, place] == pytest.approx(expected, abs=1e-4)
            first += count
    assert not np.allclose(logits_NL, parts.parts["network"])
    plain, corpus = new_training(described(lexical="[descriptions]", lexicon=False), ALONE)
    assert ablation._without_synonyms(plain.model, corpus, official) is None
    assert not list(ablation._other_readings(plain.model))
    assert (
        len(
            ablate(
                new_training(described(description_prior=False, steps=13), ALONE)[0].model,
                corpus,
                "validation",
            )
        )
        == 1
    )
