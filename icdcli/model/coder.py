"""The network: backbone, pooling, output layer; tokens in, one logit a code out.

Shapes: B documents, T tokens, D width, L labels.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from icdcli.config import ModelConfig
from icdcli.model.backbone import half_precision
from icdcli.model.pooling import pool


class CoderNetwork(nn.Module):
    """A backbone whose pooled states a linear layer turns into one logit a code.

    The output layer and the pooling are float32 whatever the backbone's precision: half-precision states into a full-precision
    layer is a crash, and half-precision logits lose the small differences that ranking lives on.
    """

    def __init__(
        self, backbone: nn.Module, width: int, labels: int, pooling_mode: str, autocast: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling_mode = pooling_mode
        self.autocast = autocast
        self.output = nn.Linear(width, labels)

    def forward(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Compute logits_BL (float32) from token ids and their mask (True where real, padded on the right)."""
        with torch.autocast(ids_BT.device.type, self.autocast, enabled=self.autocast is not None):
            states: Any = self.backbone(input_ids=ids_BT, attention_mask=mask_BT.long())
        logits_BL: Tensor = self.output(pool(states.last_hidden_state, mask_BT, self.pooling_mode))
        return logits_BL

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
