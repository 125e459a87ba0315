import pytest
import torch
from transformers import AutoModel, LlamaConfig

from icdcli.model.heads.pooled import PooledHead
from icdcli.model.network import CodingNetwork
from icdcli.training.memory.formula import (
    ON_CPU,
    bytes_per_token,
    token_budget,
    tokens_that_fit,
)

# Llama 3 8B, without the memory that its weights would take.
EIGHT_BILLION = {
    "hidden_size": 4_096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}


@pytest.fixture(scope="module")
def network():
    with torch.device("meta"):
        backbone = AutoModel.from_config(
            LlamaConfig(**EIGHT_BILLION, num_key_value_heads=8, vocab_size=128_256)
        )
        return CodingNetwork(
            backbone.requires_grad_(False), PooledHead(4_096, 100, "mean"), torch.bfloat16
        )


def test_a_cpu_has_a_fixed_budget():
    sizes = {
        "vocab_size": 50,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    network = CodingNetwork(AutoModel.from_config(LlamaConfig(**sizes)), PooledHead(16, 5, "mean"))
    assert token_budget(network, checkpointing=True) == ON_CPU


def test_what_fits_grows_with_the_memory_and_with_checkpointing(network):
    fits = [tokens_that_fit(network, True, gigabytes * 10**9) for gigabytes in (8, 24, 60)]
    assert fits == sorted(fits)
    assert fits[0] < fits[1]
    assert tokens_that_fit(network, False, 24 * 10**9) < tokens_that_fit(network, True, 24 * 10**9)
    assert bytes_per_token(network, False) > 5 * bytes_per_token(network, True)


def test_there_is_always_some_budget(network):
    assert tokens_that_fit(network, True, 0) == 1_024
    assert tokens_that_fit(network, True, 10**15) == 65_536


def test_gradients_and_averages_of_trained_weights_are_left_room_for(network):
    before = tokens_that_fit(network, True, 100 * 10**9)
    network.backbone.requires_grad_(True)
    assert tokens_that_fit(network, True, 100 * 10**9) == 1_024 < before
    network.backbone.requires_grad_(False)
