"""Rotary embeddings whose frequencies depend on the length: that of each document, not of a batch.

With ``longrope`` and ``dynamic`` scaling, transformers takes the frequencies of all documents of a
forward pass from the longest. A document's hidden states would depend on its neighbors. Here each
document has the frequencies that it has when it is read alone.

Shapes: C chunks (or documents), T tokens, D width of a head.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from icdcli.model.batch import Segments

Layout = Tensor | Segments
"""What separates the chunks of a forward pass: mask_CT (True for a real token) or borders."""

_LONG, _DYNAMIC = "longrope", "dynamic"
_LAYOUT = "icdcode_layout"

_Embed = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Positions to cosines and sines, with the frequencies of the highest position."""


class RotaryByDocument:
    """The modules of a backbone that compute such embeddings.

    Args:
        backbone: The backbone. From now on, its passes within `layout` embed by document.
    """

    def __init__(self, backbone: nn.Module) -> None:
        self._modules = [module for module in backbone.modules() if _depends_on_length(module)]
        for module in self._modules:
            module.register_forward_pre_hook(_start_anew, with_kwargs=True)
            module.register_forward_hook(_by_document, with_kwargs=True)

    def __len__(self) -> int:
        return len(self._modules)

    @contextmanager
    def layout(self, layout: Layout) -> Iterator[None]:
        """Separate the documents of the passes in this block."""
        for module in self._modules:
            setattr(module, _LAYOUT, layout)
        try:
            yield
        finally:
            for module in self._modules:
                delattr(module, _LAYOUT)


def _depends_on_length(module: nn.Module) -> bool:
    kinds = getattr(module, "rope_type", None)
    names = kinds.values() if isinstance(kinds, dict) else [kinds]
    return any(name == _LONG or _DYNAMIC in str(name) for name in names)


def _arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """Return the hidden states, the positions and the kind of layer."""
    names = ("x", "position_ids", "layer_type")
    return [
        args[place] if place < len(args) else kwargs.get(name) for place, name in enumerate(names)
    ]


def _kind(module: Any, layer: str | None) -> str:
    return str(module.rope_type[layer] if isinstance(module.rope_type, dict) else module.rope_type)


def _start_anew(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    _, _, layer = _arguments(args, kwargs)
    if _DYNAMIC in _kind(module, layer):
        _forget_lengths(module, layer)


def _by_document(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    """Replace the output of a module's forward pass; None: it is right."""
    layout: Layout | None = getattr(module, _LAYOUT, None)
    hidden, positions, layer = _arguments(args, kwargs)
    kind = _kind(module, layer)
    if layout is None or not isinstance(positions, Tensor) or positions.ndim != 2:
        return None
    original = _original_length(module, kind, layer)
    longest = layout.shape[1] if isinstance(layout, Tensor) else max(layout.lengths)
    if original is None or longest <= original:
        return None
    options = {} if layer is None else {"layer_type": layer}

    def embed(positions: Tensor) -> tuple[Tensor, Tensor]:
        if kind != _LONG:
            _forget_lengths(module, layer)
        cos, sin = type(module).forward(module, hidden, positions, **options)
        return cos, sin

    if isinstance(layout, Tensor):
        lengths = layout.sum(dim=1)
        # Padding has the position of the last token, so that it doesn't lengthen a document.
        positions = positions.expand(len(layout), -1).minimum(lengths[:, None] - 1)
        lengths = lengths[:, None].expand_as(positions)
    else:
        lengths = layout.starts.diff().long()[layout.documents_T()][None]
    if kind == _LONG:
        return _short_or_long(embed, positions, lengths, original)
    return _each_length(embed, positions, lengths, original)


def _short_or_long(
    embed: _Embed, positions: Tensor, lengths: Tensor, original: int
) -> tuple[Tensor, Tensor]:
    """Embed with two sets of frequencies: one up to the original length, one beyond it."""
    beyond = positions.new_full((len(positions), 1), original)
    short = embed(positions.clamp(max=original - 1))
    long = embed(torch.cat([positions, beyond], dim=1))
    is_long = (lengths > original)[..., None]
    cos, sin = (
        torch.where(is_long, of_long[:, :-1], of_short)
        for of_short, of_long in zip(short, long, strict=True)
    )
    return cos, sin


def _each_length(
    embed: _Embed, positions: Tensor, lengths: Tensor, original: int
) -> tuple[Tensor, Tensor]:
    """Embed with the frequencies of each length; all lengths up to the original share them."""
    classes = lengths.clamp(min=original)
    cos, sin = embed(positions.clamp(max=original - 1))
    for length in classes.unique().tolist():
        if length == original:
            continue
        last = positions.new_full((len(positions), 1), length - 1)
        own = embed(torch.cat([positions.clamp(max=length - 1), last], dim=1))
        chosen = (classes == length)[..., None]
        cos, sin = (
            torch.where(chosen, of_length[:, :-1], before)
            for of_length, before in zip(own, (cos, sin), strict=True)
        )
    return cos, sin


def _original_length(module: Any, kind: str, layer: str | None) -> int | None:
    """Return the length up to which the frequencies are the same; None: at any length."""
    if kind == _LONG:
        parameters = module.config.rope_parameters
        parameters = parameters if layer is None else parameters[layer]
        return int(parameters["original_max_position_embeddings"])
    return int(module.original_max_seq_len) if _DYNAMIC in kind else None


def _forget_lengths(module: Any, layer: str | None) -> None:
    """Make a module compute its frequencies anew: it keeps those of the longest input so far."""
    prefix = "" if layer is None else f"{layer}_"
    setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)
    frequencies = getattr(module, f"{prefix}original_inv_freq")
    device = getattr(module, f"{prefix}inv_freq").device
    module.register_buffer(f"{prefix}inv_freq", frequencies.to(device), persistent=False)
