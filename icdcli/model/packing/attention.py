"""Attention over packed documents: each token sees its own document and no other.

A function registered with transformers replaces the architecture's attention. It receives the
documents' borders (`Segments`) through the keyword arguments of the forward pass, which
transformers passes on to every layer, also when gradient checkpointing recomputes a layer.
transformers makes no mask for an attention whose name has no mask function, so that causal
attention and sliding windows are implemented here.

Shapes: T tokens, H heads, D width of a head, N documents of one length, S their length.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface

from icdcli.model.batch import Segments

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # torch < 2.10
    _varlen: Callable[..., Any] | None = None
    _varlen_arguments: frozenset[str] = frozenset()
else:
    _varlen_arguments = frozenset(inspect.signature(varlen_attn).parameters)
    # The version in torch 2.10 has neither.
    _varlen = varlen_attn if {"scale", "window_size"} <= _varlen_arguments else None

PACKED = "icdcode_packed"
"""The name under which transformers knows this attention."""

# Options that change the result of attention and are not implemented here.
_UNSUPPORTED = ("softcap", "s_aux", "position_bias", "cache")


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    segments: Segments | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Compute attention within each document, with the signature that transformers calls.

    Args:
        module: The layer's attention; its attribute says whether it is causal.
        query: (1, H, T, D).
        key: The same, or with fewer heads, each shared by a group of the query's heads.
        value: Like the key.
        attention_mask: None.
        scaling: The factor of the scores; None: 1 / √D.
        dropout: The share of the attention weights that is dropped.
        sliding_window: None if the layer sees the whole document. Otherwise the window is read
            from the configuration, as for the masks of padded documents: some layers pass a number
            that is off by one.
        is_causal: Overrides the layer's attribute.
        segments: The borders of the documents.
        others: Refused if they would change the result.

    Returns:
        (1, T, H, D), and no attention weights.

    Raises:
        ValueError: Without segments, with a mask, or with an unsupported option.
    """
    if segments is None or attention_mask is not None:
        raise ValueError("attention over packed documents needs their borders and no mask")
    if refused := [name for name in _UNSUPPORTED if others.get(name) is not None]:
        raise ValueError(f"attention over packed documents doesn't support {', '.join(refused)}")
    causal = bool(module.is_causal if is_causal is None else is_causal)
    window = None if sliding_window is None else int(module.config.sliding_window)
    if _has_kernel(query, dropout):
        return _by_kernel(query, key, value, segments, causal, window, scaling), None
    return _by_document(query, key, value, segments, causal, window, scaling, dropout), None


AttentionInterface.register(PACKED, packed_attention)


def _dtype(hidden: Tensor) -> torch.dtype:
    """Return the precision of attention.

    Under autocast, rotary embeddings may return float32 although half precision is wanted.
    """
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


def _has_kernel(query: Tensor, dropout: float) -> bool:
    """Return whether torch has one kernel for all documents (FlashAttention)."""
    if (
        _varlen is None
        or not query.is_cuda
        or dropout
        or query.shape[-1] % 8
        or query.shape[-1] > 256
    ):
        return False
    return _dtype(query) in (torch.bfloat16, torch.float16) and torch.cuda.get_device_capability(
        query.device
    ) >= (8, 0)


def _by_kernel(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    causal: bool,
    window: int | None,
    scaling: float | None,
) -> Tensor:
    assert _varlen is not None
    grouped = {"enable_gqa": True} if "enable_gqa" in _varlen_arguments else {}
    if not grouped:
        key, value = _all_heads(query, key, value)
    query_THD, key_THD, value_THD = (
        part[0].transpose(0, 1).to(_dtype(part)) for part in (query, key, value)
    )
    # The kernel's window is the number of neighbors on either side; a causal window includes the
    # token itself.
    left = -1 if window is None else window - 1 if causal else window
    right = 0 if causal else left
    starts, longest = segments.starts, max(segments.lengths)
    hidden_THD: Tensor = _varlen(
        query_THD,
        key_THD,
        value_THD,
        starts,
        starts,
        longest,
        longest,
        scale=scaling,
        window_size=(left, right),
        **grouped,
    )
    return hidden_THD[None]


def _by_document(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    causal: bool,
    window: int | None,
    scaling: float | None,
    dropout: float,
) -> Tensor:
    """Compute attention with one call of torch for neighboring documents of the same length."""
    key, value = _all_heads(query, key, value)
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


def _all_heads(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
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


@dataclass(frozen=True, slots=True)
class PackedForm:
    """The way in which an architecture reads packed documents.

    Attributes:
        first_position: The position of a document's first token; in the RoBERTa family, positions
            start after the padding index.
        token_types: Whether its embeddings need the type of each token; all of ours have type 0.
        replaced: The name of the attention that it had before.
    """

    first_position: int
    token_types: bool
    replaced: str

    @classmethod
    def install(cls, backbone: nn.Module) -> "PackedForm":
        """Replace a backbone's attention; from now on, its input must be `arguments`."""
        tables = {
            name.rpartition(".")[2]: module
            for name, module in backbone.named_modules()
            if isinstance(module, nn.Embedding)
        }
        padding = getattr(tables.get("position_embeddings"), "padding_idx", None)
        settings: Any = backbone.config
        form = cls(
            0 if padding is None else padding + 1,
            "token_type_embeddings" in tables,
            settings._attn_implementation,
        )
        settings._attn_implementation = PACKED
        return form

    def uninstall(self, backbone: nn.Module) -> None:
        """Restore the attention that the backbone had before."""
        settings: Any = backbone.config
        settings._attn_implementation = self.replaced

    def arguments(self, ids_T: Tensor, segments: Segments) -> dict[str, Any]:
        """Return the arguments of the backbone's forward pass."""
        positions_T = segments.positions_T() + self.first_position
        arguments = {
            "input_ids": ids_T[None],
            "position_ids": positions_T[None],
            "attention_mask": None,
            "segments": segments,
        }
        return arguments | (
            {"token_type_ids": torch.zeros_like(ids_T)[None]} if self.token_types else {}
        )
