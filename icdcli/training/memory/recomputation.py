"""Layers that are computed again when gradients are computed, which saves memory.

A recomputed layer keeps its input until then, and nothing else (activation or gradient
checkpointing, Chen et al. 2016). It may also keep what its attention computes: this is small, and
attention is the dearest part to compute again if documents are long. Results are the same, bit for
bit.

The first layers of a network are recomputed. Gradients are computed from the last layer to the
first: when the first recomputed layer is computed again, what the others kept is already freed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from icdcli.model.network import CodingNetwork
from icdcli.model.packing.kept_attention import keep_attention


@dataclass(frozen=True, slots=True)
class Recomputation:
    """The layers that are recomputed.

    Attributes:
        layers: The number of recomputed layers, the first ones.
        total: The number of layers that can be recomputed one by one; 1 if only all of them can.
        keeps_attention: Whether these layers keep what their attention computes.
    """

    layers: int
    total: int
    keeps_attention: bool = False

    @property
    def share(self) -> float:
        """Return the share of the layers that is recomputed."""
        return self.layers / self.total if self.total else 0.0

    def __str__(self) -> str:
        if not self.layers:
            return "no layer is recomputed"
        which = "all" if self.layers == self.total else f"{self.layers} of {self.total}"
        kept = ", except for their attention" if self.keeps_attention else ""
        return f"{which} layers are recomputed{kept}"


NOTHING = Recomputation(0, 0)
"""No layer is recomputed."""


def recomputable_layers(backbone: nn.Module) -> list[nn.Module]:
    """Return the layers of a backbone that can be recomputed one by one, in their order."""
    return [layer for layer in backbone.modules() if isinstance(layer, GradientCheckpointingLayer)]


def all_recomputed(network: CodingNetwork, keeps_attention: bool = False) -> Recomputation:
    """Return the recomputation of all layers, of none if the architecture can't recompute any."""
    total = len(recomputable_layers(network.backbone))
    if not total:
        backbone: Any = network.backbone
        total = int(bool(getattr(backbone, "supports_gradient_checkpointing", False)))
    return Recomputation(total, total, keeps_attention)


def recompute(network: CodingNetwork, recomputation: Recomputation) -> None:
    """Let a network recompute the layers that it should, and no others.

    Args:
        network: The network.
        recomputation: The layers; their number may change at any time between two passes.
    """
    layers, backbone = recomputable_layers(network.backbone), network.backbone
    if not recomputation.layers:
        for module in (backbone, *backbone.modules()):
            if getattr(module, "gradient_checkpointing", False):
                module.gradient_checkpointing = False  # type: ignore[assignment]
        return
    options: dict[str, Any] = {"use_reentrant": False}
    if recomputation.keeps_attention:
        options["context_fn"] = keep_attention
    _enable(backbone)(options)
    for number, layer in enumerate(layers):
        layer.gradient_checkpointing = number < recomputation.layers  # type: ignore[assignment]


def _enable(backbone: Any) -> Callable[[dict[str, Any]], None]:
    # A later version of transformers 5 renamed the method; the old name warns.
    enable: Callable[[dict[str, Any]], None] = (
        getattr(backbone, "activation_checkpointing_enable", None)
        or backbone.gradient_checkpointing_enable
    )
    return enable
