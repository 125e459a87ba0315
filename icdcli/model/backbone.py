"""Load any Hugging Face encoder or decoder: its precision, its adapters, its attention."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import (
    AttentionInterface,
    AutoConfig,
    AutoModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from icdcli.errors import ConfigError
from icdcli.model.files.plain_weights import load_plain_network
from icdcli.model.hub import TINY_SIZES, PretrainedSource, hub_errors
from icdcli.model.precision import half_precision, weight_precision
from icdcli.model.section import QUANTIZED, ModelConfig
from icdcli.model.trials import directions_of

if TYPE_CHECKING:
    from transformers import LlamaConfig

# When it is imported (peft does so too), it warns of an optional kernel that is missing. Users
# needn't do anything.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

ADAPTER = "default"  # peft's name for the adapter that we train


def tiny_config(tokenizer: PreTrainedTokenizerFast) -> "LlamaConfig":
    """Return the settings of `tiny`, a new Llama."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(tokenizer),
        **TINY_SIZES,
        max_position_embeddings=8192,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def load_backbone(config: ModelConfig, source: PretrainedSource, device: torch.device) -> nn.Module:
    """Load a pretrained backbone with its pretrained adapters, frozen or not as configured.

    Raises:
        ConfigError: If the model can't be loaded, or doesn't support the configuration.
    """
    with hub_errors(source.name, source.base):
        settings = AutoConfig.from_pretrained(source.base, **source.options(source.base))
    _check(config, settings)
    _set_attention(config, settings)
    quantization = _quantization(config.bit, device)
    options: dict[str, Any] = {
        "dtype": weight_precision(config, device),
        **source.options(source.base),
    }
    if quantization is not None:
        options |= {"quantization_config": quantization, "device_map": {"": device}}
    bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        with hub_errors(source.name, source.base):
            backbone: Any = None
            if config.bit == 32 and config.frozen:  # its weights are never saved again
                backbone = load_plain_network(Path(source.base), settings)
            if backbone is None:
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
    return finish_backbone(config, backbone, source)


def new_backbone(config: ModelConfig, settings: Any, device: torch.device) -> nn.Module:
    """Make a backbone with random weights: `tiny`, or one whose weights are loaded afterwards.

    The weights are drawn on the CPU, so that they depend only on the seed.
    """
    _check(config, settings)
    _set_attention(config, settings)
    backbone = AutoModel.from_config(settings).to(
        device=device, dtype=weight_precision(config, device)
    )
    return finish_backbone(config, backbone)


def finish_backbone(
    config: ModelConfig, plain: PreTrainedModel, source: PretrainedSource | None = None
) -> nn.Module:
    """Freeze a backbone, add its adapters, and check that its attention is as configured.

    Args:
        config: The model section of the configuration.
        plain: The backbone.
        source: The pretrained model with its adapters; None: the backbone has random weights.
    """
    plain.config.use_cache = False
    if config.frozen:
        plain.requires_grad_(False)
    backbone: nn.Module = plain
    if config.lora_activate or (source is not None and source.adapters):
        with warnings.catch_warnings():
            # peft reads a property of transformers by a deprecated name.
            warnings.filterwarnings(
                "ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning
            )
            backbone = _with_adapters(config, plain, source)
    if backbone is not plain or config.bit in QUANTIZED:
        from icdcli.model.linear.layers import use_fast_layers  # imports peft

        use_fast_layers(backbone, quantized=config.bit in QUANTIZED)
    if plain.device.type != "meta":  # without weights, nothing can be tried
        _check_attention(config, backbone)
    return backbone


def layers_of(backbone: nn.Module, key: str) -> list[nn.Module]:
    """Return the stacked layers of a backbone, one by one.

    Args:
        backbone: The backbone, with or without adapters.
        key: The setting that needs the layers, for the message.

    Raises:
        ConfigError: If the architecture doesn't declare its layers.
    """
    if layers := _declared_layers(backbone):
        return layers
    raise ConfigError(
        f"{key}: this architecture ({_architecture(backbone)}) doesn't declare its layers. "
        "Leave this setting out."
    )


def _declared_layers(backbone: nn.Module) -> list[nn.Module]:
    names = set(getattr(backbone, "_no_split_modules", None) or ())
    stacks = [module for module in backbone.modules() if isinstance(module, nn.ModuleList)]
    return [layer for stack in stacks for layer in stack if type(layer).__name__ in names]


def compile_layers(backbone: nn.Module) -> None:
    """Compile the layers of a backbone, which keep their weights and names.

    They are compiled once for documents of any length.

    Raises:
        ConfigError: If nothing can be compiled on this machine.
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
            f"torch_compile: True: nothing can be compiled here: {reason}. Install a C++ compiler "
            "(on a CPU) or triton (on a GPU), or leave this setting out."
        ) from error
    # The borders of documents differ each time, and attention has its own kernels.
    AttentionInterface.register(PACKED, torch.compiler.disable(packed_attention))
    for layer in layers:
        layer.compile(dynamic=True)


def _architecture(backbone: nn.Module) -> str:
    return str(getattr(getattr(backbone, "config", None), "model_type", type(backbone).__name__))


def _check(config: ModelConfig, settings: Any) -> None:
    if getattr(settings, "is_encoder_decoder", False):
        raise ConfigError(
            f"model: {config.model}: is an encoder-decoder ({settings.model_type}). Choose an "
            "encoder or a decoder."
        )


def _set_attention(config: ModelConfig, settings: Any) -> None:
    if settings.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES:  # an encoder is bidirectional
        if config.attention == "causal" and not getattr(settings, "is_decoder", False):
            raise ConfigError(
                f"attention: causal: model {config.model} ({settings.model_type}) is an encoder, "
                "whose attention is bidirectional. Leave attention out."
            )
        return
    # transformers >= 5.2 reads this setting when it makes the mask (tested with sdpa and eager,
    # padded or not).
    settings.is_causal = config.attention == "causal"
    if settings.is_causal and getattr(settings, "use_bidirectional_attention", None):
        settings.use_bidirectional_attention = False  # EmbeddingGemma's own setting
    window = getattr(settings, "sliding_window", None)
    if (
        config.attention == "bidirectional"
        and window is not None
        and (config.chunk_len or config.max_len) > window
    ):
        raise ConfigError(
            f"max_len: {config.max_len}: model {config.model} has a sliding window of {window} "
            f"tokens. Set max_len: {window}, or chunk_len: {window} to read longer documents in "
            "chunks."
        )


def _check_attention(config: ModelConfig, backbone: nn.Module) -> None:
    """Check by a trial that every layer attends as configured."""
    architecture = _architecture(backbone)
    try:
        directions = directions_of(backbone, _declared_layers(backbone))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # each architecture has its own
        reason = shorten(str(error) or type(error).__name__, 200, placeholder=" …")
        raise ConfigError(
            f"model: {config.model}: this architecture ({architecture}) can't read plain text: "
            f"{reason.rstrip('.')}. Choose another model."
        ) from error
    if config.attention == "causal":
        if any(direction.later for direction in directions):
            raise ConfigError(
                f"attention: causal: model {config.model} ({architecture}) can't be made causal; "
                "its tokens see later ones. Set attention: bidirectional."
            )
        return
    causal = [number for number, direction in enumerate(directions, 1) if not direction.later]
    if len(causal) == len(directions):
        raise ConfigError(
            f"model: {config.model}: this architecture ({architecture}) has no bidirectional "
            "attention. Set attention: causal."
        )
    # Layers that see neither earlier nor later tokens have no attention.
    if mixed := [number for number in causal if directions[number - 1].earlier]:
        raise ConfigError(
            f"attention: bidirectional: model {config.model} ({architecture}) has "
            f"{len(mixed)} layers, of {len(directions)}, whose tokens see only earlier ones, such "
            f"as layer {mixed[0]}. Set attention: causal."
        )


def _quantization(bit: int, device: torch.device) -> Any:
    if bit not in QUANTIZED:
        return None
    try:
        import bitsandbytes  # noqa: F401  (the message of transformers doesn't name our setting)
    except ImportError as error:
        raise ConfigError(
            f"bit: {bit}: needs the package bitsandbytes, which is not installed. Install it, or "
            "set bit: 16 or bit: 32."
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
    config: ModelConfig, backbone: PreTrainedModel, source: PretrainedSource | None
) -> nn.Module:
    """Add adapters to a backbone: pretrained ones stay active and frozen beside ours.

    A low-rank adapter adds its product to a weight, so that several active ones give the same
    result as merging them in order, without changing quantized weights.
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
    if source is None or not source.adapters:
        return peft.get_peft_model(backbone, ours, adapter_name=ADAPTER)
    names = [f"pretrained{i}" for i in range(len(source.adapters))]
    model: Any = None
    for name, adapter in zip(names, source.adapters, strict=True):
        options: Any = {"adapter_name": name, **source.options(adapter)}
        with hub_errors(config.model, adapter):
            if model is None:
                model = peft.PeftModel.from_pretrained(backbone, adapter, **options)
            else:
                model.load_adapter(adapter, **options)
        _require_weights(model, name, adapter)
    if config.lora_activate:
        model.add_adapter(ADAPTER, ours)
        names.append(ADAPTER)
    model.base_model.set_adapter(names)
    for name, weight in model.named_parameters():
        weight.requires_grad_(f".{ADAPTER}." in name)
    return model  # type: ignore[no-any-return]  # peft ships no types


def _require_targets(config: ModelConfig, backbone: nn.Module) -> None:
    """Raise an error for an unknown target: a layer's path, or the last part of one."""
    paths = [path for path, module in backbone.named_modules() if "Linear" in type(module).__name__]
    missing = [
        name
        for name in config.lora_targets
        if not any(path == name or path.endswith(f".{name}") for path in paths)
    ]
    if missing:
        there = ", ".join(sorted({path.rpartition(".")[2] for path in paths}))
        raise ConfigError(
            f"lora_targets: {', '.join(missing)}: model {config.model} has no such linear layer. "
            f"It has {there}."
        )


def _require_weights(model: nn.Module, name: str, adapter: str) -> None:
    # A new adapter's second factor is zero. If it still is, the file names its weights differently.
    factors = [weight for key, weight in model.named_parameters() if f"lora_B.{name}." in key]
    if not factors or not any(weight.any() for weight in factors):
        raise ConfigError(
            f"model: the adapter {adapter} doesn't fit its base model: none of its weights was "
            "loaded."
        )


def architecture_settings(folder: Path) -> Any:
    """Return the settings of a checkpoint's backbone, from its ``config.json``."""
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return AutoConfig.for_model(**settings)


@contextmanager
def without_adapter(backbone: Any) -> Iterator[None]:
    """Switch our adapter off in the block; pretrained adapters stay on."""
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
