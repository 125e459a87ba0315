"""Load any Hugging Face encoder or decoder: its bits, its adapters, what its tokens see."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AttentionInterface,
    AutoConfig,
    AutoModel,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from icdcli.errors import ConfigError
from icdcli.model.hub import PretrainedSource, hub_errors
from icdcli.model.section import QUANTIZED, ModelConfig

# It warns of a kernel that it can do without when it is imported (peft does so too), and of the float16 that LLM.int8 always
# rounds its inputs to; neither asks anything of a user.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

ADAPTER = "default"  # peft's name for the adapter that we train


def half_precision(device: torch.device) -> torch.dtype:
    """bfloat16, or float16 on the GPUs that lack it."""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported():
        return torch.float16
    return torch.bfloat16


def _weight_dtype(config: ModelConfig, device: torch.device) -> torch.dtype:
    # Weights that are trained stay float32 and are computed with in half precision: small updates vanish in bfloat16.
    return torch.float32 if config.bit == 32 or not config.frozen else half_precision(device)


def tiny_config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """A Llama of a few million weights, which a laptop trains from nothing in minutes."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def load_backbone(config: ModelConfig, source: PretrainedSource, device: torch.device) -> nn.Module:
    """The pretrained backbone on its device, its pretrained adapters active and everything frozen or not as configured.

    Raises:
        ConfigError: When the model can't be loaded, or can't do what the configuration asks.
    """
    with hub_errors(source.name, source.base):
        settings = AutoConfig.from_pretrained(source.base)
    _check(config, settings)
    _set_attention(config, settings)
    quantization = _quantization(config.bit, device)
    options: dict[str, Any] = {"dtype": _weight_dtype(config, device)}
    if quantization is not None:
        options |= {"quantization_config": quantization, "device_map": {"": device}}
    bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        with hub_errors(source.name, source.base):
            backbone = AutoModel.from_pretrained(source.base, config=settings, **options)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"model: {source.name}: can't be loaded with bit: {config.bit}: {error}"
        ) from error
    finally:
        if bar:
            transformers_logging.enable_progress_bar()
    if quantization is None:
        backbone = backbone.to(device)
    for module in backbone.modules():
        # On CPUs with AVX-512 BF16, bitsandbytes (0.50) repacks a 4-bit weight at the first forward pass in evaluation mode,
        # into a form that has no gradient: training after a validation would go on with gradients that are silently wrong.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return finish_backbone(config, backbone, source.adapters)


def new_backbone(config: ModelConfig, settings: Any, device: torch.device) -> nn.Module:
    """A backbone with random weights, from its architecture's settings (`tiny`, or one whose weights are loaded after).

    The weights are drawn on the CPU, so that they follow from the seed alone.
    """
    _check(config, settings)
    _set_attention(config, settings)
    backbone = AutoModel.from_config(settings).to(
        device=device, dtype=_weight_dtype(config, device)
    )
    return finish_backbone(config, backbone, ())


def finish_backbone(
    config: ModelConfig, plain: PreTrainedModel, adapters: tuple[str, ...]
) -> nn.Module:
    """Freeze, add adapters, and make sure that attention is what was asked for."""
    plain.config.use_cache = False
    if config.frozen:
        plain.requires_grad_(False)
    backbone: nn.Module = plain
    if adapters or config.lora_activate:
        with warnings.catch_warnings():
            # peft asks transformers for a property under a name that transformers has deprecated.
            warnings.filterwarnings(
                "ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning
            )
            backbone = _with_adapters(config, plain, adapters)
    if config.attention == "bidirectional" and not _last_token_moves_first(backbone):
        raise ConfigError(
            f"model: {config.model}: this architecture ({_architecture(backbone)}) can't attend in both directions; "
            "set attention: causal"
        )
    return backbone


def layers_of(backbone: nn.Module, key: str) -> list[nn.Module]:
    """The layers that an architecture stacks, which can be treated one by one.

    Args:
        backbone: With or without adapters.
        key: What asks for it, for the message.

    Raises:
        ConfigError: When the architecture doesn't tell.
    """
    names = set(getattr(backbone, "_no_split_modules", None) or ())
    stacks = [module for module in backbone.modules() if isinstance(module, nn.ModuleList)]
    layers = [layer for stack in stacks for layer in stack if type(layer).__name__ in names]
    if not layers:
        raise ConfigError(
            f"{key}: this architecture ({_architecture(backbone)}) doesn't tell its layers; leave it out"
        )
    return layers


def compile_layers(backbone: nn.Module) -> None:
    """Compile a backbone's layers, which keep their weights and names; lengths of documents never lead to compiling anew.

    Raises:
        ConfigError: When nothing can be compiled on this machine.
    """
    from icdcli.model.packing.attention import PACKED, packed_attention

    layers = layers_of(backbone, "torch_compile: True")
    try:
        torch.compile(lambda x: x.sin() + 1)(
            torch.ones(8, device=next(backbone.parameters()).device)
        )
    except Exception as error:  # of the compiler's many kinds
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"torch_compile: True: nothing can be compiled here: {reason}. It takes a C++ compiler on a CPU, and triton on a "
            "GPU; or leave it out"
        ) from error
    # The places of documents are other numbers each time; attention itself has its kernels.
    AttentionInterface.register(PACKED, torch.compiler.disable(packed_attention))
    for layer in layers:
        layer.compile(dynamic=True)


def _architecture(backbone: nn.Module) -> str:
    return str(getattr(getattr(backbone, "config", None), "model_type", type(backbone).__name__))


def _check(config: ModelConfig, settings: Any) -> None:
    if getattr(settings, "is_encoder_decoder", False):
        raise ConfigError(
            f"model: {config.model}: is an encoder-decoder ({settings.model_type}); give an encoder or a decoder"
        )


def _set_attention(config: ModelConfig, settings: Any) -> None:
    if (
        settings.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    ):  # an encoder, which sees both ways without being told
        if config.attention == "causal":
            raise ConfigError(
                f"attention: causal: model {config.model} ({settings.model_type}) is an encoder, whose tokens see one another; "
                "leave attention out"
            )
        return
    # transformers >= 5.2 reads this key of the configuration when it makes the mask (measured: sdpa and eager, padded or not).
    settings.is_causal = config.attention == "causal"
    window = getattr(settings, "sliding_window", None)
    if (
        config.attention == "bidirectional"
        and window is not None
        and (config.chunk_len or config.max_len) > window
    ):
        raise ConfigError(
            f"max_len: {config.max_len}: model {config.model} attends within a sliding window of {window} tokens; "
            f"set max_len: {window}, or chunk_len: {window} to read longer documents in chunks"
        )


def _quantization(bit: int, device: torch.device) -> Any:
    if bit not in QUANTIZED:
        return None
    try:
        import bitsandbytes  # noqa: F401  (transformers' own message doesn't name our key)
    except ImportError as error:
        raise ConfigError(
            f"bit: {bit}: needs the package bitsandbytes, which is not installed here; use bit: 16 or 32"
        ) from error
    from transformers import BitsAndBytesConfig

    if bit == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=half_precision(device),
    )


def _with_adapters(
    config: ModelConfig, backbone: PreTrainedModel, adapters: tuple[str, ...]
) -> nn.Module:
    """Pretrained adapters stay active and frozen beside ours.

    A low-rank adapter adds its product to the weight, so that several active ones give what merging them in order gives, and
    that without touching quantised weights.
    """
    import peft

    ours = peft.LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=list(config.lora_targets) or "all-linear",
    )
    if config.lora_targets:
        _require_targets(config, backbone)
    if not adapters:
        return peft.get_peft_model(backbone, ours, adapter_name=ADAPTER)
    names = [f"pretrained{i}" for i in range(len(adapters))]
    model: Any = None
    for name, adapter in zip(names, adapters, strict=True):
        with hub_errors(config.model, adapter):
            if model is None:
                model = peft.PeftModel.from_pretrained(backbone, adapter, adapter_name=name)
            else:
                model.load_adapter(adapter, adapter_name=name)
        _require_weights(model, name, adapter)
    if config.lora_activate:
        model.add_adapter(ADAPTER, ours)
        names.append(ADAPTER)
    model.base_model.set_adapter(names)
    for name, weight in model.named_parameters():
        weight.requires_grad_(f".{ADAPTER}." in name)
    return model  # type: ignore[no-any-return]  # peft ships no types


def _require_targets(config: ModelConfig, backbone: nn.Module) -> None:
    """Layers are named as peft names them: by the last part of their path, or by the whole of it."""
    paths = [path for path, module in backbone.named_modules() if "Linear" in type(module).__name__]
    missing = [
        name
        for name in config.lora_targets
        if not any(path == name or path.endswith(f".{name}") for path in paths)
    ]
    if missing:
        there = ", ".join(sorted({path.rpartition(".")[2] for path in paths}))
        raise ConfigError(
            f"lora_targets: {', '.join(missing)}: model {config.model} has no such linear layer; it has {there}"
        )


def _require_weights(model: nn.Module, name: str, adapter: str) -> None:
    # A fresh adapter's second factor is zero; one that stays so was not found under the names that the file uses.
    factors = [weight for key, weight in model.named_parameters() if f"lora_B.{name}." in key]
    if not factors or not any(weight.any() for weight in factors):
        raise ConfigError(
            f"model: the adapter {adapter} does not fit its base model: none of its weights was loaded"
        )


@torch.no_grad()
def _last_token_moves_first(backbone: nn.Module) -> bool:
    """Whether attention is bidirectional, tried rather than believed: some architectures ignore the key."""
    device = next(backbone.parameters()).device
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 9]], device=device)
    training = backbone.training
    backbone.eval()
    first = (
        backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, 0].float()
    )
    backbone.train(training)
    # Eight-bit rounding can move a causal model's first position by a hair as well.
    return bool((first[0] - first[1]).norm() > 1e-4 * first[0].norm())


def architecture_settings(folder: Path) -> Any:
    """The architecture's settings out of a checkpoint's ``config.json``."""
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return AutoConfig.for_model(**settings)


@contextmanager
def without_adapter(backbone: Any) -> Iterator[None]:
    """Switch our adapter off meanwhile; pretrained adapters stay on."""
    pretrained = [name for name in backbone.peft_config if name != ADAPTER]
    if not pretrained:
        with backbone.disable_adapter():
            yield
        return
    wanted = {name: weight.requires_grad for name, weight in backbone.named_parameters()}
    active = list(backbone.active_adapters)
    backbone.base_model.set_adapter(pretrained)
    try:
        yield
    finally:
        backbone.base_model.set_adapter(active)
        for name, weight in backbone.named_parameters():
            weight.requires_grad_(wanted[name])
