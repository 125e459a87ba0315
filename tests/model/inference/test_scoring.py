import shutil
import tempfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoModel, LlamaConfig

from icdcli.model.heads.pooled import PooledHead
from icdcli.model.inference import room, scoring
from icdcli.model.inference.scored import Scored
from icdcli.model.inference.scoring import document_losses
from icdcli.model.network import CodingNetwork
from icdcli.model.packing.probe import choose_padding


class Embedding(torch.nn.Module):
    """A backbone whose hidden states are the embeddings."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(50, 8)

    def forward(self, input_ids, attention_mask):
        return type("States", (), {"last_hidden_state": self.table(input_ids)})


@pytest.fixture
def network():
    torch.manual_seed(0)
    return CodingNetwork(Embedding(), PooledHead(8, 5, "mean"))


def test_scores_are_in_document_order_for_any_batches(network, scored, documents):
    one_at_a_time, _ = scored(network, documents, batch_tokens=1)
    for batch_tokens in (30, 100, 10_000):
        scores, seen = scored(network, documents, batch_tokens=batch_tokens)
        np.testing.assert_allclose(scores.logits_NL, one_at_a_time.logits_NL, atol=1e-6)
        np.testing.assert_allclose(scores.losses_N, one_at_a_time.losses_N, atol=1e-6)
        assert seen[-1] == 40
        assert seen == sorted(seen)


@pytest.fixture
def packing():
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 50,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    return CodingNetwork(
        AutoModel.from_config(LlamaConfig(**sizes, pad_token_id=0)), PooledHead(16, 5, "mean")
    )


def test_scores_are_the_same_without_padding(packing, scored, documents):
    padded, _ = scored(packing, documents, batch_tokens=100)
    choose_padding(packing, "free")
    for batch_tokens in (1, 100, 10_000):
        packed, seen = scored(packing, documents, batch_tokens=batch_tokens)
        np.testing.assert_allclose(packed.logits_NL, padded.logits_NL, atol=1e-6)
        np.testing.assert_allclose(packed.losses_N, padded.losses_N, atol=1e-6)
        assert seen[-1] == 40


@pytest.mark.parametrize("padding", ["free", "batch"])
def test_shares_add_up_to_the_whole(packing, scored, documents, padding):
    network = packing
    choose_padding(network, padding)
    whole, _ = scored(network, documents, batch_tokens=40)
    for ranks in (2, 3):
        parts = [
            scored(network, documents, batch_tokens=40, shard=(rank, ranks))[0]
            for rank in range(ranks)
        ]
        assert (sum(part.logits_NL for part in parts) == whole.logits_NL).all()
        assert (sum(part.losses_N for part in parts) == whole.losses_N).all()
        assert sum((part.losses_N > 0).astype(int) for part in parts).max() == 1


def test_many_scores_are_in_a_file_that_vanishes_with_them(
    network, scored, documents, tmp_path, monkeypatch
):
    in_memory, _ = scored(network, documents)
    monkeypatch.setattr(room, "IN_MEMORY", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    in_file, _ = scored(network, documents)
    assert isinstance(in_file.logits_NL, np.memmap)
    assert not isinstance(in_memory.logits_NL, np.memmap)
    assert (in_file.logits_NL == in_memory.logits_NL).all()
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=100))
    assert not isinstance(Scored.empty(40, 5).logits_NL, np.memmap)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_left_as_it_was(network, scored, documents, training):
    network.train(training)
    scored(network, documents)
    assert network.training == training


def test_the_loss_is_torchs_own():
    logits_BL, targets_BL = torch.randn(3, 4), torch.rand(3, 4).round()
    expected = functional.binary_cross_entropy_with_logits(
        logits_BL, targets_BL, pos_weight=torch.full((4,), 5.0)
    )
    torch.testing.assert_close(document_losses(logits_BL, targets_BL, 5.0).mean(), expected)


def test_results_are_stored_while_the_next_pass_is_computed(network, documents, monkeypatch):
    computed, stored = [], []
    monkeypatch.setattr(
        scoring, "_copy", lambda *tensors: lambda: stored.append(len(computed)) or copied(tensors)
    )
    network.register_forward_hook(lambda *_: computed.append(1))
    scores = Scored.empty(40, 5)
    *_, last = scoring.score_documents(network, documents, scores, batch_tokens=100)
    assert last == 40
    assert len(computed) > 3
    # The results of each pass but the last are stored after the next pass has started.
    assert stored == [*range(2, len(computed) + 1), len(computed)]
    monkeypatch.undo()
    expected = Scored.empty(40, 5)
    list(scoring.score_documents(network, documents, expected, batch_tokens=100))
    np.testing.assert_array_equal(scores.logits_NL, expected.logits_NL)
    np.testing.assert_array_equal(scores.losses_N, expected.losses_N)


def copied(tensors):
    return [tensor.numpy().copy() for tensor in tensors]
