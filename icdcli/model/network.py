"""The network: backbone, head, description prior; tokens in, one logit a code out.

Shapes: B documents, C chunks, T tokens, D width, L labels.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from icdcli.data.batching import Padding
from icdcli.model.backbone import half_precision
from icdcli.model.batch import Batch, Segments
from icdcli.model.description_prior import DescriptionPrior
from icdcli.model.heads.label_attention import LabelAttention
from icdcli.model.heads.pooled import PooledHead, average_neighbours
from icdcli.model.packed_attention import PackedForm
from icdcli.model.section import ModelConfig


class CodingNetwork(nn.Module):
    """A backbone, and a head that turns its token states into one logit a code.

    The head is float32 whatever the backbone's precision: half-precision states into a full-precision layer is a crash, and
    half-precision logits lose the small differences that ranking lives on.

    Args:
        backbone: Token ids to states.
        head: States of documents that lie end to end to logits.
        autocast: The precision that the backbone computes in; None: that of its weights.
        state_pooling: How many neighbouring tokens' states the head sees as one.
        prior: What the codes' descriptions add to the logits.

    Attributes:
        packed: How the backbone takes documents laid end to end; None where it takes them padded. `choose_padding` sets it.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: PooledHead | LabelAttention,
        autocast: torch.dtype | None = None,
        state_pooling: int = 1,
        prior: DescriptionPrior | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.prior = prior
        self.autocast = autocast
        self.state_pooling = state_pooling
        self.packed: PackedForm | None = None

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.head.bias_L.device

    @property
    def padding(self) -> Padding:
        """How documents must lie that this network reads."""
        return "batch" if self.packed is None else "free"

    @property
    def frozen(self) -> bool:
        """Whether nothing of the backbone is trained."""
        return not any(weight.requires_grad for weight in self.backbone.parameters())

    def train(self, mode: bool = True) -> "CodingNetwork":
        """Training mode or not; a frozen backbone stays as it is when it predicts, its dropout off."""
        super().train(mode)
        if mode and self.frozen:
            self.backbone.eval()
        return self

    def forward(self, inputs: Batch, labels: Tensor | None = None) -> Tensor:
        """Compute logits_BL (float32).

        Args:
            inputs: The documents.
            labels: The labels that logits are wanted of; None: all.

        Raises:
            ValueError: When the documents lie another way than `padding` says, or the prior lacks what it goes by.
        """
        if inputs.hidden_TD is not None:
            hidden_TD, documents = inputs.hidden_TD, inputs.documents
        else:
            hidden_TD, documents = average_neighbours(
                self.hidden_states(inputs), inputs.documents, self.state_pooling
            )
        logits_BL: Tensor = self.head(hidden_TD, documents, labels)
        if self.prior is None:
            return logits_BL
        if inputs.similarity_BL is None:
            raise ValueError(
                "a network with a description prior must be told how near the descriptions come to the documents"
            )
        added_BL: Tensor = self.prior(
            inputs.similarity_BL if labels is None else inputs.similarity_BL[:, labels]
        )
        return logits_BL + added_BL

    def hidden_states(self, inputs: Batch) -> Tensor:
        """The backbone's states of the documents' tokens, one document after the other: hidden_TD, of its precision."""
        ids, layout = inputs.ids, inputs.layout
        assert ids is not None
        if isinstance(layout, Segments) and self.packed is not None:
            arguments = self.packed.arguments(ids, layout)
        elif isinstance(layout, Tensor) and self.packed is None:
            arguments = {"input_ids": ids, "attention_mask": layout.long()}
        else:
            raise ValueError(f"this network reads documents with padding: {self.padding}")
        with torch.autocast(ids.device.type, self.autocast, enabled=self.autocast is not None):
            states: Tensor = self.backbone(**arguments).last_hidden_state
        hidden_TD = states.flatten(0, 1)
        return hidden_TD if inputs.kept_T is None else hidden_TD[inputs.kept_T]

    def start_from_frequencies(
        self, positives: Sequence[int], documents: int, open_ended: bool = False
    ) -> None:
        """Start each code's bias at its prior log-odds, so that training needn't learn how rare codes are.

        Args:
            positives: How many training documents have each code.
            documents: How many there are.
            open_ended: Whether codes that none has are candidates that training leaves alone. All of them together are then as
                likely as the codes that one document has (Good 1953), and each as likely as the next.
        """
        odds = [(count + 0.5) / (documents - count + 0.5) for count in positives]
        if open_ended and 0 in positives:
            once, never = max(positives.count(1), 1), positives.count(0)
            odds = [
                odd if count else once / (documents * never)
                for odd, count in zip(odds, positives, strict=True)
            ]
        with torch.no_grad():
            self.head.bias_L.copy_(torch.tensor([math.log(odd) for odd in odds]))

    def trainable(self) -> dict[str, nn.Parameter]:
        """The weights that training changes, by name; nothing else deserves an optimiser state."""
        return {name: weight for name, weight in self.named_parameters() if weight.requires_grad}


def build_network(
    config: ModelConfig, backbone: nn.Module, labels: int, descriptions: Sequence[int] | None = None
) -> CodingNetwork:
    """Put head and prior on a backbone, on the backbone's device.

    Args:
        config: What they are like.
        backbone: Token ids to states.
        labels: How many codes there are.
        descriptions: How many descriptions each code has, for the prior; None: one.
    """
    settings: Any = backbone.config
    width: int = settings.hidden_size
    device = next(backbone.parameters()).device
    autocast = None if config.bit == 32 else half_precision(device)
    prior = (
        DescriptionPrior(width, descriptions or [1] * labels) if config.description_prior else None
    )
    head: PooledHead | LabelAttention
    if config.pooling_mode == "label_attention":
        head = LabelAttention(width, labels, config.label_width, config.head_dropout)
        network = CodingNetwork(backbone, head, autocast, config.state_pooling, prior)
    else:
        network = CodingNetwork(
            backbone, PooledHead(width, labels, config.pooling_mode), autocast, prior=prior
        )
    for part in (network.head, network.prior):
        if part is not None:
            part.to(device)
    return network


def use_gradient_checkpointing(network: CodingNetwork) -> None:
    """Compute activations twice rather than keep them."""
    backbone: Any = network.backbone
    # a later transformers 5 gave the method another name; the old one warns.
    enable = (
        getattr(backbone, "activation_checkpointing_enable", None)
        or backbone.gradient_checkpointing_enable
    )
    enable({"use_reentrant": False})
