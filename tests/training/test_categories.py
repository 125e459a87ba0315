"""Runs whose candidates include codes that training never sees (``label_space: categories``)."""

import numpy as np
import pytest

from icdcli.data.corpus.label_spaces import unseen_labels
from icdcli.distributed.process_group import ProcessGroup
from icdcli.evaluation.ablation import ablate
from icdcli.evaluation.score_split import score_split
from icdcli.explain.evidence import evidence_finder
from icdcli.io.manifest import write_manifest
from icdcli.metrics.metrics import evaluate
from icdcli.model.checkpoint import load_model
from icdcli.model.fusion import NETWORK
from icdcli.training.events import Evaluated
from icdcli.training.loop import train
from icdcli.training.setup import new_training

ALONE = ProcessGroup(0, 1)
OPTIONS = {"label_space": "categories", "steps": 26, "metrics": "[map]"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a function that trains, at most once, and returns the run, its corpus, its end."""
    kept = {}

    def make(described, lexical):
        if lexical not in kept:
            options = OPTIONS | {"lexical": lexical, "positive_threshold": "auto"}
            said = []
            training, corpus = new_training(described(**options), ALONE, on_warning=said.append)
            assert any("nothing scores the" in message for message in said) == (not lexical)
            last = [event for event in train(training) if isinstance(event, Evaluated)][-1]
            folder = tmp_path_factory.mktemp("saved") / "model"
            folder.mkdir()
            training.model.save(folder)
            write_manifest(folder, {})
            kept[lexical] = training, corpus, last, folder
        return kept[lexical]

    return make


@pytest.mark.slow
@pytest.mark.parametrize("lexical", [False, True])
def test_a_saved_model_scores_as_the_run_did_when_it_was_validated(described, trained, lexical):
    training, corpus, last, folder = trained(described, lexical)
    unseen = unseen_labels(corpus)
    known = len(corpus.labels) - unseen
    assert (known, training.learned_labels.tolist()) == (4, [0, 1, 2, 3])
    assert unseen > 50
    assert len(training.model.network.head.bias_L) == known
    assert all(corpus.labels.train_counts[:known])
    assert not any(corpus.labels.train_counts[known:])

    model = load_model(folder)
    assert model.labels == corpus.labels
    found = score_split(model, corpus, "validation")
    assert found.scores_NL.shape == (len(found.documents), len(corpus.labels))
    values = evaluate(found.scores_NL, found.documents.targets_NL(len(corpus.labels)), 0.5)
    assert values["map"] == pytest.approx(last.metrics["map"], rel=1e-4)
    np.testing.assert_allclose(
        model.scores(list(corpus.texts("validation"))), found.scores_NL, atol=2e-3
    )


@pytest.mark.slow
def test_without_words_nothing_is_known_of_unseen_codes(described, trained):
    training, corpus, *_ = trained(described, False)
    scores_NL = score_split(training.model, corpus, "validation").scores_NL
    known_NL, unseen_NL = np.split(scores_NL, [len(corpus.labels) - unseen_labels(corpus)], axis=1)
    assert unseen_NL.max() < 1e-9 < known_NL.min()


def test_words_tell_unseen_codes_apart(described, trained):
    training, corpus, *_ = trained(described, True)
    model, labels = training.model, corpus.labels
    assert model.fusion is not None
    assert model.fusion.unseen is not None
    first = len(labels) - unseen_labels(corpus)
    code = "E11.65"
    text = f"The patient has {labels.titles[labels.index[code]].lower()}. Discharged home."
    [scores_L] = model.scores([text])
    others = scores_L[first:]
    assert scores_L[labels.index[code]] == others.max() > np.median(others)
    # The words behind it are those of its title; the network knows nothing of it.
    [spans] = evidence_finder(model)(text, [labels.index[code]])
    assert spans
    assert "hyperglycemia" in text[spans[0].begin : spans[0].end + 20]


@pytest.mark.slow
def test_parts_can_be_left_out(described, trained):
    training, corpus, *_ = trained(described, True)
    rows = ablate(training.model, corpus, "validation")
    assert {NETWORK, "prior", "descriptions", "synonyms"} <= {row.without for row in rows}
    assert all(np.isfinite(row.metrics["map"]) for row in rows)
