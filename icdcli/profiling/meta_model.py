"""A network on the meta device: shapes without weights, and the bytes these would need."""

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel

from icdcli.config.schema import Config
from icdcli.data.batching import Padding
from icdcli.model.backbone import ADAPTER, finish_backbone
from icdcli.model.heads.assertion_terms import CLASSES
from icdcli.model.hub import PretrainedSource, hub_errors
from icdcli.model.network import CodingNetwork, build_network
from icdcli.model.section import QUANTIZED, ModelConfig


def meta_network(
    config: ModelConfig,
    settings: Any,
    source: PretrainedSource | None,
    labels: int,
    device: str,
    descriptions: Sequence[int] | None,
) -> CodingNetwork:
    """Return the network on the meta device, without the values of its weights.

    Args:
        config: The model's configuration.
        settings: The settings of its architecture.
        source: The source of its pretrained adapters; None: it has none.
        labels: The number of labels.
        device: The device of the training: ``cpu``, ``cuda`` or ``mps``.
        descriptions: The number of descriptions of each code, for the prior; None: one each.
    """
    settings = copy.deepcopy(settings)
    if hasattr(settings, "quantization_config"):
        del settings.quantization_config  # `weight_sizes` accounts for it
    if device == "cuda":
        for name in ("attention_dropout", "attention_probs_dropout_prob"):
            if hasattr(settings, name):  # only a CPU stores a mask over pairs of tokens
                setattr(settings, name, 0.0)
    half = torch.bfloat16
    with torch.device("meta"):
        plain = AutoModel.from_config(
            settings, dtype=torch.float32 if config.bit == 32 or not config.frozen else half
        )
        backbone = finish_backbone(config, plain)
        if source is not None:
            for adapter in source.adapters:
                backbone = _with_pretrained(backbone, source, adapter)
        classes = CLASSES if config.assertion == "learned" else ()
        return build_network(config, backbone, labels, descriptions, classes)


def _with_pretrained(backbone: Any, source: PretrainedSource, adapter: str) -> Any:
    """Add a frozen, active adapter with the shape of a pretrained one."""
    import peft

    with hub_errors(source.name, adapter):
        shape = peft.PeftConfig.from_pretrained(adapter)
    with warnings.catch_warnings():
        # As in `icdcli.model.backbone`: peft uses a deprecated property of transformers.
        warnings.filterwarnings(
            "ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning
        )
        if isinstance(backbone, peft.PeftModel):
            backbone.add_adapter(f"pretrained{len(backbone.peft_config)}", shape)
        else:
            backbone = peft.get_peft_model(backbone, shape, adapter_name="pretrained0")
    backbone.base_model.set_adapter(list(backbone.peft_config))
    for key, weight in backbone.named_parameters():
        weight.requires_grad_(f".{ADAPTER}." in key)
    return backbone


def likely_padding(config: Config, network: CodingNetwork) -> Padding:
    """Return how documents will probably be batched.

    Only a loaded network shows it for certain; see `icdcli.model.packing`.
    """
    backbone: Any = network.backbone
    able = any(
        getattr(module, "_supports_attention_backend", False) for module in backbone.modules()
    )
    return "free" if able and config.train.padding != "batch" else "batch"


def projection_weights(network: CodingNetwork) -> int:
    """Return the number of weights of the backbone's projections."""
    return sum(linear.weight.numel() for linear in _linears(network))


def weight_sizes(network: CodingNetwork, bit: int) -> dict[str, int]:
    """Return the bytes of the backbone, of the adapters, and of the head with the prior."""
    parts = {"weights": 0, "adapters": 0, "head": 0}
    quantized = {id(linear.weight) for linear in _linears(network)} if bit in QUANTIZED else set()
    for name, weight in (*network.named_parameters(), *network.named_buffers()):
        part = (
            "head"
            if not name.startswith("backbone.")
            else "adapters"
            if "lora_" in name
            else "weights"
        )
        parts[part] += _quantized_size(weight, bit) if id(weight) in quantized else weight.nbytes
    return parts


def _quantized_size(weight: Tensor, bit: int) -> int:
    """Return the bytes of a weight that bitsandbytes has quantized.

    Eight bits: a float32 scale per row (Dettmers et al. 2022, LLM.int8). Four bits: a scale per
    block of 64, quantized to eight bits with a float32 scale per 256 of them (Dettmers et al. 2023,
    QLoRA).
    """
    if bit == 8:
        return weight.numel() + 4 * weight.shape[0]
    return int(weight.numel() * (1 / 2 + 1 / 64 + 4 / (64 * 256)))


def _linears(network: CodingNetwork) -> list[nn.Linear]:
    """Return the backbone's own projections, the layers that are quantized."""
    modules = network.backbone.named_modules()
    return [
        module for name, module in modules if isinstance(module, nn.Linear) and "lora_" not in name
    ]


def largest_unpacked(network: CodingNetwork) -> int:
    """Return the bytes of the largest quantized weight when it is unpacked to half precision."""
    return max((2 * linear.weight.numel() for linear in _linears(network)), default=0)
