"""Find out by a trial what an architecture does: how much it reads at once, in which direction.

Shapes: B documents, T tokens, D width.
"""

import copy
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel

_LONGEST = 16_384
"""The longest input that is tried, in tokens: some architectures make a mask of all pairs of
tokens. No known table of positions is longer."""

_SHORT = 4
"""The least tokens of a document, as `max_len` allows."""

_SPARE = 64
"""The most rows of a table of positions beyond those that the settings declare."""


_TOKENS = 8
"""The tokens of the documents with which the direction of attention is found out."""

_MOVED = 1e-4
"""The least relative change of a hidden state that counts. A layer that doesn't see the token that
was changed gives the same state, bit for bit, in every precision."""


class _LayersReachedError(Exception):
    """All positions have been looked up; only the layers follow."""


def window_of(settings: Any, wanted: int) -> int | None:
    """Return the most tokens that a backbone reads at once; None: any number.

    The settings declare the number of positions, but many architectures leave some of them out.
    RoBERTa, for example, reads 512 tokens with 514 positions. So the part before the layers is made
    on the CPU, and reads a document of the wanted length. This takes about 0.1 s, without weights.

    Args:
        settings: The backbone's settings.
        wanted: The most tokens of a document. Larger windows are returned as declared.
    """
    declared: int | None = getattr(settings, "max_position_embeddings", None)
    if declared is not None and declared < 1:  # some architectures write "none" so
        declared = None
    length = wanted if declared is None else min(declared, wanted)
    if length > _LONGEST:
        return declared
    embeddings = _Embeddings(settings)
    if not embeddings.may_have_positions(declared) or embeddings.read(length):
        return declared
    return _longest(embeddings, length) or declared


def _longest(embeddings: "_Embeddings", too_long: int) -> int | None:
    """Return the most tokens below ``too_long`` that can be read; None if even few can't."""
    distance = 1
    while not embeddings.read(readable := max(too_long - distance, _SHORT)):
        if readable == _SHORT:
            return None  # for another reason
        too_long, distance = readable, 2 * distance
    while too_long - readable > 1:
        middle = (readable + too_long) // 2
        if embeddings.read(middle):
            readable = middle
        else:
            too_long = middle
    return readable


class _Embeddings:
    """The part of an architecture before its layers, on the CPU, without the values of weights."""

    def __init__(self, settings: Any) -> None:
        from accelerate import init_empty_weights  # takes a moment to import

        settings = copy.deepcopy(settings)
        if hasattr(settings, "quantization_config"):
            del settings.quantization_config
        # Buffers, such as lists of positions, have their values; weights are on the meta device.
        with torch.random.fork_rng(devices=[]), init_empty_weights(include_buffers=False):
            self._model: Any = AutoModel.from_config(settings).eval()
        self._layers = {
            module
            for stack in self._model.modules()
            if isinstance(stack, nn.ModuleList)
            for module in stack.modules()
        }
        self._before = [module for module in self._model.modules() if module not in self._layers]
        for module in self._before:
            for name, weight in module.named_parameters(recurse=False):
                # Memory that is never written takes no space.
                empty = nn.Parameter(torch.empty(weight.shape, dtype=weight.dtype), False)
                setattr(module, name, empty)
        special = {getattr(settings, name, None) for name in ("pad_token_id", "eos_token_id")}
        self._token = next(token for token in range(3) if token not in special)

    def may_have_positions(self, declared: int | None) -> bool:
        """Return whether a tensor other than the tokens' embeddings is as long as declared."""
        if declared is None:
            return True
        tokens = self._model.get_input_embeddings()
        return any(
            declared <= size <= declared + _SPARE
            for module in self._before
            if module is not tokens
            for tensor in _tensors_of(module)
            for size in tensor.shape
        )

    @torch.inference_mode()
    def read(self, length: int) -> bool:
        """Return whether documents of this length can be read."""
        ids_BT = torch.full((1, length), self._token)
        # They are removed again: activation functions may belong to all models of a process.
        hooks = [layer.register_forward_pre_hook(_stop) for layer in self._layers]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._model(input_ids=ids_BT, attention_mask=torch.ones_like(ids_BT))
        except _LayersReachedError:
            return True
        except Exception:  # each architecture has its own
            return False
        finally:
            for hook in hooks:
                hook.remove()
        return True


def _tensors_of(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)
    yield from (value for value in vars(module).values() if isinstance(value, Tensor))


def _stop(*_: Any) -> None:
    raise _LayersReachedError


@dataclass(frozen=True, slots=True)
class Direction:
    """The tokens that one layer's attention sees, besides the token itself.

    Attributes:
        earlier: Whether it sees tokens before it.
        later: Whether it sees tokens after it.
    """

    earlier: bool
    later: bool


@torch.no_grad()
def directions_of(backbone: nn.Module, layers: Sequence[nn.Module]) -> list[Direction]:
    """Find out which tokens each layer sees: some architectures ignore the configured attention.

    The backbone reads three short documents once. Each layer gets the same random hidden states
    for all of them, except for the last token of the second and the first token of the third. If
    the other tokens' states differ after the layer, it has seen that token.

    Args:
        backbone: The backbone, on any device, in any precision. Its mode is restored.
        layers: Its layers. If there are none, or if they exchange something other than one state
            per token, the backbone is one layer, whose input are tokens.

    Returns:
        The direction of each layer that was called, in the order of the calls.
    """
    device = next(backbone.parameters()).device
    ids_BT = (5 + torch.arange(_TOKENS, device=device)).repeat(3, 1)
    ids_BT[1, -1] += 10
    ids_BT[2, 0] += 10
    found: list[Direction] = []
    trial = _LayerTrial(found)
    hooks = [layer.register_forward_pre_hook(trial.before, with_kwargs=True) for layer in layers]
    hooks += [layer.register_forward_hook(trial.after) for layer in layers]
    training = backbone.training
    backbone.eval()
    try:
        output = backbone(input_ids=ids_BT, attention_mask=torch.ones_like(ids_BT))
    finally:
        for hook in hooks:
            hook.remove()
        backbone.train(training)
    if not found or trial.unknown:
        return [_direction(output.last_hidden_state)] if not layers else directions_of(backbone, ())
    return found


class _LayerTrial:
    """Replaces the hidden states before each layer and compares those after it.

    Args:
        found: Receives the direction of each layer.
    """

    def __init__(self, found: list[Direction]) -> None:
        self._found = found
        self.unknown = False

    def before(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Replace a layer's input."""
        hidden_BTD = args[0] if args else kwargs.get("hidden_states")
        if not isinstance(hidden_BTD, Tensor) or hidden_BTD.shape[:-1] != (3, _TOKENS):
            self.unknown = True
            return None
        draw = torch.Generator().manual_seed(0)
        states_BTD = torch.randn(1, *hidden_BTD.shape[1:], generator=draw).repeat(3, 1, 1)
        states_BTD[1, -1] = torch.randn(hidden_BTD.shape[-1], generator=draw)
        states_BTD[2, 0] = torch.randn(hidden_BTD.shape[-1], generator=draw)
        states_BTD = states_BTD.to(hidden_BTD)
        if args:
            return (states_BTD, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": states_BTD}

    def after(self, _: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Compare a layer's output."""
        hidden_BTD = output if isinstance(output, Tensor) else output[0]
        if hidden_BTD.shape[:-1] == (3, _TOKENS):
            self._found.append(_direction(hidden_BTD))
        else:
            self.unknown = True


def _direction(hidden_BTD: Tensor) -> Direction:
    plain_TD, last_TD, first_TD = hidden_BTD.float()
    later = (last_TD - plain_TD)[:-1].norm(dim=1) > _MOVED * plain_TD[:-1].norm(dim=1)
    earlier = (first_TD - plain_TD)[1:].norm(dim=1) > _MOVED * plain_TD[1:].norm(dim=1)
    return Direction(bool(earlier.any()), bool(later.any()))
