"""Attention over packed documents: each token sees its own document and no other.

A function registered with transformers replaces the architecture's attention. It receives the
documents' borders (`Segments`) through the keyword arguments of the forward pass, which
transformers passes on to every layer, also when gradient checkpointing recomputes a layer.
transformers makes no mask for an attention whose name has no mask function, so that causal
attention and sliding windows are implemented here.

Shapes: T tokens, H heads, D width of a head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from icdcli.model.batch import Segments
from icdcli.model.packing.by_document import attention_by_document
from icdcli.model.packing.flash import Kernel, kernel_for
from icdcli.model.packing.kept_attention import kept_if_recomputed

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
    states, dtype = (query, key, value), _dtype(query)
    # A kernel may be tried here: outside of what is kept if the layer is recomputed.
    kernel = None if dropout else kernel_for(states, dtype, causal, window is not None)
    return _attend(kernel, states, dtype, segments, causal, window, scaling, dropout), None


@kept_if_recomputed
def _attend(
    kernel: Kernel | None,
    states: Sequence[Tensor],
    dtype: torch.dtype,
    segments: Segments,
    causal: bool,
    window: int | None,
    scaling: float | None,
    dropout: float,
) -> Tensor:
    if kernel is not None:
        states_THD = [part[0].transpose(0, 1).to(dtype) for part in states]
        return kernel(states_THD, segments, causal, window, scaling)[None]
    query, key, value = states
    return attention_by_document(query, key, value, segments, causal, window, scaling, dropout)


AttentionInterface.register(PACKED, packed_attention)


def _dtype(hidden: Tensor) -> torch.dtype:
    """Return the precision of attention.

    Under autocast, rotary embeddings may return float32 although half precision is wanted.
    """
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


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
