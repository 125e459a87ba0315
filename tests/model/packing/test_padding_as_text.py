"""Architectures that take padding for text read documents of one length at a time."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, BertConfig, ConvBertConfig, DebertaV2Config, FNetConfig

from icdcli.data.batching import Chunks, SpecialTokens, TokenizedDocument, collate
from icdcli.distributed.fsdp import Shards
from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ConfigError
from icdcli.explain.attribution import attribute
from icdcli.model.batch import Batch
from icdcli.model.heads.pooled import PooledHead
from icdcli.model.network import CodingNetwork
from icdcli.model.packing.probe import choose_padding

SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "vocab_size": 99, "pad_token_id": 0, "max_position_embeddings": 64,
}  # fmt: skip
TAKING = {
    "fnet": FNetConfig(**{k: v for k, v in SIZES.items() if k != "num_attention_heads"}),
    "convbert": ConvBertConfig(**SIZES, embedding_size=32),
}
LENGTHS = (30, 4, 12, 30, 13, 4)


def network_of(settings):
    torch.manual_seed(0)
    network = CodingNetwork(AutoModel.from_config(settings), PooledHead(32, 3, "mean")).eval()
    warned = []
    network.on_warning = warned.append
    return network, warned


def documents_of(*lengths):
    draw = np.random.default_rng(0)
    return [TokenizedDocument.whole(draw.integers(3, 99, length)) for length in lengths]


def states_of(network, documents):
    batch = Batch.of(collate(documents, 0, network.padding))
    return network.hidden_states(batch).split(list(batch.documents.lengths))


@pytest.mark.parametrize("wanted", ["auto", "batch"])
@pytest.mark.parametrize("name", TAKING)
def test_neighbors_dont_change_hidden_states_or_gradients(name, wanted):
    network, warned = network_of(TAKING[name])
    documents = documents_of(*LENGTHS)
    choose_padding(network, wanted)
    (warning,) = warned
    assert f"({name}) takes padding for text" in warning
    network.without_padding = False
    padded = states_of(network, documents)
    network.without_padding = True
    beside = states_of(network, documents)
    differences = []
    for document, one, other in zip(documents, beside, padded, strict=True):
        (alone,) = states_of(network, [document])
        torch.testing.assert_close(one, alone, atol=1e-5, rtol=1e-4)
        differences.append(float((other - alone).detach().abs().max()))
    assert max(differences) > 1e-3  # with padding, they did
    sum(states.square().sum() for states in beside).backward()
    together = {
        n: w.grad.clone() for n, w in network.backbone.named_parameters() if w.grad is not None
    }
    network.zero_grad()
    for document in documents:
        states_of(network, [document])[0].square().sum().backward()
    for parameter, weight in network.backbone.named_parameters():
        if weight.grad is not None:
            torch.testing.assert_close(together[parameter], weight.grad, atol=1e-2, rtol=1e-3)


def test_other_architectures_are_padded_as_before():
    for settings in (BertConfig(**SIZES), DebertaV2Config(**SIZES)):
        network, warned = network_of(settings)
        choose_padding(network, "batch")
        assert (network.without_padding, warned) == (False, [])


def test_chunks_are_explained_one_by_one():
    network, _ = network_of(TAKING["convbert"])
    choose_padding(network, "auto")
    special_tokens = SpecialTokens((1,), (2,), 0)
    document = special_tokens.read(np.arange(5, 55), 100, Chunks(24, 10))
    assert len(document.chunks) > 1
    found = attribute(network, document, special_tokens, [0, 2])
    with torch.inference_mode():
        logits_L = network(Batch.of(collate([document], 0)))[0]
    added_K = (logits_L - network.head.bias_L)[[0, 2]]
    np.testing.assert_allclose(found.added_K, added_K.detach().numpy(), atol=1e-5)
    assert found.norms_KT.shape == (2, 50) and (found.norms_KT > 0).all()


def test_weights_cannot_be_sharded():
    network, _ = network_of(TAKING["fnet"])
    choose_padding(network, "auto")
    with pytest.raises(ConfigError, match=r"one length are read at a time.* Use ddp"):
        Shards(network, False, True, ProcessGroup(0, 2))
