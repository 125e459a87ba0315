"""Linear layers with low-rank adapters (LoRA, Hu et al. 2022) that waste no memory traffic.

peft creates, loads, saves and names the adapters. Its forward pass copies the input in float32 for
each adapter, and adds every product in an operation of its own. Here, one function computes

    y = x Wᵀ + b + Σ scaling · dropout(x) Aᵀ Bᵀ

and its gradients: products are added within the matrix multiplication, the input is kept once, in
the precision of the computation, and the gradients of A and B are sums in float32.

Shapes: T tokens, I width of the input, O width of the output, R rank of an adapter.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from icdcli.model.precision import SUMS_IN_FLOAT32

Dequantize = Callable[[], Tensor]
"""Restores a quantized weight_OI in the precision of the computation."""


class Adapter(NamedTuple):
    """An adapter as a layer computes it.

    Attributes:
        scaling: The factor of its product.
        dropout: The share of its inputs that are dropped; 0: none.
    """

    scaling: float
    dropout: float


def low_rank_linear(
    inputs: Tensor,
    weight: Tensor | Dequantize | None,
    bias_O: Tensor | None,
    dtype: torch.dtype,
    adapters: Sequence[Adapter] = (),
    factors: Sequence[Tensor] = (),
    base: Tensor | None = None,
) -> Tensor:
    """Return the output of a linear layer with adapters; autocast must be off.

    Args:
        inputs: The input, (…, I).
        weight: A frozen weight_OI in the precision of the computation, or what restores it, which
            is done again in the backward pass. None: `base` is given.
        bias_O: The layer's bias, if it has one.
        dtype: The precision of the computation.
        adapters: The adapters.
        factors: A (R, I) and B (O, R) of each adapter.
        base: The output of the layer without its adapters, (…, O), which is changed.
    """
    if bias_O is not None:
        bias_O = bias_O.to(dtype)
    dense, restore = (weight, None) if isinstance(weight, Tensor) else (None, weight)
    output: Tensor = _LowRankLinear.apply(  # type: ignore[no-untyped-call]
        base, inputs, dense, restore, bias_O, adapters, dtype, *factors
    )
    return output


class _LowRankLinear(torch.autograd.Function):
    """The function and its gradients; see the module's documentation."""

    @staticmethod
    def forward(
        ctx: Any,
        base: Tensor | None,
        inputs: Tensor,
        weight_OI: Tensor | None,
        restore: Dequantize | None,
        bias_O: Tensor | None,
        adapters: Sequence[Adapter],
        dtype: torch.dtype,
        *factors: Tensor,
    ) -> Tensor:
        """Compute the output; see `low_rank_linear`.

        The output of the layer without its adapters comes first, as PyTorch expects of a view that
        is changed.
        """
        x_TI = inputs.reshape(-1, inputs.shape[-1]).to(dtype)
        y_TO = None
        if base is not None:
            y_TO = base.view(-1, base.shape[-1])
            ctx.mark_dirty(base)
        kept: list[Tensor | None] = []
        # The products of the adapters first: the large matrix multiplication then adds to them
        # while it computes, instead of being read and written again for each.
        for adapter, a_RI, b_OR in zip(adapters, factors[::2], factors[1::2], strict=True):
            mask_TI = _drawn_mask(x_TI, adapter.dropout) if adapter.dropout else None
            low_TR = _dropped(x_TI, mask_TI, adapter.dropout) @ a_RI.to(dtype).T
            y_TO = _add_product(y_TO, low_TR, b_OR.to(dtype).T, adapter.scaling, bias_O)
            kept += [mask_TI, low_TR]
        if base is None:
            dense_OI = restore() if weight_OI is None and restore is not None else weight_OI
            assert dense_OI is not None
            y_TO = _add_product(y_TO, x_TI, dense_OI.T, 1.0, bias_O)
        assert y_TO is not None
        ctx.save_for_backward(x_TI, weight_OI, *factors, *kept)
        ctx.adapters, ctx.shape, ctx.input_dtype = adapters, inputs.shape, inputs.dtype
        ctx.with_base, ctx.restore = base is not None, restore
        return y_TO.view(*inputs.shape[:-1], -1) if base is None else base

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients of the input, of the base's output, and of each adapter."""
        x_TI, weight_OI, *saved = ctx.saved_tensors
        adapters: Sequence[Adapter] = ctx.adapters
        count = 2 * len(adapters)
        factors, kept = saved[:count], saved[count:]
        grad_TO = grad_output.reshape(-1, grad_output.shape[-1]).to(x_TI.dtype)
        grad_TI: Tensor | None = None
        wants_inputs = ctx.needs_input_grad[1]
        found: list[Tensor | None] = []
        for number, adapter in enumerate(adapters):
            a_RI, b_OR = factors[2 * number : 2 * number + 2]
            mask_TI, low_TR = kept[2 * number : 2 * number + 2]
            wants_a, wants_b = ctx.needs_input_grad[7 + 2 * number : 9 + 2 * number]
            grad_TR = (grad_TO @ b_OR.to(grad_TO.dtype)).mul_(adapter.scaling)
            grad_a = grad_b = None
            if wants_a:
                dropped_TI = _dropped(x_TI, mask_TI, adapter.dropout)
                grad_a = _float32_product(grad_TR.T, dropped_TI).to(a_RI.dtype)
            if wants_b:
                grad_b = _float32_product(grad_TO.T, low_TR).mul_(adapter.scaling).to(b_OR.dtype)
            found += [grad_a, grad_b]
            if wants_inputs:
                lowered_RI = a_RI.to(grad_TR.dtype)
                if mask_TI is None:
                    grad_TI = _add_product(grad_TI, grad_TR, lowered_RI)
                else:
                    part_TI = _dropped(grad_TR @ lowered_RI, mask_TI, adapter.dropout)
                    grad_TI = part_TI if grad_TI is None else grad_TI.add_(part_TI)
        if wants_inputs and not ctx.with_base:
            dense_OI = ctx.restore() if weight_OI is None else weight_OI
            grad_TI = _add_product(grad_TI, grad_TO, dense_OI)
        grad_inputs = None if grad_TI is None else grad_TI.view(ctx.shape).to(ctx.input_dtype)
        grad_base = grad_output if ctx.with_base else None
        return (grad_base, grad_inputs, None, None, None, None, None, *found)


def _add_product(
    total: Tensor | None,
    left: Tensor,
    right: Tensor,
    factor: float = 1.0,
    bias: Tensor | None = None,
) -> Tensor:
    """Add a product of matrices to a total, which is changed; None: a new one, with the bias."""
    if total is not None:
        return total.addmm_(left, right, alpha=factor)
    if bias is not None:
        return torch.addmm(bias, left, right, alpha=factor)
    if factor == 1:
        return left @ right
    return torch.addmm(left.new_empty(1), left, right, beta=0, alpha=factor)


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
    if left.is_cuda and SUMS_IN_FLOAT32:
        return torch.mm(left, right, out_dtype=torch.float32)
    return left.float() @ right.float()
