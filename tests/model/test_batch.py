"""The documents of one forward pass: the assertion classes of their hidden states."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from icdcli.data.batching import Chunks, SpecialTokens
from icdcli.data.corpus.reader import Documents
from icdcli.data.encoded_documents import HiddenStates, Tokens
from icdcli.lexical.assertion.classes import Assertion
from icdcli.model.batch import class_shares, read_batch
from icdcli.model.heads.pooled import average_neighbors

AROUND = SpecialTokens((1, 2), (3,), 0)
LENGTHS = (11, 0, 4, 23)


def encoded(max_len=20, chunks=None, long_notes="first", classes=True):
    draw = np.random.default_rng(0)
    total = sum(LENGTHS)
    tokens = Tokens(
        draw.integers(4, 90, total).astype(np.uint32),
        np.cumsum([0, *LENGTHS]),
        draw.integers(0, len(Assertion), total).astype(np.uint8) if classes else None,
    )
    targets = [np.array([0], np.int32)] * len(LENGTHS)
    names = [str(row) for row in range(len(LENGTHS))]
    documents = Documents(names, [None] * len(names), np.arange(len(names)), targets)
    return tokens.of(documents, AROUND, max_len, chunks, long_notes)


def read(documents, padding="free"):
    rows = np.arange(len(documents))
    return read_batch(documents, rows, 1, padding, torch.device("cpu"))[0]


@pytest.mark.parametrize("padding", ["free", "batch"])
@pytest.mark.parametrize("chunks", [None, Chunks(8, 3)])
@pytest.mark.parametrize("long_notes", ["first", "windows"])
def test_each_hidden_state_has_the_class_of_its_token(padding, chunks, long_notes):
    documents = encoded(chunks=chunks, long_notes=long_notes)
    batch = read(documents, padding)
    parts = batch.shares_TA.split(list(batch.documents.lengths))
    spans = AROUND.windows(23, 20, long_notes)
    assert len(parts) == 3 + len(spans)
    classes = documents.tokens.classes
    expected = [
        classes[:11],
        classes[:0],
        classes[11:15],
        *(classes[15:][slice(*s)] for s in spans),
    ]
    for shares_SA, own in zip(parts, expected, strict=True):
        assert shares_SA.sum(dim=1).tolist() == [1.0] * len(shares_SA)
        assert shares_SA.argmax(dim=1).tolist() == [0, 0, *own.tolist(), 0]


@pytest.mark.parametrize("state_pooling", [1, 4])
def test_precomputed_hidden_states_have_the_shares_of_their_tokens(state_pooling):
    documents = encoded(long_notes="windows")
    alone = read(documents)
    expected_TA, borders = average_neighbors(alone.shares_TA, alone.documents, state_pooling)
    offsets = np.cumsum([0, *borders.lengths])
    states = HiddenStates(np.zeros((offsets[-1], 2), np.float16), offsets, state_pooling)
    batch = read(replace(documents, hidden_states=states))
    assert batch.documents.lengths == borders.lengths
    torch.testing.assert_close(batch.shares_TA, expected_TA)
    assert (batch.shares_TA.max(dim=1).values < 1).any() == (state_pooling == 4)


def test_documents_without_classes_have_no_shares():
    documents = encoded(classes=False)
    assert read(documents).shares_TA is None
    assert class_shares([documents[0]]) is None
