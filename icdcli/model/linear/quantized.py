"""Linear layers with 8-bit and 4-bit weights, computed in half precision.

bitsandbytes stores the weights and quantizes them. Its own forward pass in 8 bits (LLM.int8,
Dettmers et al. 2022) quantizes the input, too, and multiplies columns with outliers separately.
Training reads thousands of tokens at a time: for these, it is cheaper to restore a layer's weight
in half precision and to multiply it like any other. The input isn't rounded to 8 bits then, and a
document's hidden states don't depend on its neighbors.

Shapes: T tokens, I width of the input, O width of the output.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from icdcli.model.linear.low_rank import Dequantize, low_rank_linear

_LARGEST = 127
"""The 8-bit integer that stands for the largest weight of a row."""


def dequantizer(layer: nn.Module, dtype: torch.dtype) -> Dequantize | None:
    """Return the function that restores a layer's weight_OI; None if it isn't quantized.

    Args:
        layer: A linear layer.
        dtype: The precision of the restored weight.
    """
    kinds = {_QUANTIZED_8: _from_8_bits, _QUANTIZED_4: _from_4_bits}
    for kind in type(layer).__mro__:
        if kind.__module__.startswith("bitsandbytes.") and kind.__name__ in kinds:
            return partial(kinds[kind.__name__], layer, dtype)
    return None


_QUANTIZED_8, _QUANTIZED_4 = "Linear8bitLt", "Linear4bit"


def _from_8_bits(layer: Any, dtype: torch.dtype) -> Tensor:
    """Return integers times the scale of their row, multiplied in float32 and rounded once."""
    if layer.weight.CB is not None:  # as before the first forward pass of bitsandbytes
        layer.init_8bit_state()
    integers_OI, largest_O = layer.state.CB, layer.state.SCB
    scales_O1 = (largest_O.float() / _LARGEST)[:, None]
    weight_OI = torch.empty(integers_OI.shape, dtype=dtype, device=integers_OI.device)
    return torch.mul(integers_OI, scales_O1, out=weight_OI)


def _from_4_bits(layer: Any, dtype: torch.dtype) -> Tensor:
    from bitsandbytes.functional import dequantize_4bit

    weight_OI: Tensor = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    return weight_OI.to(dtype)


class _RestoresWeight:
    """The forward pass of a quantized layer, before that of bitsandbytes' class."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x Wᵀ + b, computed in the precision of autocast, or of the input."""
        layer: Any = self
        kind = x.device.type
        enabled = torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind) if enabled else x.dtype
        with torch.autocast(kind, enabled=False):
            return low_rank_linear(x, dequantizer(layer, dtype), layer.bias, dtype)


def quantized_classes() -> dict[type, type]:
    """Return bitsandbytes' classes of linear layers, and those that compute in half precision."""
    from bitsandbytes import nn as layers

    return {
        kind: type(f"_Fast{name}", (_RestoresWeight, kind), {})
        for name in (_QUANTIZED_8, _QUANTIZED_4)
        if (kind := getattr(layers, name, None)) is not None
    }
