"""The direction of attention: it is as configured, or the architecture is refused."""

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    CpmAntConfig,
    Gemma3TextConfig,
    OlmoHybridConfig,
    OpenAIGPTConfig,
    StableLmConfig,
    XmodConfig,
)

from icdcli.errors import ConfigError
from icdcli.model.backbone import layers_of, load_backbone
from icdcli.model.hub import find_pretrained
from icdcli.model.section import ModelConfig
from icdcli.model.trials import Direction, directions_of


def load(folder: Path, **options: object) -> torch.nn.Module:
    settings = {"model": str(folder), "bit": 32, "max_len": 64, "lora_activate": False, **options}
    config = ModelConfig(**settings)
    return load_backbone(config, find_pretrained(config.model), torch.device("cpu")).eval()


def made(folder: Path, config: object) -> Path:
    AutoModel.from_config(config).save_pretrained(folder)
    return folder


def states(backbone: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    ids_BT = torch.tensor([ids])
    with torch.inference_mode():
        return backbone(input_ids=ids_BT).last_hidden_state[0]


SMALL = {
    "vocab_size": 50, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GPT = {"vocab_size": 50, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}


@pytest.mark.parametrize(
    "settings",
    [
        lambda: StableLmConfig(**SMALL),
        lambda: OpenAIGPTConfig(**GPT),
        lambda: BertConfig(**SMALL, is_decoder=True),
    ],
    ids=["stablelm", "openai-gpt", "bert as a decoder"],
)
@pytest.mark.parametrize("bit", [16, 32])
def test_an_architecture_that_stays_causal_is_refused(tmp_path, settings, bit):
    folder = made(tmp_path / "model", settings())
    with pytest.raises(ConfigError, match=r"has no bidirectional attention. Set attention: causal"):
        load(folder, bit=bit, freeze_backbone=True)
    assert load(folder, bit=bit, freeze_backbone=True, attention="causal") is not None


@pytest.mark.parametrize("bit", [16, 32])
def test_an_architecture_that_stays_bidirectional_is_refused(tmp_path, bit):
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "dim_head": 16, "dim_ff": 32}
    folder = made(tmp_path / "model", CpmAntConfig(vocab_size=50, num_hidden_layers=2, **sizes))
    with pytest.raises(
        ConfigError,
        match=r"attention: causal: model .*\(cpmant\) can't be made causal; its tokens see later "
        r"ones\. Set attention: bidirectional",
    ):
        load(folder, bit=bit, freeze_backbone=True, attention="causal")
    assert load(folder, bit=bit, freeze_backbone=True) is not None


def test_an_architecture_that_needs_more_than_text_is_refused(tmp_path):
    folder = made(tmp_path / "model", XmodConfig(**SMALL, languages=["en_XX", "de_DE"]))
    with pytest.raises(
        ConfigError,
        match=r"architecture \(xmod\) can't read plain text: .*language.*\. Choose another model",
    ):
        load(folder)


def test_an_architecture_of_which_some_layers_stay_causal_is_refused(tmp_path):
    kinds = ["linear_attention", "linear_attention", "full_attention"]
    sizes = SMALL | {"num_hidden_layers": 3, "layer_types": kinds}
    folder = made(tmp_path / "model", OlmoHybridConfig(**sizes))
    with pytest.raises(
        ConfigError,
        match=r"has 2 layers, of 3, whose tokens see only earlier ones, such as layer 1\. Set "
        "attention: causal",
    ):
        load(folder)
    assert load(folder, attention="causal") is not None


@pytest.mark.parametrize("attention", ["bidirectional", "causal"])
@pytest.mark.parametrize("own", [True, False])
def test_gemma_3_attends_as_configured_whatever_its_own_setting(tmp_path, attention, own):
    settings = Gemma3TextConfig(**SMALL, head_dim=16, use_bidirectional_attention=own)
    backbone = load(made(tmp_path / "model", settings), attention=attention)
    first, other = states(backbone, [5, 6, 7, 8])[0], states(backbone, [5, 6, 7, 9])[0]
    assert ((first - other).norm() > 1e-3) == (attention == "bidirectional")


@pytest.mark.parametrize("attention", ["bidirectional", "causal"])
@pytest.mark.parametrize("bit", [4, 8, 16, 32])
def test_the_direction_is_found_out_in_every_precision(model_folders, attention, bit):
    if bit in (4, 8):
        pytest.importorskip("bitsandbytes")
    options = {"bit": bit, "attention": attention, "freeze_backbone": True}
    backbone = load(model_folders["llama"], **options).train()
    found = directions_of(backbone, layers_of(backbone, ""))
    assert found == [Direction(earlier=True, later=attention == "bidirectional")] * 2
    assert directions_of(backbone, ()) == found[:1]
    assert backbone.training
