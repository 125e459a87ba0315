"""Linear layers with low-rank adapters (LoRA, Hu et al. 2022) that waste no memory traffic.

peft creates, loads, saves and names the adapters. Its forward pass copies the input in float32 for
each adapter, and adds every product in an operation of its own. Here, one function computes

    y = x Wᵀ + b + Σ scaling · dropout(x) Aᵀ Bᵀ

and its gradients: products are added within the matrix multiplication, the input is kept once, in
the precision of the computation, and the gradients of A and B are sums in float32.

Shapes: T tokens, I width of the input, O width of the output, R rank of an adapter.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from peft.import_utils import is_bnb_available
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

_SUMS_IN_FLOAT32 = "dtype" in torch.ops.aten.mm.overloads()
"""Whether this PyTorch multiplies half precision into float32."""


class _Adapter(NamedTuple):
    """An adapter as a layer computes it.

    Attributes:
        scaling: The factor of its product.
        dropout: The share of its inputs that are dropped; 0: none.
    """

    scaling: float
    dropout: float


class _LowRankLinear(torch.autograd.Function):
    """The function and its gradients; see the module's documentation."""

    @staticmethod
    def forward(
        ctx: Any,
        base: Tensor | None,
        inputs: Tensor,
        weight_OI: Tensor | None,
        bias_O: Tensor | None,
        adapters: Sequence[_Adapter],
        dtype: torch.dtype,
        *factors: Tensor,
    ) -> Tensor:
        """Compute the output.

        Args:
            ctx: What the backward pass needs.
            base: The output of a layer without its adapters, (…, O), which is changed. It comes
                first, as PyTorch expects of a view that is changed.
            inputs: The input, (…, I).
            weight_OI: A frozen weight; None: `base` is given.
            bias_O: Its bias, if it has one.
            adapters: The adapters.
            dtype: The precision of the computation.
            *factors: A (R, I) and B (O, R) of each adapter.
        """
        x_TI = inputs.reshape(-1, inputs.shape[-1]).to(dtype)
        if base is None:
            assert weight_OI is not None
            y_TO = functional.linear(x_TI, weight_OI, bias_O)
            output = y_TO.view(*inputs.shape[:-1], -1)
        else:
            output, y_TO = base, base.view(-1, base.shape[-1])
            ctx.mark_dirty(base)
        kept: list[Tensor | None] = []
        for adapter, a_RI, b_OR in zip(adapters, factors[::2], factors[1::2], strict=True):
            mask_TI = _drawn_mask(x_TI, adapter.dropout) if adapter.dropout else None
            low_TR = _dropped(x_TI, mask_TI, adapter.dropout) @ a_RI.to(dtype).T
            y_TO.addmm_(low_TR, b_OR.to(dtype).T, alpha=adapter.scaling)
            kept += [mask_TI, low_TR]
        ctx.save_for_backward(x_TI, weight_OI, *factors, *kept)
        ctx.adapters, ctx.shape, ctx.input_dtype = adapters, inputs.shape, inputs.dtype
        ctx.with_base = base is not None
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients of the input, of the base's output, and of each adapter."""
        x_TI, weight_OI, *saved = ctx.saved_tensors
        adapters: Sequence[_Adapter] = ctx.adapters
        count = 2 * len(adapters)
        factors, kept = saved[:count], saved[count:]
        grad_TO = grad_output.reshape(-1, grad_output.shape[-1]).to(x_TI.dtype)
        grad_TI = None
        if ctx.needs_input_grad[1]:
            grad_TI = torch.zeros_like(x_TI) if weight_OI is None else grad_TO @ weight_OI
        found: list[Tensor | None] = []
        for number, adapter in enumerate(adapters):
            a_RI, b_OR = factors[2 * number : 2 * number + 2]
            mask_TI, low_TR = kept[2 * number : 2 * number + 2]
            wants_a, wants_b = ctx.needs_input_grad[6 + 2 * number : 8 + 2 * number]
            grad_TR = (grad_TO @ b_OR.to(grad_TO.dtype)).mul_(adapter.scaling)
            grad_a = grad_b = None
            if wants_a:
                dropped_TI = _dropped(x_TI, mask_TI, adapter.dropout)
                grad_a = _float32_product(grad_TR.T, dropped_TI).to(a_RI.dtype)
            if wants_b:
                grad_b = _float32_product(grad_TO.T, low_TR).mul_(adapter.scaling).to(b_OR.dtype)
            found += [grad_a, grad_b]
            if grad_TI is not None:
                lowered_RI = a_RI.to(grad_TR.dtype)
                if mask_TI is None:
                    grad_TI.addmm_(grad_TR, lowered_RI)
                else:
                    grad_TI.add_(_dropped(grad_TR @ lowered_RI, mask_TI, adapter.dropout))
        grad_inputs = None if grad_TI is None else grad_TI.view(ctx.shape).to(ctx.input_dtype)
        grad_base = grad_output if ctx.with_base else None
        return (grad_base, grad_inputs, None, None, None, None, *found)


_low_rank_linear: Any = _LowRankLinear.apply


def _drawn_mask(x_TI: Tensor, dropout: float) -> Tensor:
    """Draw the inputs that are kept, with the random numbers of `torch.nn.Dropout`."""
    if x_TI.is_cuda:
        return torch.native_dropout(torch.empty_like(x_TI), dropout, True)[1]
    return torch.empty_like(x_TI).bernoulli_(1 - dropout).bool()


def _dropped(x_TI: Tensor, mask_TI: Tensor | None, dropout: float) -> Tensor:
    return x_TI if mask_TI is None else x_TI * mask_TI * (1 / (1 - dropout))


def _float32_product(left: Tensor, right: Tensor) -> Tensor:
    """Return the product of two matrices, whose sums are in float32."""
    if left.dtype in (torch.float32, torch.float64):
        return left @ right
    if left.is_cuda and _SUMS_IN_FLOAT32:
        return torch.mm(left, right, out_dtype=torch.float32)
    return left.float() @ right.float()


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
        adapters = tuple(_adapter(layer, name) for name in names)
        factors = [f[name].weight for name in names for f in (layer.lora_A, layer.lora_B)]
        weight, bias, base = None, None, None
        if _is_frozen(layer.base_layer, dtype):
            weight, bias = layer.base_layer.weight, layer.base_layer.bias
        else:
            base = layer.base_layer(x)
            dtype = base.dtype
        with torch.autocast(x.device.type, enabled=False):
            output: Tensor = _low_rank_linear(base, x, weight, bias, adapters, dtype, *factors)
        return output


class _FastLinear(_FastAdapters, Linear):
    """A linear layer in 16 or 32 bits with adapters."""


def _precision(layer: Any, x: Tensor) -> torch.dtype | None:
    """Return the precision in which peft computes the layer; None: more than one."""
    if torch.is_autocast_enabled(x.device.type):
        return torch.get_autocast_dtype(x.device.type)
    weights = [layer.base_layer.weight, *(f.weight for f in layer.lora_A.values())]
    return x.dtype if all(weight.dtype == x.dtype for weight in weights) else None


def _is_frozen(base: nn.Module, dtype: torch.dtype) -> bool:
    """Return whether a layer is a linear one without gradients, in the computation's precision."""
    weights = [weight for weight in (base.weight, base.bias) if isinstance(weight, Tensor)]
    return type(base) is nn.Linear and all(
        weight.dtype == dtype and not weight.requires_grad for weight in weights
    )


def _adapter(layer: Any, name: str) -> _Adapter:
    dropout = layer.lora_dropout[name]
    share = dropout.p if isinstance(dropout, nn.Dropout) and dropout.training else 0.0
    return _Adapter(layer.scaling[name], share)


def _fast_classes() -> dict[type, type]:
    """Return each of peft's classes of linear layers, and the one that computes fast."""
    classes: dict[type, type] = {Linear: _FastLinear}
    if is_bnb_available():
        from peft.tuners.lora import bnb

        for name in ("Linear8bitLt", "Linear4bit"):
            if (quantized := getattr(bnb, name, None)) is not None:
                classes[quantized] = type(f"_Fast{name}", (_FastAdapters, quantized), {})
    return classes


def compute_adapters_fast(backbone: nn.Module) -> None:
    """Let the layers with adapters of a backbone compute as this module does.

    They stay layers of peft, with the same weights and names.

    Args:
        backbone: The backbone with peft's adapters.
    """
    classes = _fast_classes()
    for module in backbone.modules():
        if (fast := classes.get(type(module))) is not None:
            module.__class__ = fast
