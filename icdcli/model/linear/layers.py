"""Replace a backbone's linear layers by those that compute faster, with the same weights and names.

peft creates, loads, saves and names the adapters, bitsandbytes the quantized weights. The layers
stay of their classes; only their forward pass is ours.
"""

from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn

from icdcli.model.linear.low_rank import Adapter, Dequantize, low_rank_linear
from icdcli.model.linear.quantized import dequantizer, quantized_classes


class _FastAdapters:
    """The forward pass of a layer with adapters, before that of peft's class."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the output, computed by peft if it isn't a plain sum of low-rank products."""
        layer: Any = self
        names = [name for name in layer.active_adapters if name in layer.lora_A]
        plain = (
            not (args or kwargs or layer.disable_adapters or layer.merged)
            and names
            and not any(name in layer.lora_variant for name in names)
            and all(layer.lora_B[name].bias is None for name in names)
        )
        dtype = _precision(layer, x) if plain else None
        if dtype is None:
            return super().forward(x, *args, **kwargs)  # type: ignore[misc, no-any-return]
        adapters = [_adapter(layer, name) for name in names]
        factors = [f[name].weight for name in names for f in (layer.lora_A, layer.lora_B)]
        weight, base = _frozen_weight(layer.base_layer, dtype), None
        if weight is None:
            base = layer.base_layer(x)
            dtype = base.dtype
        bias = layer.base_layer.bias if base is None else None
        with torch.autocast(x.device.type, enabled=False):
            return low_rank_linear(x, weight, bias, dtype, adapters, factors, base)


class _FastLinear(_FastAdapters, Linear):
    """A linear layer in 16 or 32 bits with adapters."""


def _precision(layer: Any, x: Tensor) -> torch.dtype | None:
    """Return the precision in which peft computes the layer; None: more than one."""
    if torch.is_autocast_enabled(x.device.type):
        return torch.get_autocast_dtype(x.device.type)
    weights = [layer.base_layer.weight, *(f.weight for f in layer.lora_A.values())]
    return x.dtype if all(weight.dtype == x.dtype for weight in weights) else None


def _frozen_weight(base: nn.Module, dtype: torch.dtype) -> Tensor | Dequantize | None:
    """Return a linear layer's weight in the computation's precision, or what restores it.

    Returns:
        None if the layer is another one, or has gradients.
    """
    weights = [weight for weight in (base.weight, base.bias) if isinstance(weight, Tensor)]
    if any(weight.requires_grad for weight in weights):
        return None
    if (restore := dequantizer(base, dtype)) is not None:
        return restore
    plain = type(base) is nn.Linear and all(weight.dtype == dtype for weight in weights)
    return weights[0] if plain else None


def _adapter(layer: Any, name: str) -> Adapter:
    dropout = layer.lora_dropout[name]
    share = dropout.p if isinstance(dropout, nn.Dropout) and dropout.training else 0.0
    return Adapter(layer.scaling[name], share)


def use_fast_layers(backbone: nn.Module, quantized: bool) -> None:
    """Let the layers with adapters, and those with quantized weights, compute as this package does.

    They stay layers of peft and bitsandbytes, with the same weights and names.

    Args:
        backbone: The backbone.
        quantized: Whether its weights have 8 or 4 bits.
    """
    classes: dict[type, type] = {Linear: _FastLinear}
    if quantized:
        from peft.tuners.lora import bnb

        classes |= quantized_classes() | {
            adapted: type(f"_Fast{name}", (_FastAdapters, adapted), {})
            for name in ("Linear8bitLt", "Linear4bit")
            if (adapted := getattr(bnb, name, None)) is not None
        }
    for module in backbone.modules():
        if (fast := classes.get(type(module))) is not None:
            module.__class__ = fast
