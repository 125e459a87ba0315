"""A note's scores are the same to the last bit, whatever notes it is scored together with."""

import numpy as np
import pytest
import torch

from icdcli.data.corpus.reader import Documents, Labels
from icdcli.data.encoded_documents import Tokens
from icdcli.lexical.lexical_model import LexicalModel
from icdcli.model.fusion import Fusion
from icdcli.model.inference.passes import pass_plan
from icdcli.model.new_model import new_model, tokenizer_for
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold

LABELS = tuple(f"A{number:02}.0" for number in range(60))
WORDS = "chest pain denies fever heart failure acute on chronic kidney disease diabetes".split()


def texts_of_many_lengths():
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice(WORDS, draw.integers(1, 90))) for _ in range(24)]


@pytest.fixture
def model(model_folders):
    """Return a small network with label attention, fused with n-grams."""
    config = ModelConfig(
        model=str(model_folders["bert"]),
        bit=32,
        max_len=48,
        long_notes="windows",
        pooling_mode="label_attention",
    )
    labels = Labels(LABELS, ("diagnosis",) * 60, LABELS, (1,) * 60, (1,) * 60)
    device = torch.device("cpu")
    model = new_model(config, tokenizer_for(config, []), labels, Threshold(0.4), device, 0)
    texts = texts_of_many_lengths()
    targets = [np.array([place, place + 24], np.int32) for place in range(24)]
    model.lexical = LexicalModel.fit(texts, targets, [()] * 60, parts=["ngrams"])
    model.fusion = Fusion({"network": 1.0, "ngrams": 4.0}, -2.0, "validation")
    return model


def test_notes_beside_a_note_change_no_bit_of_its_scores(model):
    texts = texts_of_many_lengths()
    alone_NL = np.concatenate([model.scores([text]) for text in texts])
    order = np.random.default_rng(1).permutation(len(texts))
    together_NL, passes = np.empty_like(alone_NL), []
    model.network.backbone.register_forward_pre_hook(lambda *_: passes.append(1))
    for rows in np.array_split(order, 3):
        together_NL[rows] = model.scores([texts[row] for row in rows])
    assert len(passes) == len(texts)
    assert np.array_equal(alone_NL, together_NL)


def test_a_pass_has_the_windows_of_one_document(documents):
    plan = [rows.tolist() for rows in pass_plan(documents, 1000, "free", alone=True)]
    assert plan == [[row] for row in range(40)]
    tokens = Tokens(np.ones(60, np.uint32), np.array([0, 30, 35, 60]))
    unlabeled = Documents.unlabeled(3)
    read = tokens.of(unlabeled, documents.special_tokens, 11, None, "windows")
    plan = [rows.tolist() for rows in pass_plan(read, 22, "free", alone=True)]
    assert plan == [[0, 1], [2, 3], [4], [5, 6], [7, 8]]
