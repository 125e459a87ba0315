"""Documents to score, and their scores by a network."""

import numpy as np
import pytest

from icdcli.data.batching import SpecialTokens
from icdcli.data.encoded_documents import EncodedDocuments, Tokens
from icdcli.model.inference.scored import Scored
from icdcli.model.inference.scoring import score_documents


@pytest.fixture
def documents():
    """Return forty documents of up to 30 tokens, cut at 20, with 5 labels."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(0, 30, 40)
    tokens = Tokens(draw.integers(3, 50, lengths.sum()).astype(np.uint32), np.cumsum([0, *lengths]))
    targets = [np.flatnonzero(draw.random(5) < 0.4).astype(np.int32) for _ in lengths]
    return EncodedDocuments(tokens, np.arange(40), targets, SpecialTokens((1,), (), 0), 20)


@pytest.fixture
def scored():
    """Return a function that gives the scores of documents, and the counts that it yields."""

    def score(network, documents, **options):
        scores = Scored.empty(len(documents), 5)
        seen = list(score_documents(network, documents, scores, **options))
        return scores, seen

    return score
