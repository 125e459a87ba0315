"""The plan of memory that a training will probably choose, from simulated passes."""

import numpy as np
import pytest
from transformers import LlamaConfig

from icdcli.config.loading import load_config
from icdcli.profiling import expected_plan as module
from icdcli.profiling.memory import CUDA, estimate_memory
from icdcli.training.memory.recomputation import Recomputation

LLAMA = LlamaConfig(
    hidden_size=64,
    intermediate_size=160,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=300,
)
LENGTHS = np.full(16, 400)


def estimated(free=0, **changes):
    options = {"model": "tiny", "bit": 32, "lora_activate": True, "max_len": 512, "batch_size": 8}
    options |= {"device": [0]} | changes
    config = load_config(None, [f"{key}={value}" for key, value in options.items()])
    known = {"settings": LLAMA, "libraries": CUDA, "free": free}
    return estimate_memory(config, 7, LENGTHS, np.ones(1, int), **known)


@pytest.mark.slow
def test_the_plan_follows_from_the_memory_and_fits_it():
    all_kept = estimated(gradient_checkpointing=False, micro_batch_tokens=3_200)
    assert all_kept.recomputation == Recomputation(0, 4)
    passes, layers = all_kept.parts["activations"], []
    fixed = all_kept.total - passes
    for share in (1.3, 0.8, 0.5, 0.15):
        found = estimated(free=fixed + int(share * passes))
        layers.append(found.recomputation.layers)
        assert found.total <= fixed + share * passes
        assert found.tokens >= 400
    assert layers[0] == 0
    assert layers == sorted(layers)
    assert 0 < layers[1] < layers[-1] == 4


@pytest.mark.slow
def test_without_known_memory_all_layers_are_recomputed():
    assert estimated().recomputation == Recomputation(4, 4)
    assert estimated(device="cpu").recomputation == Recomputation(4, 4)
    assert estimated(device="cpu", free=10**12).recomputation == Recomputation(0, 4)


@pytest.mark.parametrize(
    ("changes", "layers"),
    [
        pytest.param({"gradient_checkpointing": True}, 4, marks=pytest.mark.slow),
        ({"gradient_checkpointing": False}, 0),
        pytest.param({"torch_compile": True}, 0, marks=pytest.mark.slow),
        pytest.param({"strategy": "fsdp", "device": [0, 1]}, 4, marks=pytest.mark.slow),
    ],
)
def test_other_choices_do_not_depend_on_the_memory(changes, layers):
    assert estimated(free=10**12, **changes).recomputation.layers == layers


def test_a_frozen_backbone_recomputes_nothing():
    found = estimated(free=10**12, lora_activate=False, freeze_backbone=True)
    assert found.recomputation == Recomputation(0, 0)


def test_an_architecture_that_cannot_be_simulated_recomputes_all(monkeypatch):
    def refuse(*_):
        raise RuntimeError("data-dependent")

    monkeypatch.setattr(module.Simulation, "training", refuse)
    assert estimated(free=10**12).recomputation == Recomputation(4, 4)
