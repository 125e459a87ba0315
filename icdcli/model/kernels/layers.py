"""Fused layers in one network: its own modules compute differently, the library's classes don't.

A module gets a subclass of its class, so that it keeps its weights, names and children; layers with
adapters inside are called as before. Copies and pickles of it are plain layers. A layer is
recognized by its parts and by what it computes, not by its name.

The rotation is a function of transformers' module that the attention's forward pass calls by name.
An attention gets its own copy of that forward pass, in which the name stands for another function.
"""

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from icdcli.model.kernels.functions import PLAIN, Casting, LayerFunctions
from icdcli.model.precision import half_precision

Piece = Literal["RMSNorm", "activation", "rotation"]
PIECES: tuple[Piece, ...] = ("RMSNorm", "activation", "rotation")

_ROTATION = "apply_rotary_pos_emb"
_SAME = 1e-5
"""The largest relative difference of two ways to compute a function in float32."""

_Product = Literal["silu_product", "gelu_product"]


@dataclass(frozen=True)
class FusedLayers:
    """The modules of a network that compute with fused functions.

    Attributes:
        classes: Each module with the class that it had before.
    """

    classes: Sequence[tuple[nn.Module, type]]

    @classmethod
    def install(cls, backbone: nn.Module, functions: LayerFunctions, piece: Piece) -> "FusedLayers":
        """Let the modules of a kind compute with fused functions.

        Raises:
            ValueError: If a function computes something else than the layers that need it.
        """
        plans: dict[Any, dict[str, Any] | None] = {}
        found = []
        for module, key, fused in _candidates(backbone, piece):
            if key not in plans:
                plans[key] = fused(functions)
            if (attributes := plans[key]) is not None:
                found.append((module, attributes))
        made: dict[tuple[type, int], type] = {}
        for module, attributes in found:
            own = type(module)
            if (fast := made.get((own, id(attributes)))) is None:
                names = {"__module__": own.__module__, "__qualname__": own.__qualname__}
                fast = type(own.__name__, (_Fused, own), {**names, **attributes})
                made[own, id(attributes)] = fast
            module.__class__ = fast
        return cls([(module, type(module).__mro__[2]) for module, _ in found])

    def __len__(self) -> int:
        return len(self.classes)

    def use_in_training(self) -> None:
        """Let the modules compute as in training, also if the network is in evaluation mode."""
        for module, _ in self.classes:
            module.training = True  # none of them has dropout

    def uninstall(self) -> None:
        """Let the modules compute as before."""
        for module, before in self.classes:
            module.__class__ = before


def has_layers(backbone: nn.Module, piece: Piece) -> bool:
    """Return whether a network has layers of a kind."""
    layers = FusedLayers.install(backbone, PLAIN, piece)
    layers.uninstall()
    return len(layers) > 0


class _Fused(nn.Module):
    """A layer that is copied and pickled as the plain layer that it was."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        reduced: Any = super().__reduce_ex__(protocol)
        _, _, *state = reduced
        return (_empty, (type(self).__mro__[2],), *state)


def _empty(kind: Any) -> Any:
    return kind.__new__(kind)


_Candidate = tuple[nn.Module, Any, Callable[[LayerFunctions], dict[str, Any] | None]]
"""A module, what it has in common with others that compute the same, and a function that returns
the attributes of its new class; None: it isn't such a layer."""


def _candidates(backbone: nn.Module, piece: Piece) -> Iterator[_Candidate]:
    finds = {"RMSNorm": _norm, "activation": _gated, "rotation": _attention}
    for module in backbone.modules():
        # A forward function of the instance would hide that of a class.
        if "forward" not in vars(module) and (found := finds[piece](module)) is not None:
            yield (module, *found)


def _distance(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return the largest relative difference of pairs of tensors."""
    pairs = zip(found, expected, strict=True)
    return max(float((a.float() - b.float()).norm() / b.float().norm()) for a, b in pairs)


def _with_gradients(
    function: Callable[..., Tensor | tuple[Tensor, ...]], inputs: Sequence[Tensor]
) -> list[Tensor]:
    """Return outputs of a function and the gradients of its inputs."""
    # A copy, since a function may write over its inputs.
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    with torch.enable_grad():
        outputs = function(*(leaf * 1 for leaf in leaves))
    outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
    values = [output.detach().clone() for output in outputs]
    upstream = [_waves(*output.shape, device=output.device, phase=7) for output in outputs]
    return [*values, *torch.autograd.grad(outputs, leaves, upstream)]


def _waves(*shape: int, device: torch.device, phase: float) -> Tensor:
    """Return numbers from -2 to 2, always the same: a trial draws no random numbers."""
    count = torch.Size(shape).numel()
    return 2 * (torch.arange(count, device=device) * 0.73 + phase).sin().view(shape)


def _require_same(
    name: str, fused: Callable[..., Any], plain: Callable[..., Any], inputs: Sequence[Tensor]
) -> None:
    found = _distance(_with_gradients(fused, inputs), _with_gradients(plain, inputs))
    if not found <= _SAME:
        raise ValueError(f"the {name} differs by {found:.1e} in float32")


def _norm(module: nn.Module) -> tuple[Any, Callable[[LayerFunctions], Any]] | None:
    """Recognize a norm by the root of the mean square."""
    weights = list(module.named_parameters())
    epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if (
        [name for name, _ in weights] != ["weight"]
        or weights[0][1].ndim != 1
        or any(True for _ in module.children())
        or not isinstance(epsilon, float)
        or len(inspect.signature(type(module).forward).parameters) != 2
    ):
        return None
    width, device = len(weights[0][1]), weights[0][1].device

    def fused(functions: LayerFunctions) -> dict[str, Any] | None:
        plain: Any = copy.deepcopy(module).float()
        with torch.no_grad():
            plain.weight.copy_(_waves(width, device=device, phase=1))
        x = _waves(6, width, device=device, phase=2)
        if (kind := _norm_kind(plain, x, epsilon)) is None:
            return None
        addend, casting = kind

        def by_weight(function: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
            return lambda x, weight: function(x, weight, epsilon, addend, casting)

        inputs = (x, plain.weight)
        _require_same("RMSNorm", by_weight(functions.rms_norm), by_weight(PLAIN.rms_norm), inputs)

        def forward(self: Any, hidden_states: Tensor) -> Tensor:
            return functions.rms_norm(hidden_states, self.weight, epsilon, addend, casting)

        return {"forward": forward}

    return (type(module), width, epsilon), fused


def _norm_kind(plain: Any, x: Tensor, epsilon: float) -> tuple[float, Casting] | None:
    """Return the addend of a norm's weight and its casting; None: it is another kind of norm."""
    half = copy.deepcopy(plain).to(half_precision(x.device))
    narrow = x.to(half.weight.dtype)
    kinds: list[tuple[float, Casting]] = [
        (addend, casting) for addend in (0.0, 1.0) for casting in ("llama", "gemma")
    ]

    def misses(kind: tuple[float, Casting]) -> tuple[float, float]:
        addend, casting = kind
        return tuple(  # type: ignore[return-value]
            _distance([PLAIN.rms_norm(y, norm.weight, epsilon, addend, casting)], [norm(y)])
            for norm, y in ((plain, x), (half, narrow))
        )

    with torch.no_grad():
        found = {kind: misses(kind) for kind in kinds}
    near = {kind: both for kind, both in found.items() if both[0] <= _SAME}
    # In float32, the castings are the same.
    return min(near, key=lambda kind: near[kind][1]) if near else None


def _gated(module: nn.Module) -> tuple[Any, Callable[[LayerFunctions], Any]] | None:
    """Recognize a gated feed-forward layer: activation(gate) · up."""
    children = {name for name, child in module.named_children() if hasattr(child, "weight")}
    if children == {"gate_proj", "up_proj", "down_proj"}:
        joint = False
    elif children == {"gate_up_proj", "down_proj"}:
        joint = True
    else:
        return None
    names = [name for name in ("act_fn", "activation_fn") if hasattr(module, name)]
    if not names or len(inspect.signature(type(module).forward).parameters) != 2:
        return None
    activation = getattr(module, names[0])
    device = next(module.parameters()).device

    def fused(functions: LayerFunctions) -> dict[str, Any] | None:
        inputs = [_waves(6, 48, device=device, phase=phase) for phase in (1, 2)]
        if (name := _product_of(activation, inputs)) is None:
            return None
        product = getattr(functions, name)
        _require_same("activation", product, getattr(PLAIN, name), inputs)

        def forward(self: Any, hidden_states: Tensor) -> Tensor:
            if joint:
                gate, up = self.gate_up_proj(hidden_states).chunk(2, dim=-1)
            else:
                gate, up = self.gate_proj(hidden_states), self.up_proj(hidden_states)
            # The fused backward pass may overwrite its inputs: evidence, whose layers are in
            # evaluation mode, goes back through the same pass several times.
            recorded = torch.is_grad_enabled() and (gate.requires_grad or up.requires_grad)
            if recorded and not self.training:
                gate = getattr(self, names[0])(gate)
                return self.down_proj(gate * up)  # type: ignore[no-any-return]
            return self.down_proj(product(gate, up))  # type: ignore[no-any-return]

        return {"forward": forward}

    return (type(module), type(activation), joint), fused


def _product_of(activation: Any, inputs: Sequence[Tensor]) -> _Product | None:
    gate, up = inputs
    with torch.no_grad():
        expected = activation(gate) * up
        names: tuple[_Product, ...] = ("silu_product", "gelu_product")
        for name in names:
            if _distance([getattr(PLAIN, name)(gate, up)], [expected]) <= _SAME:
                return name
    return None


def _attention(module: nn.Module) -> tuple[Any, Callable[[LayerFunctions], Any]] | None:
    """Recognize an attention that calls the rotation of halves by name."""
    forward: Any = type(module).forward
    if not isinstance(forward, FunctionType) or _ROTATION not in forward.__code__.co_names:
        return None
    plain: Any = forward.__globals__.get(_ROTATION)
    if plain is None:
        return None
    device = next(module.parameters()).device

    def fused(functions: LayerFunctions) -> dict[str, Any] | None:
        inputs = [_waves(1, 2, 5, 16, device=device, phase=phase) for phase in (1, 2)]
        angles = _waves(1, 5, 8, device=device, phase=3).repeat(1, 1, 2)
        cos, sin = angles.cos(), angles.sin()

        def with_angles(function: Any) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
            return lambda query, key: function(query, key, cos, sin)

        try:
            known = with_angles(plain)(*inputs)
        except (TypeError, ValueError, RuntimeError):
            return None  # another rotation, with other arguments
        expected = with_angles(PLAIN.rotate)(*inputs)
        if len(known) != 2 or not _distance(known, expected) <= _SAME:
            return None
        _require_same("rotation", with_angles(functions.rotate), with_angles(PLAIN.rotate), inputs)

        def rotate(
            q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, *args: Any, **kwargs: Any
        ) -> Any:
            if args or kwargs or not q.ndim == k.ndim == 4 or cos.ndim != 3:
                return plain(q, k, cos, sin, *args, **kwargs)
            return functions.rotate(q, k, cos, sin)

        copied: Any = FunctionType(
            forward.__code__,
            {**forward.__globals__, _ROTATION: rotate},
            forward.__name__,
            forward.__defaults__,
            forward.__closure__,
        )
        copied.__kwdefaults__, copied.__doc__ = forward.__kwdefaults__, forward.__doc__
        return {"forward": copied}

    return type(module), fused
