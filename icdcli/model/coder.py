"""The network: backbone, pooling, output layer; tokens in, one logit a code out.

Shapes: B documents, T tokens, D width, L labels.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from icdcli.config import ModelConfig
from icdcli.data.batches import Padding
from icdcli.model.attention import PackedForm
from icdcli.model.backbone import half_precision
from icdcli.model.inputs import Segments
from icdcli.model.pooling import pool, pool_packed


class CoderNetwork(nn.Module):
    """A backbone whose pooled states a linear layer turns into one logit a code.

    The output layer and the pooling are float32 whatever the backbone's precision: half-precision states into a full-precision
    layer is a crash, and half-precision logits lose the small differences that ranking lives on.

    Attributes:
        packed: How the backbone takes documents laid end to end; None where it takes them padded. `choose_padding` sets it.
    """

    def __init__(
        self, backbone: nn.Module, width: int, labels: int, pooling_mode: str, autocast: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling_mode = pooling_mode
        self.autocast = autocast
        self.packed: PackedForm | None = None
        self.output = nn.Linear(width, labels)

    @property
    def padding(self) -> Padding:
        """How documents must lie that this network reads."""
        return "batch" if self.packed is None else "free"

    def forward(self, ids: Tensor, layout: Tensor | Segments) -> Tensor:
        """Compute logits_BL (float32); see `icdcli.model.inputs.Inputs`.

        Args:
            ids: Token ids: ids_BT, padded on the right, or ids_T of documents laid end to end.
            layout: What tells documents apart: mask_BT, True where a token is real, or the segments.

        Raises:
            ValueError: When the documents lie another way than `padding` says.
        """
        states = self.states(ids, layout)
        if isinstance(layout, Segments):
            logits_BL: Tensor = self.output(pool_packed(states, layout, self.pooling_mode))
        else:
            logits_BL = self.output(pool(states, layout, self.pooling_mode))
        return logits_BL

    def states(self, ids: Tensor, layout: Tensor | Segments) -> Tensor:
        """The backbone's states of the tokens, of its precision: hidden_BTD, or hidden_TD of documents laid end to end."""
        if isinstance(layout, Segments) and self.packed is not None:
            arguments = self.packed.arguments(ids, layout)
        elif isinstance(layout, Tensor) and self.packed is None:
            arguments = {"input_ids": ids, "attention_mask": layout.long()}
        else:
            raise ValueError(f"this network reads documents with padding: {self.padding}")
        with torch.autocast(ids.device.type, self.autocast, enabled=self.autocast is not None):
            states: Tensor = self.backbone(**arguments).last_hidden_state
        return states[0] if isinstance(layout, Segments) else states

    def start_from_frequencies(self, positives: Sequence[int], documents: int) -> None:
        """Start the output bias at each code's prior log-odds, so that training needn't learn how rare codes are."""
        odds = [(count + 0.5) / (documents - count + 0.5) for count in positives]
        with torch.no_grad():
            self.output.bias.copy_(torch.tensor([math.log(odd) for odd in odds]))

    def trainable(self) -> dict[str, nn.Parameter]:
        """The weights that training changes, by name; nothing else deserves an optimiser state."""
        return {name: weight for name, weight in self.named_parameters() if weight.requires_grad}


def build_network(config: ModelConfig, backbone: nn.Module, labels: int) -> CoderNetwork:
    """Put the output layer on a backbone, on the backbone's device."""
    settings: Any = backbone.config
    device = next(backbone.parameters()).device
    autocast = None if config.bit == 32 else half_precision(device)
    network = CoderNetwork(backbone, settings.hidden_size, labels, config.pooling_mode, autocast)
    network.output.to(device)
    return network


def use_gradient_checkpointing(network: CoderNetwork) -> None:
    """Compute activations twice rather than keep them."""
    backbone: Any = network.backbone
    # a later transformers 5 gave the method another name; the old one warns.
    enable = getattr(backbone, "activation_checkpointing_enable", None) or backbone.gradient_checkpointing_enable
    enable({"use_reentrant": False})
