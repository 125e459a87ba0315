"""Label attention by matrix products that GPUs compute fast and that are nearly float32.

GPUs multiply half-precision numbers much faster than float32, but bfloat16 alone isn't exact enough
for scores: a softmax turns an absolute error of a score into a relative error of a weight. So each
query and key is divided into a bfloat16 number and the bfloat16 rest, and three of the four
products of the parts are added up in float32, which is one product of matrices of three times the
width. The error is 2^-16, where TF32 has 2^-11. The values are averaged in float32. Gradients, on
which nothing else is computed, are products in TF32.

Scores of a few labels are in memory at a time; the backward pass computes them again. In contrast
to fused attention, any width is possible.

Shapes: B documents, T hidden states, S those of one document, L labels, K some of these, W width of
queries and keys, V width of values.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

from icdcli.model.precision import SUMS_IN_FLOAT32

SCORES = 2**24
"""The number of scores that are in memory at a time (64 MB)."""


def is_fast(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 with a float32 result, and has TF32."""
    return (
        device.type == "cuda"
        and SUMS_IN_FLOAT32
        and torch.cuda.get_device_capability(device) >= (8, 0)
    )


def attend_split(
    queries_LW: Tensor, keys_TW: Tensor, values_TV: Tensor, lengths: Sequence[int], scale: float
) -> Tensor:
    """Compute the attention of every query within each document.

    Args:
        queries_LW: The queries, float32.
        keys_TW: The keys, float32.
        values_TV: The values, float32.
        lengths: The number of hidden states of each document.
        scale: The factor of the products of queries and keys.

    Returns:
        found_BLV.
    """
    found_BLV: Tensor = _SplitAttention.apply(
        queries_LW * scale, keys_TW, values_TV, tuple(lengths)
    )  # type: ignore[no-untyped-call]
    return found_BLV


def linear(states_TD: Tensor, weight_WD: Tensor, bias_W: Tensor) -> Tensor:
    """Return the result of a linear layer in float32; its gradients are products in TF32."""
    result_TW: Tensor = _Linear.apply(states_TD, weight_WD, bias_W)  # type: ignore[no-untyped-call]
    return result_TW


class _SplitAttention(Function):
    @staticmethod
    def forward(
        context: Any,
        queries_LW: Tensor,
        keys_TW: Tensor,
        values_TV: Tensor,
        lengths: tuple[int, ...],
    ) -> Tensor:
        labels = len(queries_LW)
        found_BLV = values_TV.new_empty(len(lengths), labels, values_TV.shape[1])
        queries, keys = _parts(queries_LW, "high low high"), _parts(keys_TW, "high high low")
        documents = zip(found_BLV, keys.split(lengths), values_TV.split(lengths), strict=True)
        with _tf32(False):
            for found_LV, keys_S, values_SV in documents:
                for some in _chunks(labels, len(keys_S)):
                    weights_KS = _scores(queries[some], keys_S).softmax(dim=-1)
                    torch.mm(weights_KS, values_SV, out=found_LV[some])
        context.save_for_backward(queries_LW, keys_TW, values_TV, found_BLV)
        context.lengths = lengths
        return found_BLV

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        queries_LW, keys_TW, values_TV, found_BLV = context.saved_tensors
        (d_found_BLV,) = gradients
        lengths, labels = context.lengths, len(queries_LW)
        queries, keys = _parts(queries_LW, "high low high"), _parts(keys_TW, "high high low")
        d_queries_LW, d_keys_TW, d_values_TV = map(
            torch.zeros_like, (queries_LW, keys_TW, values_TV)
        )
        documents = zip(
            found_BLV,
            d_found_BLV,
            *(each.split(lengths) for each in (keys, keys_TW, values_TV, d_keys_TW, d_values_TV)),
            strict=True,
        )
        with _tf32(True):
            for (
                found_LV,
                d_found_LV,
                keys_S,
                keys_SW,
                values_SV,
                d_keys_SW,
                d_values_SV,
            ) in documents:
                mean_L = (d_found_LV * found_LV).sum(dim=1)
                for some in _chunks(labels, len(keys_S)):
                    weights_KS = _scores(queries[some], keys_S).softmax(dim=-1)
                    d_values_SV.addmm_(weights_KS.T, d_found_LV[some])
                    # The gradient of a softmax: the weights times how far the gradient of each is
                    # from their mean.
                    d_scores_KS = d_found_LV[some] @ values_SV.T
                    d_scores_KS.sub_(mean_L[some, None]).mul_(weights_KS)
                    d_queries_LW[some].addmm_(d_scores_KS, keys_SW)
                    d_keys_SW.addmm_(d_scores_KS.T, queries_LW[some])
        return d_queries_LW, d_keys_TW, d_values_TV, None


class _Linear(Function):
    @staticmethod
    def forward(context: Any, states_TD: Tensor, weight_WD: Tensor, bias_W: Tensor) -> Tensor:
        context.save_for_backward(states_TD, weight_WD)
        with _tf32(False):
            return functional.linear(states_TD, weight_WD, bias_W)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        states_TD, weight_WD = context.saved_tensors
        (d_result_TW,) = gradients
        with _tf32(True):
            d_states_TD = d_result_TW @ weight_WD if context.needs_input_grad[0] else None
            return d_states_TD, d_result_TW.T @ states_TD, d_result_TW.sum(dim=0)


def _parts(numbers: Tensor, order: str) -> Tensor:
    """Return numbers as bfloat16 and the rest as bfloat16, side by side in an order."""
    high = numbers.bfloat16()
    parts = {"high": high, "low": (numbers - high).bfloat16()}
    return torch.cat([parts[name] for name in order.split()], dim=1)


def _scores(queries: Tensor, keys: Tensor) -> Tensor:
    """Return the products of bfloat16 numbers, added up in float32."""
    if queries.device.type == "cuda":
        return torch.mm(queries, keys.T, out_dtype=torch.float32)
    return queries.float() @ keys.float().T


def _chunks(labels: int, states: int) -> Iterator[slice]:
    """Divide the labels into equal parts, so that the scores of one are at most `SCORES`."""
    size = -(-labels // -(-labels * states // SCORES))
    for start in range(0, labels, size):
        yield slice(start, start + size)


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """Compute products of float32 matrices on the GPU in TF32 or not."""
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32 = before
