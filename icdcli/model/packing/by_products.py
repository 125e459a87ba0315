"""Attention in bfloat16 on a CPU, by matrix products of a few heads at a time.

torch's own attention takes twice as long there, for documents of a few hundred tokens.

Shapes: N documents of one length, H heads, S tokens, D width of a head, P pairs of document and
head.
"""

import torch
from torch import Tensor

_SCORES = 1 << 19
"""The most scores at a time: a megabyte, which stays in the cache of a core."""

_LONGEST = 1_024
"""From here on, the scores of one head are more."""


def suits_products(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Return whether attention without a mask and without gradients is computed here."""
    return (
        query.device.type == "cpu"
        and {query.dtype, key.dtype, value.dtype} == {torch.bfloat16}
        and query.shape[-2] <= _LONGEST
        and not (torch.is_grad_enabled() and (query.requires_grad or key.requires_grad))
    )


def attention_by_products(
    query_NHSD: Tensor, key_NHSD: Tensor, value_NHSD: Tensor, scaling: float | None
) -> Tensor:
    """Return the same as torch's attention without a mask, within the rounding of bfloat16."""
    length, width = query_NHSD.shape[-2:]
    factor = width**-0.5 if scaling is None else scaling
    heads = max(1, _SCORES // length**2)
    with torch.autocast("cpu", enabled=False):
        query_PSD, key_PSD, value_PSD = (
            part.flatten(0, 1).split(heads)
            for part in (query_NHSD * factor, key_NHSD.contiguous(), value_NHSD.contiguous())
        )
        # The softmax of bfloat16 is computed in float32.
        found = [
            torch.bmm(torch.bmm(query, key.transpose(1, 2)).softmax(dim=-1), value)
            for query, key, value in zip(query_PSD, key_PSD, value_PSD, strict=True)
        ]
    return torch.cat(found).view_as(query_NHSD)
