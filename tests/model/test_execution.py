import pytest
import torch
from transformers import AutoModel, LlamaConfig

from icdcli.data.corpus.reader import Labels
from icdcli.errors import ConfigError
from icdcli.io.manifest import write_manifest
from icdcli.model import execution
from icdcli.model.execution import FASTEST, Execution
from icdcli.model.heads.pooled import PooledHead
from icdcli.model.network import CodingNetwork
from icdcli.model.new_model import new_model, tokenizer_for
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold
from icdcli.training.section import TrainConfig

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "vocab_size": 99}


@pytest.fixture
def network():
    settings = LlamaConfig(**SIZES, num_attention_heads=4, bos_token_id=1, eos_token_id=2)
    return CodingNetwork(AutoModel.from_config(settings), PooledHead(32, 3, "mean"))


def test_padding_and_kernels_are_chosen_as_wanted(network):
    FASTEST.choose(network)
    assert network.padding == "free"
    assert network.fused == {}  # on a CPU
    Execution(padding="batch").choose(network)
    assert network.padding == "batch"
    with pytest.raises(ConfigError, match="kernels: liger: needs an NVIDIA or AMD GPU"):
        Execution(kernels="liger").choose(network)


def test_a_compiler_fuses_the_layers_itself():
    assert TrainConfig(kernels="liger").used_kernels == "liger"
    assert TrainConfig(kernels="auto", torch_compile=True).used_kernels == "none"


def test_new_and_loaded_models_compute_as_wanted(tmp_path, monkeypatch):
    wanted = []
    monkeypatch.setattr(
        execution, "choose_kernels", lambda network, kernels: wanted.append(kernels)
    )
    config = ModelConfig(model="tiny", bit=32, max_len=64, lora_activate=False)
    labels = Labels(("I10", "E11.9"), ("diagnosis",) * 2, (None,) * 2, (5, 5), (5, 5))
    tokenizer = tokenizer_for(config, ["chest pain", "diabetes mellitus"] * 5)
    model = new_model(config, tokenizer, labels, Threshold(0.4), torch.device("cpu"), 0)
    assert wanted == ["auto"]
    model.save(tmp_path)
    write_manifest(tmp_path, {"step": 7})
    loaded = type(model).load(tmp_path, model.device, execution=Execution("batch", "none"))
    assert wanted == ["auto", "none"]
    assert loaded.network.padding == "batch"
