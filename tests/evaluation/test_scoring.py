import numpy as np
import pytest
import torch
from torch.nn import functional

from icdcli.data.batches import Frame
from icdcli.data.tokens import EncodedDocuments, Tokens
from icdcli.evaluation.scoring import Scores, document_losses, score_documents
from icdcli.model.coder import CoderNetwork


class Embedding(torch.nn.Module):
    """A backbone that only looks tokens up."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(50, 8)

    def forward(self, input_ids, attention_mask):
        return type("States", (), {"last_hidden_state": self.table(input_ids)})


@pytest.fixture
def network():
    torch.manual_seed(0)
    return CoderNetwork(Embedding(), 8, 5, "mean")


@pytest.fixture
def documents():
    draw = np.random.default_rng(0)
    lengths = draw.integers(0, 30, 40)
    tokens = Tokens(draw.integers(3, 50, lengths.sum()).astype(np.uint32), np.cumsum([0, *lengths]))
    targets = [np.flatnonzero(draw.random(5) < 0.4).astype(np.int32) for _ in lengths]
    return EncodedDocuments(tokens, np.arange(40), targets, Frame((1,), (), 0), 20)


def scored(network, documents, **options):
    scores = Scores.empty(len(documents), 5)
    told = list(score_documents(network, documents, scores, **options))
    return scores, told


def test_scores_stand_in_document_order_whatever_the_batches(network, documents):
    one_at_a_time, _ = scored(network, documents, batch_tokens=1)
    for batch_tokens in (30, 100, 10_000):
        scores, told = scored(network, documents, batch_tokens=batch_tokens)
        np.testing.assert_allclose(scores.scores_NL, one_at_a_time.scores_NL, atol=1e-6)
        np.testing.assert_allclose(scores.losses_N, one_at_a_time.losses_N, atol=1e-6)
        assert told[-1] == 40 and told == sorted(told)


def test_shares_add_up_to_the_whole(network, documents):
    whole, _ = scored(network, documents, batch_tokens=40)
    for ranks in (2, 3):
        parts = [scored(network, documents, batch_tokens=40, share=(rank, ranks))[0] for rank in range(ranks)]
        assert (sum(part.scores_NL for part in parts) == whole.scores_NL).all()
        assert (sum(part.losses_N for part in parts) == whole.losses_N).all()
        assert sum((part.losses_N > 0).astype(int) for part in parts).max() == 1


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_left_as_it_was(network, documents, training):
    network.train(training)
    scored(network, documents)
    assert network.training == training


def test_the_loss_is_torchs_own():
    logits_BL, targets_BL = torch.randn(3, 4), torch.rand(3, 4).round()
    expected = functional.binary_cross_entropy_with_logits(logits_BL, targets_BL, pos_weight=torch.full((4,), 5.0))
    torch.testing.assert_close(document_losses(logits_BL, targets_BL, 5.0).mean(), expected)
