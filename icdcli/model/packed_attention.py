"""Attention over documents that are laid end to end: each token sees its own document and no other.

A function registered with transformers takes the place of the architecture's attention. It gets the documents' places
(`Segments`) through the keyword arguments of the forward pass, which transformers hands down to every layer, also where
gradient checkpointing computes a layer again. transformers makes no mask for a name that it knows no mask function of, so that
what a mask would say (causal, sliding window) is done here.

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
    # That of torch 2.10 has neither.
    _varlen = varlen_attn if {"scale", "window_size"} <= _varlen_arguments else None

PACKED = "icdcode_packed"
"""The name under which transformers knows this attention."""

# What changes the result of attention and is not done here.
_UNKNOWN = ("softcap", "s_aux", "position_bias", "cache")


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
    """Attention within each document, in the form that transformers calls.

    Args:
        module: The layer's attention, which knows whether it is causal.
        query: (1, H, T, D).
        key: The same, or with fewer heads, each shared by a group of the query's.
        value: Like the key.
        attention_mask: None.
        scaling: What scores are multiplied with; None: 1 / √D.
        dropout: Share of the attention weights that is dropped.
        sliding_window: None where the layer sees all of a document. How far the others see stands in the configuration, which
            the masks of the padded path go by as well: some layers hand on a number that is one off.
        is_causal: Overrides the layer's own.
        segments: Where the documents lie.
        others: Refused where they would change the result.

    Returns:
        (1, T, H, D), and no attention weights.

    Raises:
        ValueError: Without segments, with a mask, or with what this attention can't do.
    """
    if segments is None or attention_mask is not None:
        raise ValueError("attention over documents laid end to end needs their places, and no mask")
    if refused := [name for name in _UNKNOWN if others.get(name) is not None]:
        raise ValueError(f"attention over documents laid end to end knows no {', '.join(refused)}")
    causal = bool(module.is_causal if is_causal is None else is_causal)
    window = None if sliding_window is None else int(module.config.sliding_window)
    if _has_kernel(query, dropout):
        return _by_kernel(query, key, value, segments, causal, window, scaling), None
    return _by_document(query, key, value, segments, causal, window, scaling, dropout), None


AttentionInterface.register(PACKED, packed_attention)


def _dtype(states: Tensor) -> torch.dtype:
    """What attention computes in: rotary embeddings can leave float32 behind where autocast wants half precision."""
    kind = states.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else states.dtype


def _has_kernel(query: Tensor, dropout: float) -> bool:
    """Whether there is one kernel for all documents: FlashAttention, as torch brings it along."""
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
        states[0].transpose(0, 1).to(_dtype(states)) for states in (query, key, value)
    )
    # The kernel counts the neighbours of a token on either side; a causal window counts the token itself.
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
    """One call of torch's attention for neighbouring documents of one length."""
    key, value = _all_heads(query, key, value)
    runs = segments.runs
    # Split at once, for its gradient is one concatenation; that of a slice fills a whole tensor with zeros for every document.
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
    """True where a token sees another: as transformers draws its windows, a causal one counts the token itself."""
    places = torch.arange(length, device=device)
    distance_SS = places[:, None] - places[None, :]
    return (distance_SS >= 0) & (distance_SS < window) if causal else distance_SS.abs() <= window


@dataclass(frozen=True, slots=True)
class PackedForm:
    """How an architecture takes documents laid end to end.

    Attributes:
        first_position: The position of a document's first token; those of the RoBERTa family start behind the padding index.
        token_types: Whether its embeddings ask for the type of a token; all of ours are of the first.
        replaced: The name of the attention that it had before.
    """

    first_position: int
    token_types: bool
    replaced: str

    @classmethod
    def put_on(cls, backbone: nn.Module) -> "PackedForm":
        """Replace a backbone's attention; from now on it takes nothing but `arguments`."""
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

    def take_off(self, backbone: nn.Module) -> None:
        """Give the backbone back the attention that it had."""
        settings: Any = backbone.config
        settings._attn_implementation = self.replaced

    def arguments(self, ids_T: Tensor, segments: Segments) -> dict[str, Any]:
        """The arguments of the backbone's forward pass."""
        positions_T = segments.positions_T() + self.first_position
        told = {
            "input_ids": ids_T[None],
            "position_ids": positions_T[None],
            "attention_mask": None,
            "segments": segments,
        }
        return told | (
            {"token_type_ids": torch.zeros_like(ids_T)[None]} if self.token_types else {}
        )
