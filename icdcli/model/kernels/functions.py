"""The functions of fused layers: Liger's kernels for GPUs, and the same in plain PyTorch."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

Casting = Literal["llama", "gemma"]
"""When a norm returns to half precision: before the weight (llama) or after it (gemma)."""


@dataclass(frozen=True)
class LayerFunctions:
    """What fused layers compute.

    Attributes:
        rms_norm: Input, weight, epsilon, an addend of the weight, and the casting, to the
            normalized input.
        silu_product: SiLU(gate) · up. Its backward pass may overwrite both inputs.
        gelu_product: GELU(gate) · up, with the tanh form of GELU. The same holds.
        rotate: Query and key, (…, heads, tokens, width), with cosines and sines, (…, tokens,
            width), to the rotated ones. It may overwrite query and key, and their gradients.
    """

    rms_norm: Callable[[Tensor, Tensor, float, float, Casting], Tensor]
    silu_product: Callable[[Tensor, Tensor], Tensor]
    gelu_product: Callable[[Tensor, Tensor], Tensor]
    rotate: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def _rms_norm(x: Tensor, weight: Tensor, epsilon: float, addend: float, casting: Casting) -> Tensor:
    wide = x.float()
    normalized = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
    if casting == "gemma":
        return (normalized * (addend + weight.float())).to(x.dtype)
    return normalized.to(x.dtype) * (addend + weight)


def _rotate(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    width = cos.shape[-1]

    def rotated(states: Tensor) -> Tensor:
        turned, rest = states[..., :width], states[..., width:]
        left, right = turned.chunk(2, dim=-1)
        turned = turned * cos + torch.cat([-right, left], dim=-1) * sin
        return torch.cat([turned, rest], dim=-1)

    return rotated(query), rotated(key)


PLAIN = LayerFunctions(
    rms_norm=_rms_norm,
    silu_product=lambda gate, up: functional.silu(gate) * up,
    gelu_product=lambda gate, up: functional.gelu(gate, approximate="tanh") * up,
    rotate=_rotate,
)
"""The functions in plain PyTorch, by which a layer is recognized."""


def liger_functions() -> LayerFunctions:
    """Return the kernels of the package liger-kernel.

    Raises:
        ImportError: If the package is missing.
        AttributeError: If it has no such kernels.
    """
    # The package is optional, so that it is not imported by name.
    norm, silu, gelu, rope = (
        getattr(import_module(f"liger_kernel.ops.{module}"), f"Liger{name}Function").apply
        for module, name in (
            ("rms_norm", "RMSNorm"),
            ("swiglu", "SiLUMul"),
            ("geglu", "GELUMul"),
            ("rope", "Rope"),
        )
    )

    def rms_norm(
        x: Tensor, weight: Tensor, epsilon: float, addend: float, casting: Casting
    ) -> Tensor:
        # Its backward pass would write over the gradient that a residual connection also needs.
        return norm(x, weight, epsilon, addend, casting, False)  # type: ignore[no-any-return]

    def rotate(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        with torch.cuda.device_of(query):  # it starts on the current device
            found: Any = rope(query, key, cos, sin)
        return found  # type: ignore[no-any-return]

    return LayerFunctions(rms_norm, silu, gelu, rotate)
