"""A network that has no weights yet: its shapes, and the bytes that its weights would take."""

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
from icdcli.model.hub import PretrainedSource, hub_errors
from icdcli.model.network import CodingNetwork, build_network
from icdcli.model.section import QUANTIZED, ModelConfig


def skeleton(
    config: ModelConfig,
    settings: Any,
    source: PretrainedSource | None,
    labels: int,
    device: str,
    descriptions: Sequence[int] | None,
) -> CodingNetwork:
    """The network without its weights' values, on the meta device.

    Args:
        config: What it is like.
        settings: Its architecture's.
        source: Where its pretrained adapters are; None: it has none.
        labels: How many codes there are.
        device: Where it would compute: ``cpu``, ``cuda`` or ``mps``.
        descriptions: How many descriptions each code has, for the prior; None: one.
    """
    settings = copy.deepcopy(settings)
    if hasattr(settings, "quantization_config"):
        del settings.quantization_config  # counted, not done
    if device == "cuda":
        for name in ("attention_dropout", "attention_probs_dropout_prob"):
            if hasattr(
                settings, name
            ):  # only on a CPU does it take a number for each pair of tokens
                setattr(settings, name, 0.0)
    half = torch.bfloat16
    with torch.device("meta"):
        plain = AutoModel.from_config(
            settings, dtype=torch.float32 if config.bit == 32 or not config.frozen else half
        )
        # Whether attention is bidirectional can't be tried without weights, and changes nothing here.
        backbone = finish_backbone(config.model_copy(update={"attention": "causal"}), plain, ())
        if source is not None:
            for adapter in source.adapters:
                backbone = _with_pretrained(backbone, source, adapter)
        return build_network(config, backbone, labels, descriptions)


def _with_pretrained(backbone: Any, source: PretrainedSource, adapter: str) -> Any:
    """A further adapter, frozen and active, of the shape of a pretrained one."""
    import peft

    with hub_errors(source.name, adapter):
        shape = peft.PeftConfig.from_pretrained(adapter)
    with warnings.catch_warnings():
        # As in `icdcli.model.backbone`: peft asks transformers for a property under a name that is deprecated.
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
    """How documents will lie, which only a loaded network can tell for certain; see `icdcli.model.packing`."""
    backbone: Any = network.backbone
    able = any(
        getattr(module, "_supports_attention_backend", False) for module in backbone.modules()
    )
    return "free" if able and config.train.padding != "batch" else "batch"


def projected(network: CodingNetwork) -> int:
    """The numbers that the backbone's projections hold."""
    return sum(linear.weight.numel() for linear in _linears(network))


def weight_sizes(network: CodingNetwork, bit: int) -> dict[str, int]:
    """Bytes of the backbone's weights, of the adapters, and of head and prior, each with what isn't trained of them."""
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
    """Bytes of a weight that bitsandbytes has quantised.

    Eight bits: a float32 scale a row (Dettmers et al. 2022, LLM.int8). Four: blocks of 64 with a scale each, of which 256 are
    quantised to eight bits with a float32 scale of their own (Dettmers et al. 2023, QLoRA).
    """
    if bit == 8:
        return weight.numel() + 4 * weight.shape[0]
    return int(weight.numel() * (1 / 2 + 1 / 64 + 4 / (64 * 256)))


def _linears(network: CodingNetwork) -> list[nn.Linear]:
    """The backbone's own projections, which are what is quantised."""
    modules = network.backbone.named_modules()
    return [
        module for name, module in modules if isinstance(module, nn.Linear) and "lora_" not in name
    ]


def largest_unpacked(network: CodingNetwork) -> int:
    """Bytes of the largest quantised weight in half precision: each is unpacked while it is multiplied."""
    return max((2 * linear.weight.numel() for linear in _linears(network)), default=0)
