import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    LongT5Config,
    T5Config,
)

from icdcli.data.batching import TokenizedDocument, collate
from icdcli.errors import ConfigError
from icdcli.model.backbone import ADAPTER, load_backbone
from icdcli.model.batch import Batch
from icdcli.model.hub import PretrainedSource, find_pretrained
from icdcli.model.network import build_network
from icdcli.model.precision import half_precision
from icdcli.model.section import ModelConfig
from icdcli.training.memory.recomputation import all_recomputed, recompute

CPU = torch.device("cpu")


def config_of(folder: Path, **options: object) -> ModelConfig:
    return ModelConfig(
        **{"model": str(folder), "bit": 32, "max_len": 64, "lora_activate": False, **options}
    )


def load(folder: Path, **options: object) -> torch.nn.Module:
    config = config_of(folder, **options)
    return load_backbone(config, find_pretrained(config.model), CPU).eval()


def inputs_of(*documents: list[int]) -> Batch:
    return Batch.of(collate([TokenizedDocument.whole(np.array(ids)) for ids in documents], 0))


def states(backbone: torch.nn.Module, ids: list[int], pad: int = 0) -> torch.Tensor:
    ids_BT = torch.tensor([ids + [0] * pad])
    mask_BT = torch.tensor([[1] * len(ids) + [0] * pad])
    with torch.inference_mode():
        return (
            backbone(input_ids=ids_BT, attention_mask=mask_BT)
            .last_hidden_state[0, : len(ids)]
            .float()
        )


@pytest.mark.parametrize("name", ["llama", "mistral", "bert"])
@pytest.mark.parametrize("pad", [0, 3])
def test_the_last_token_moves_the_first_position(model_folders, name, pad):
    backbone = load(model_folders[name])
    difference = states(backbone, [5, 6, 7, 8], pad)[0] - states(backbone, [5, 6, 7, 9], pad)[0]
    assert difference.norm() > 1e-3


@pytest.mark.parametrize("name", ["llama", "mistral"])
@pytest.mark.parametrize("pad", [0, 3])
def test_under_causal_attention_it_does_not(model_folders, name, pad):
    backbone = load(model_folders[name], attention="causal")
    torch.testing.assert_close(
        states(backbone, [5, 6, 7, 8], pad)[0], states(backbone, [5, 6, 7, 9], pad)[0]
    )


@pytest.mark.parametrize("name", ["llama", "mistral", "bert"])
def test_padding_changes_nothing(model_folders, name):
    backbone = load(model_folders[name])
    torch.testing.assert_close(
        states(backbone, [5, 6, 7, 8], 5), states(backbone, [5, 6, 7, 8]), rtol=0, atol=1e-5
    )


def test_gradient_checkpointing_keeps_attention_bidirectional(model_folders):
    backbone = load(model_folders["llama"]).train()
    network = build_network(config_of(model_folders["llama"]), backbone, 3)
    recompute(network, all_recomputed(network))
    first = backbone(input_ids=torch.tensor([[5, 6, 7, 8]])).last_hidden_state[0, 0]
    other = backbone(input_ids=torch.tensor([[5, 6, 7, 9]])).last_hidden_state[0, 0]
    assert (first - other).norm() > 1e-3


def made(folder: Path, config: object) -> Path:
    AutoModel.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (
            lambda: T5Config(vocab_size=50, d_model=16, d_ff=16, num_layers=1, num_heads=2, d_kv=8),
            {},
            "is an encoder-decoder",
        ),
        (
            lambda: LongT5Config(vocab_size=50, d_model=16, d_ff=16, num_layers=1, num_heads=2),
            {},
            r"is an encoder-decoder \(longt5\)",
        ),
    ],
)
def test_unsupported_options_are_refused(tmp_path, make: Callable[[], object], options, message):
    with pytest.raises(ConfigError, match=message):
        load(made(tmp_path / "model", make()), **options)


def test_a_sliding_window_shorter_than_the_document_is_refused(model_folders):
    with pytest.raises(ConfigError, match=r"sliding window of 64 tokens\. Set max_len: 64"):
        load(model_folders["mistral"], max_len=100)


def test_lora_trains_only_the_adapters_and_the_head(model_folders):
    config = config_of(model_folders["llama"], lora_activate=True, lora_r=4)
    network = build_network(config, load_backbone(config, find_pretrained(config.model), CPU), 7)
    names = set(network.trainable())
    assert {"head.output.weight", "head.output.bias"} < names
    assert all(".lora_" in name for name in names - {"head.output.weight", "head.output.bias"})
    # Four projections of attention and three of the MLP, two factors each, in two layers.
    assert len(names) == 2 + 7 * 2 * 2


@pytest.mark.parametrize(
    ("options", "trained"),
    [
        ({}, True),
        ({"freeze_backbone": True}, False),
        ({"freeze_backbone": False}, True),
        ({"lora_activate": True}, False),
    ],
)
def test_what_is_frozen(model_folders, options, trained):
    weights = dict(load(model_folders["llama"], **options).named_parameters())
    own = [weight.requires_grad for name, weight in weights.items() if ".lora_" not in name]
    assert set(own) == {trained}


@pytest.mark.parametrize("bit", [4, 8, 16, 32])
def test_every_bit_width_gives_finite_float32_logits_and_gradients(model_folders, bit):
    if bit in (4, 8):
        pytest.importorskip("bitsandbytes")
    config = config_of(model_folders["llama"], bit=bit, lora_activate=True, lora_r=4)
    network = build_network(
        config, load_backbone(config, find_pretrained(config.model), CPU), 7
    ).train()
    logits_BL = network(inputs_of([5, 6, 7, 8], [5, 6]))
    assert logits_BL.dtype == torch.float32
    assert logits_BL.isfinite().all()
    logits_BL.sum().backward()
    gradients = {name: weight.grad for name, weight in network.trainable().items()}
    assert all(
        gradient is not None and gradient.isfinite().all() for gradient in gradients.values()
    )


def leave_layers(backbone, quantized):
    """Leave the layers as they are, with a gradient in 4 bits."""
    for module in backbone.modules():
        # On some CPUs, a first pass without gradients converts 4-bit weights to a format that has
        # none.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


@pytest.mark.parametrize("bit", [4, 8, 16, 32])
def test_adapters_give_the_results_of_peft(model_folders, monkeypatch, bit):
    if bit in (4, 8):
        pytest.importorskip("bitsandbytes")
    config = config_of(
        model_folders["llama"], bit=bit, lora_activate=True, lora_r=4, lora_dropout=0.0
    )

    def results():
        torch.manual_seed(0)
        network = build_network(
            config, load_backbone(config, find_pretrained(config.model), CPU), 7
        )
        for name, weight in network.trainable().items():
            if "lora_" in name:
                torch.nn.init.normal_(weight, std=0.1)
        logits_BL = network.train()(inputs_of([5, 6, 7, 8], [5, 6]))
        logits_BL.sum().backward()
        kinds = {type(module).__name__ for module in network.modules()}
        gradients = [
            weight.grad.flatten() for name, weight in network.trainable().items() if "lora" in name
        ]
        return kinds, logits_BL.detach().flatten(), torch.cat(gradients)

    kinds, *ours = results()
    monkeypatch.setattr("icdcli.model.linear.layers.use_fast_layers", leave_layers)
    plain_kinds, *theirs = results()
    assert {kind for kind in kinds if kind.startswith("_Fast")} == {
        4: {"_FastLinear4bit"}, 8: {"_FastLinear8bitLt"}, 16: {"_FastLinear"}, 32: {"_FastLinear"}
    }[bit]  # fmt: skip
    assert not any(kind.startswith("_Fast") for kind in plain_kinds)
    for own, other in zip(ours, theirs, strict=True):
        assert (own - other).norm() / other.norm() < (1e-6 if bit == 32 else 0.02)


@pytest.mark.parametrize("bit", [4, 8])
def test_a_validation_does_not_change_the_gradients_of_a_quantised_backbone(model_folders, bit):
    pytest.importorskip("bitsandbytes")
    config = config_of(
        model_folders["llama"], bit=bit, lora_activate=True, lora_r=4, lora_dropout=0.0
    )
    network = build_network(config, load_backbone(config, find_pretrained(config.model), CPU), 7)
    for name, weight in network.trainable().items():
        if "lora_B" in name:
            torch.nn.init.normal_(
                weight, std=0.1
            )  # zero at first, and then no gradient reaches the first factor
    batch = inputs_of([5, 6, 7, 8])
    gradients = []
    for _ in range(2):
        network.train()
        network.zero_grad()
        network(batch).sum().backward()
        gradients.append(
            {name: weight.grad.clone() for name, weight in network.trainable().items()}
        )
        network.eval()
        with torch.inference_mode():
            network(batch)
    for name, first in gradients[0].items():
        assert first.any()
        torch.testing.assert_close(gradients[1][name], first)


def test_a_trained_half_precision_backbone_keeps_full_precision_weights(model_folders):
    backbone = load(model_folders["llama"], bit=16, freeze_backbone=False)
    assert {weight.dtype for weight in backbone.parameters()} == {torch.float32}
    backbone = load(model_folders["llama"], bit=16, freeze_backbone=True)
    assert {weight.dtype for weight in backbone.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [
        ((7, 0), torch.float16),  # V100
        ((7, 5), torch.float16),  # T4
        ((8, 0), torch.bfloat16),  # A100
        ((9, 0), torch.bfloat16),  # H100
    ],
)
def test_half_precision_is_float16_on_gpus_that_emulate_bfloat16(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)  # emulated
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert half_precision(torch.device("cuda", 0)) is dtype
    assert half_precision(CPU) is torch.bfloat16


def test_half_precision_of_an_amd_gpu_is_what_torch_supports(monkeypatch):
    monkeypatch.setattr(torch.version, "hip", "6.2")
    for supported, dtype in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda supported=supported: supported)
        assert half_precision(torch.device("cuda", 0)) is dtype


@pytest.fixture
def llm2vec(model_folders, tmp_path) -> tuple[str, list[str]]:
    """A base and two adapters as in LLM2Vec: the second is trained on the first, merged."""
    import peft

    folders = []
    base = AutoModel.from_pretrained(model_folders["llama"])
    for name in ("mntp", "mntp-unsup-simcse"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            model = peft.get_peft_model(
                base, peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear")
            )
        torch.manual_seed(len(name))
        for key, weight in model.named_parameters():
            if ".lora_" in key:
                torch.nn.init.normal_(weight, std=0.05)
        folder = tmp_path / name
        model.peft_config["default"].base_model_name_or_path = str(model_folders["llama"])
        model.save_pretrained(folder)
        folders.append(str(folder))
        base = model.merge_and_unload()
    base.save_pretrained(tmp_path / "merged")
    return str(tmp_path / "merged"), folders


def test_two_pretrained_adapters_are_the_same_as_merging_them_in_order(model_folders, llm2vec):
    merged, adapters = llm2vec
    source = PretrainedSource(
        "llama3", str(model_folders["llama"]), str(model_folders["llama"]), tuple(adapters)
    )
    expected = states(load(Path(merged)), [5, 6, 7, 8])
    for options in ({"freeze_backbone": True}, {"lora_activate": True, "lora_r": 4}):
        backbone = load_backbone(config_of(model_folders["llama"], **options), source, CPU).eval()
        torch.testing.assert_close(states(backbone, [5, 6, 7, 8]), expected, rtol=0, atol=1e-5)
        trained = [name for name, weight in backbone.named_parameters() if weight.requires_grad]
        assert all(f".{ADAPTER}." in name for name in trained)
        assert bool(trained) == ("lora_r" in options)


def test_a_folder_with_an_adapter_brings_its_base(model_folders, llm2vec):
    _, [first, _] = llm2vec
    assert find_pretrained(first) == PretrainedSource(
        first, str(model_folders["llama"]), first, (first,)
    )


def test_an_adapter_that_does_not_fit_is_refused(model_folders, llm2vec, tmp_path):
    from safetensors.torch import load_file, save_file

    file = Path(llm2vec[1][0]) / "adapter_model.safetensors"
    save_file({f"other.{name}": weight for name, weight in load_file(file).items()}, file)
    source = PretrainedSource(
        "x", str(model_folders["llama"]), str(model_folders["llama"]), (str(file.parent),)
    )
    with (
        pytest.warns(UserWarning, match="adapter"),
        pytest.raises(ConfigError, match="none of its weights was loaded"),
    ):
        load_backbone(config_of(model_folders["llama"], freeze_backbone=True), source, CPU)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no/such/folder", "is neither a folder nor a Hugging Face id"),
        ("lama3", "Known names: llama3, mistral, tiny"),
        ("nobody/nothing", "can't be reached"),
        ("llama3", "hf download McGill-NLP/LLM2Vec-Meta-Llama-3-8B-Instruct-mntp"),
        ("mistral", "LLM2Vec-Mistral-7B-Instruct-v2-mntp"),
    ],
)
def test_a_model_that_cannot_be_had(name, message):
    with pytest.raises(ConfigError, match=message):
        source = find_pretrained(name)
        load_backbone(ModelConfig(model=name, bit=32), source, CPU)


def test_a_gated_model_says_whose_licence_to_accept():
    from huggingface_hub.errors import GatedRepoError

    from icdcli.model.hub import hub_errors

    with (
        pytest.raises(
            ConfigError,
            match=r"is gated. Accept its license on https://huggingface.co/meta/x, then run `hf",
        ),
        hub_errors("llama3", "meta/x"),
    ):
        try:
            raise GatedRepoError("403", response=SimpleNamespace(headers={}, request=None))
        except GatedRepoError as error:
            raise OSError("You are trying to access a gated repo.") from error


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(ConfigError, match="has no Hugging Face model"):
        find_pretrained(str(tmp_path))


def test_adapters_are_added_to_the_configured_layers(model_folders):
    config = config_of(
        model_folders["llama"], lora_activate=True, lora_r=4, lora_targets=["q_proj", "v_proj"]
    )
    network = build_network(config, load_backbone(config, find_pretrained(config.model), CPU), 7)
    adapted = {
        name.split(".lora_")[0].rpartition(".")[2]
        for name in network.trainable()
        if ".lora_" in name
    }
    assert adapted == {"q_proj", "v_proj"}
    with pytest.raises(
        ConfigError,
        match=r"lora_targets: query: model .* has no such linear layer. It has .*q_proj",
    ):
        load(model_folders["llama"], lora_activate=True, lora_targets=["q_proj", "query"])


def test_an_encoder_is_not_causal(model_folders):
    with pytest.raises(ConfigError, match=r"attention: causal: model .* \(bert\) is an encoder"):
        load(model_folders["bert"], attention="causal")
