import numpy as np
import pytest
import torch
from transformers import AutoModel, DebertaV2Config, Gemma2Config, LlamaConfig, StableLmConfig

from icdcli.data.batching import Packed, TokenizedDocument, collate
from icdcli.errors import ConfigError
from icdcli.model.batch import Batch
from icdcli.model.heads.pooled import PooledHead
from icdcli.model.network import CodingNetwork
from icdcli.model.packing.probe import choose_padding

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 99,
}
SIZES |= {"pad_token_id": 0, "max_position_embeddings": 64}


def network_of(settings, autocast=None):
    torch.manual_seed(0)
    return CodingNetwork(AutoModel.from_config(settings), PooledHead(32, 3, "mean"), autocast)


def test_a_network_reads_padded_documents_until_it_is_probed():
    network = network_of(LlamaConfig(**SIZES))
    assert network.padding == "batch"
    with pytest.raises(ValueError, match="padding: batch"):
        network(Batch.of(Packed(np.array([5, 6, 7]), (2, 1), None, (2, 1))))
    assert choose_padding(network, "auto") == network.padding == "free"
    with pytest.raises(ValueError, match="padding: free"):
        network(Batch.of(collate([TokenizedDocument.whole(np.array([5, 6, 7]))], 0)))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (
            DebertaV2Config(**SIZES),
            r"\(deberta-v2\).* its hidden states differ by",
        ),  # its own kind of attention
        (
            StableLmConfig(**SIZES, num_key_value_heads=2),
            r"\(stablelm\).* needs their borders",
        ),  # passes no arguments on
        (
            Gemma2Config(**SIZES, head_dim=8, num_key_value_heads=2),
            r"\(gemma2\).* doesn't support softcap",
        ),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_an_unsupported_architecture_reads_padded_documents_or_is_refused(settings, why, autocast):
    network = network_of(settings, autocast)
    before = settings._attn_implementation
    inputs = Batch.of(
        collate(
            [TokenizedDocument.whole(np.array([5, 6, 7])), TokenizedDocument.whole(np.array([8]))],
            0,
        )
    )
    logits_BL = network.eval()(inputs)
    assert choose_padding(network, "auto") == network.padding == "batch"
    with pytest.raises(
        ConfigError, match=rf"padding: free: this architecture {why}.*\. Set padding: auto"
    ):
        choose_padding(network, "free")
    assert settings._attn_implementation == before
    assert torch.equal(network(inputs), logits_BL)


def test_layers_that_look_past_a_short_trial_are_refused():
    settings = LlamaConfig(**SIZES)
    settings.attention_chunk_size = 8_192
    with pytest.raises(ConfigError, match="chunks"):
        choose_padding(network_of(settings), "free")
    settings.attention_chunk_size, settings.layer_types = (
        None,
        ["full_attention", "linear_attention"],
    )
    with pytest.raises(ConfigError, match="linear_attention"):
        choose_padding(network_of(settings), "free")


@pytest.mark.parametrize("training", [True, False])
def test_the_trial_leaves_no_trace(training):
    network = network_of(LlamaConfig(**SIZES)).train(training)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    choose_padding(network, "auto")
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training == training
    assert all(weight.grad is None for weight in network.parameters())
