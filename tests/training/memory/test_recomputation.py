"""Recomputing layers changes no result, and keeps attention from being computed twice."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModel, BertConfig, LlamaConfig

from icdcli.data.batching import TokenizedDocument, collate
from icdcli.model.backbone import finish_backbone
from icdcli.model.batch import Batch
from icdcli.model.network import build_network
from icdcli.model.packing.kept_attention import keep_attention, kept_if_recomputed
from icdcli.model.packing.probe import choose_padding
from icdcli.model.section import ModelConfig
from icdcli.training.memory.recomputation import Recomputation, all_recomputed, recompute

LAYERS, LENGTHS = 4, (40, 40, 17)
WAYS = [
    Recomputation(2, LAYERS),
    Recomputation(LAYERS, LAYERS),
    Recomputation(2, LAYERS, keeps_attention=True),
    Recomputation(LAYERS, LAYERS, keeps_attention=True),
]
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "vocab_size": 300,
}


def network_of(architecture="llama", lora=True, dropout=0.0, bit=32, padding="free"):
    torch.manual_seed(0)
    if architecture == "llama":
        settings = LlamaConfig(**SIZES, num_key_value_heads=2, attention_dropout=dropout)
    else:
        settings = BertConfig(
            **SIZES, attention_probs_dropout_prob=dropout, hidden_dropout_prob=dropout
        )
    settings.is_causal = False
    config = ModelConfig(
        model="tiny", bit=bit, lora_activate=lora, lora_dropout=dropout, max_len=128
    )
    network = build_network(config, finish_backbone(config, AutoModel.from_config(settings)), 7)
    choose_padding(network, padding)
    return network.train()


def inputs_of(network):
    documents = [TokenizedDocument.whole(np.arange(length) % 300) for length in LENGTHS]
    return Batch.of(collate(documents, 0, network.padding))


class Calls(TorchDispatchMode):
    """Counts the calls of attention in the forward pass of torch."""

    def __init__(self):
        super().__init__()
        self.attention = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name()
        self.attention += "flash_attention" in name and "backward" not in name
        return function(*args, **(kwargs or {}))


def gradients(network, way):
    """Return the loss, the gradients and the calls of attention of one step."""
    recompute(network, way)
    network.zero_grad(set_to_none=True)
    torch.manual_seed(5)
    with Calls() as calls:
        loss = network(inputs_of(network)).square().sum()
        loss.backward()
    found = {
        name: weight.grad.clone()
        for name, weight in network.trainable().items()
        if weight.grad is not None
    }
    return loss.item(), found, calls.attention


@pytest.mark.parametrize("dropout", [pytest.param(0.0, marks=pytest.mark.slow), 0.2])
@pytest.mark.parametrize(
    ("architecture", "lora", "bit", "padding"),
    [
        ("llama", True, 32, "free"),
        pytest.param("llama", True, 16, "free", marks=pytest.mark.slow),
        ("llama", False, 32, "batch"),
        ("bert", False, 32, "free"),
        pytest.param("bert", True, 16, "batch", marks=pytest.mark.slow),
    ],
)
def test_losses_and_gradients_are_the_same_bit_for_bit(architecture, lora, bit, padding, dropout):
    network = network_of(architecture, lora, dropout, bit, padding)
    loss, expected, _ = gradients(network, Recomputation(0, LAYERS))
    assert len(expected) > 10
    for way in WAYS:
        again, found, _ = gradients(network, way)
        assert again == loss
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_attention_that_is_kept_is_computed_once():
    network = network_of()
    runs = 2  # documents of two lengths
    calls = [gradients(network, way)[2] for way in [Recomputation(0, LAYERS), *WAYS]]
    assert calls == [runs * layers for layers in (LAYERS, LAYERS + 2, 2 * LAYERS, LAYERS, LAYERS)]


def test_attention_with_dropout_is_computed_again():
    """Skipping what draws random numbers would change those drawn after it."""
    drawn, operation = [], torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
    query = torch.randn(1, 2, 4, 8)

    @kept_if_recomputed
    def attention(dropout):
        return operation(query, query, query, dropout)[0]

    for dropout, computed_again in ((0.0, False), (0.1, True)):
        forward, again = keep_attention()
        with forward:
            first = attention(0.0)
        with again, Calls() as calls:
            second = attention(0.0)
        drawn.append(calls.attention)
        assert torch.equal(first, second)
        from icdcli.model.packing.kept_attention import _depends_on_inputs_alone

        assert _depends_on_inputs_alone(operation, (query,) * 3, {"dropout_p": dropout}) is not (
            computed_again
        )
        assert _depends_on_inputs_alone(operation, (query, query, query, dropout), {}) is not (
            computed_again
        )
    assert drawn == [0, 0]
    assert attention(0.0).shape == query.shape  # outside a recomputed layer, it is a plain call


def test_a_layer_may_call_attention_several_times():
    calls = []
    product = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default

    @kept_if_recomputed
    def attention(query):
        calls.append(1)
        return product(query, query, query)[0]

    queries = [torch.randn(1, 2, 4, 8) for _ in range(3)]
    forward, again = keep_attention()
    with forward:
        first = [attention(query) for query in queries]
    with again, Calls() as counted:
        second = [attention(query) for query in queries]
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    assert (len(calls), counted.attention) == (6, 0)


def kept_bytes(network, way):
    """Return the bytes that a forward pass keeps for the backward pass."""
    recompute(network, way)
    storages = {}
    weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}

    def pack(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = network(inputs_of(network)).sum()
    kept = sum(size for place, size in storages.items() if place not in weights)
    del loss
    return kept


def test_a_recomputed_layer_keeps_much_less():
    network = network_of()
    none, half, everything = (
        kept_bytes(network, Recomputation(layers, LAYERS)) for layers in (0, 2, LAYERS)
    )
    assert everything < 0.2 * none
    assert half == pytest.approx((none + everything) / 2, rel=0.1)


def test_the_first_layers_are_recomputed_and_the_choice_can_change():
    network = network_of()
    layers = [
        module for name, module in network.backbone.named_modules() if name.endswith(tuple("0123"))
    ]
    for number in (2, 4, 1, 0, 3):
        recompute(network, Recomputation(number, LAYERS))
        flags = [layer.gradient_checkpointing for layer in layers if hasattr(layer, "self_attn")]
        assert flags == [place < number for place in range(LAYERS)]
    assert all_recomputed(network) == Recomputation(LAYERS, LAYERS)


def test_recomputation_is_described_in_words():
    assert str(Recomputation(0, 32)) == "no layer is recomputed"
    assert str(Recomputation(32, 32)) == "all layers are recomputed"
    assert str(Recomputation(12, 32)) == "12 of 32 layers are recomputed"
    assert str(Recomputation(12, 32, True)).endswith("recomputed, except for their attention")
    assert Recomputation(8, 32).share == 0.25
    assert Recomputation(0, 0).share == 0
