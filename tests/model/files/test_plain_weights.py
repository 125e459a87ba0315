"""Loading a network's weights from a file that has exactly these."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel

from icdcli.model.files.plain_weights import load_plain_network

WEIGHTS = "model.safetensors"


@pytest.fixture
def encoder(model_folders, tmp_path):
    folder = tmp_path / "encoder"
    shutil.copytree(model_folders["bert"], folder)
    return folder


def loaded(folder):
    return load_plain_network(folder, AutoConfig.from_pretrained(folder))


def changed(folder, **weights):
    """Write other weights; None leaves one out."""
    stored = load_file(folder / WEIGHTS) | weights
    kept = {name: weight for name, weight in stored.items() if weight is not None}
    save_file(kept, folder / WEIGHTS, {"format": "pt"})


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_the_network_is_that_of_transformers(model_folders, name):
    folder = model_folders[name]
    drawn = torch.get_rng_state()
    network, expected = loaded(folder), AutoModel.from_pretrained(folder)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert network is not None and not network.training
    for of in (torch.nn.Module.named_parameters, torch.nn.Module.named_buffers):
        found, others = dict(of(network)), dict(of(expected))
        assert found.keys() == others.keys()
        assert all(torch.equal(found[key], others[key]) for key in found)
    assert network.config.to_dict() == expected.config.to_dict()
    assert network.config._attn_implementation == expected.config._attn_implementation


def test_what_the_network_computes_may_be_in_the_file(encoder):
    positions = dict(loaded(encoder).named_buffers())["embeddings.position_ids"]
    changed(encoder, **{"embeddings.position_ids": positions.clone()})
    assert loaded(encoder) is not None
    changed(encoder, **{"embeddings.position_ids": positions + 1})
    assert loaded(encoder) is None


@pytest.mark.parametrize(
    "weight", [None, torch.zeros(3), "half"], ids=["missing", "other shape", "other precision"]
)
def test_other_weights_are_left_to_transformers(encoder, weight):
    name = "embeddings.LayerNorm.weight"
    if isinstance(weight, str):
        weight = load_file(encoder / WEIGHTS)[name].half()
    changed(encoder, **{name: weight})
    assert loaded(encoder) is None


def test_more_weights_are_left_to_transformers(encoder):
    changed(encoder, more=torch.zeros(1))
    assert loaded(encoder) is None


def test_other_files_are_left_to_transformers(encoder):
    settings = json.loads((encoder / "config.json").read_text())
    quantized = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    (encoder / "config.json").write_text(json.dumps(settings | {"quantization_config": quantized}))
    assert loaded(encoder) is None
    (encoder / WEIGHTS).unlink()
    assert loaded(encoder) is None
