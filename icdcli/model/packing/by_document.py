"""Attention over packed documents with torch's attention, document by document.

Shapes: T tokens, H heads, D width of a head, N documents of one length, S their length.
"""

import torch
from torch import Tensor
from torch.nn import functional

from icdcli.model.batch import Segments
from icdcli.model.packing.by_products import attention_by_products, suits_products


def attention_by_document(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    causal: bool,
    window: int | None,
    scaling: float | None,
    dropout: float = 0.0,
) -> Tensor:
    """Compute attention with one call of torch for neighboring documents of the same length."""
    key, value = all_heads(query, key, value)
    runs = segments.runs
    # The gradient of one split is one concatenation; that of a slice fills a complete tensor with
    # zeros for every document.
    sizes = [length * count for length, count in runs]
    parts = zip(
        runs, *(states[0].split(sizes, dim=1) for states in (query, key, value)), strict=True
    )
    found = []
    for (length, count), *states in parts:
        query_NHSD, key_NHSD, value_NHSD = (
            part.unflatten(1, (count, length)).transpose(0, 1) for part in states
        )
        mask_SS = (
            None
            if window is None or window >= length
            else _window_mask(length, window, causal, query.device)
        )
        unmasked = mask_SS is None and not causal and not dropout
        if unmasked and suits_products(query_NHSD, key_NHSD, value_NHSD):
            hidden_NHSD = attention_by_products(query_NHSD, key_NHSD, value_NHSD, scaling)
            found.append(hidden_NHSD.transpose(1, 2).flatten(0, 1))
            continue
        hidden_NHSD = functional.scaled_dot_product_attention(
            query_NHSD,
            key_NHSD,
            value_NHSD,
            attn_mask=mask_SS,
            dropout_p=dropout,
            is_causal=causal and mask_SS is None,
            scale=scaling,
        )
        found.append(hidden_NHSD.transpose(1, 2).flatten(0, 1))
    return torch.cat(found)[None]


def all_heads(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Return key and value with as many heads as the query, in dimension 1."""
    group = query.shape[1] // key.shape[1]
    if group == 1:
        return key, value
    return key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)


def _window_mask(length: int, window: int, causal: bool, device: torch.device) -> Tensor:
    """Return a mask, True if a token sees another one.

    As in transformers, a causal window includes the token itself.
    """
    positions = torch.arange(length, device=device)
    distance_SS = positions[:, None] - positions[None, :]
    return (distance_SS >= 0) & (distance_SS < window) if causal else distance_SS.abs() <= window
