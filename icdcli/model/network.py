"""The network: backbone, head and description prior; from token ids to one logit per code.

Shapes: B documents, C chunks, T tokens, D width, L labels, M descriptions of labels.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from icdcli.data.batching import Padding
from icdcli.model.batch import Batch, Segments
from icdcli.model.fusion import UNKNOWN
from icdcli.model.heads.description_prior import DescriptionPrior
from icdcli.model.heads.pooled import average_neighbors
from icdcli.model.heads.registry import Head, make_head
from icdcli.model.inference.kept_states import KeptStates
from icdcli.model.kernels.layers import FusedLayers, Piece
from icdcli.model.packing.attention import PackedForm
from icdcli.model.packing.rotary import RotaryByDocument
from icdcli.model.precision import autocast_precision, uses_cpu_precision
from icdcli.model.principal.head import PrincipalHead
from icdcli.model.section import ModelConfig


@dataclass
class PassLimit:
    """The size of a network's passes when it is used, as far as memory allowed.

    Attributes:
        tokens: The most tokens of several documents that fit in a forward pass; None: all have fit
            so far.
        evidence_tokens: The most tokens whose evidence is computed at a time; None: as above.
        evidence_codes: The most codes whose evidence is computed at a time; None: as above.
    """

    tokens: int | None = None
    evidence_tokens: int | None = None
    evidence_codes: int | None = None


class CodingNetwork(nn.Module):
    """A backbone, and a head that turns its hidden states into one logit per code.

    The head is float32 whatever the backbone's precision: a full-precision layer doesn't accept
    half-precision input, and half-precision logits lose the small differences that decide a
    ranking.

    Args:
        backbone: Token ids to hidden states.
        head: Hidden states of packed documents to logits.
        autocast: The precision that the backbone computes in; None: that of its weights.
        state_pooling: The number of neighboring hidden states that the head reads as one.
        prior: Adds the similarity of the codes' descriptions to the logits; None: no prior.
        principal: Computes the logits of the principal diagnosis; None: there is no such output.

    Attributes:
        packed: How the backbone reads packed documents; None: it reads padded ones. It is set by
            `icdcli.model.packing.probe.choose_padding`.
        rotary: Gives each document the rotary embeddings that it has alone.
        without_padding: Whether the backbone takes padding for text, so that it must read padded
            documents of one length at a time; also set by `choose_padding`.
        fused: Its fused layers, by kind; `icdcli.model.kernels.choice.choose_kernels` sets them.
        untrained_backbone: Whether its hidden states are those of the backbone before training,
            from which the prior's similarities can be computed, too.
        half_states: Whether the head reads hidden states of an untrained backbone in half precision
            even if they aren't cached, so that scores are the same with and without the cache.
        pass_limit: The size of forward passes, as far as memory allowed.
        kept: Keeps hidden states for other networks that share the backbone; None: nothing is kept.
        unseen: The number of labels at the end that training never sees, and the head doesn't know;
            their logit is `icdcli.model.fusion.UNKNOWN`.
        on_warning: Called with a message if something expected of the network doesn't hold, such as
            that its cache can be used.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        autocast: torch.dtype | None = None,
        state_pooling: int = 1,
        prior: DescriptionPrior | None = None,
        principal: PrincipalHead | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.prior = prior
        self.principal = principal
        self.autocast = autocast
        self.state_pooling = state_pooling
        self.packed: PackedForm | None = None
        self.rotary = RotaryByDocument(backbone)
        self.without_padding = False
        self.fused: dict[Piece, FusedLayers] = {}
        self.untrained_backbone = self.half_states = False
        self.pass_limit: PassLimit = PassLimit()
        self.kept: KeptStates | None = None
        self.unseen = 0
        self.on_warning: Callable[[str], object] = warnings.warn

    @property
    def device(self) -> torch.device:
        """Return the device that the network computes on."""
        return self.head.bias_L.device

    @property
    def padding(self) -> Padding:
        """Return the padding of the documents that the network reads."""
        return "batch" if self.packed is None else "free"

    @property
    def frozen(self) -> bool:
        """Return whether no weight of the backbone is trained."""
        return not any(weight.requires_grad for weight in self.backbone.parameters())

    def train(self, mode: bool = True) -> "CodingNetwork":
        """Set the training mode. A frozen backbone stays in evaluation mode, without dropout."""
        super().train(mode)
        if mode and self.frozen:
            self.backbone.eval()
        return self

    def forward(
        self, batch: Batch, labels: Tensor | None = None, with_principal: bool = False
    ) -> Tensor:
        """Return logits_BL (float32), and beside them principal_BL if requested: (B, 2L).

        Args:
            batch: The documents.
            labels: The labels to compute the logits of, which the head knows; None: all, also those
                that it doesn't know.
            with_principal: Whether to add the logits of the principal diagnosis.

        Raises:
            ValueError: If the documents aren't padded as `padding` says, or if there is a prior
                and the similarities are neither in the batch nor known from the hidden states.
        """
        if batch.hidden_TD is None:
            batch, _ = self.read(batch)
        assert batch.hidden_TD is not None
        similarity_BL = batch.similarity_BL
        logits_BL = self.head_logits(batch.hidden_TD, batch.documents, labels, batch.shares_TA)
        if self.prior is not None:
            if similarity_BL is None:
                raise ValueError(
                    "a network with a description prior needs the similarity of the descriptions "
                    "to the documents"
                )
            logits_BL = logits_BL + self.prior(
                similarity_BL if labels is None else similarity_BL[:, labels]
            )
        outputs = [self._with_unseen(logits_BL, labels)]
        if with_principal and self.principal is not None:
            principal_BL = self.principal(batch.hidden_TD, batch.documents, logits_BL, labels)
            outputs.append(self._with_unseen(principal_BL, labels))
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)

    def _with_unseen(self, logits_BL: Tensor, labels: Tensor | None) -> Tensor:
        """Return the logits with those of the labels that the head doesn't know."""
        if labels is not None or not self.unseen:
            return logits_BL
        return functional.pad(logits_BL, (0, self.unseen), value=UNKNOWN)

    def read(self, batch: Batch) -> tuple[Batch, NDArray[np.float16] | None]:
        """Read documents with the backbone.

        Args:
            batch: The documents, by their token ids.

        Returns:
            The batch with its hidden states as the head reads them, and with the similarities of
            the descriptions if they follow from the states; and cosine_BM of the prior, if the
            similarities weren't known before.
        """
        states_TD, cosine_BM = self.hidden_states(batch), None
        similarity_BL = batch.similarity_BL
        if self.prior is not None and similarity_BL is None and self.untrained_backbone:
            cosine_BM = self.prior.cosines(states_TD, batch.documents)
            adjusted_BL = self.prior.adjusted(cosine_BM)[np.arange(len(cosine_BM))]
            similarity_BL = torch.from_numpy(adjusted_BL).to(states_TD.device)
        hidden_TD, documents, shares_TA = self.averaged(states_TD, batch.documents, batch.shares_TA)
        if self.half_states and self.untrained_backbone:
            hidden_TD = hidden_TD.half()
        found = Batch(
            documents, hidden_TD=hidden_TD, similarity_BL=similarity_BL, shares_TA=shares_TA
        )
        return found, cosine_BM

    def averaged(
        self, hidden_TD: Tensor, documents: Segments, shares_TA: Tensor | None = None
    ) -> tuple[Tensor, Segments, Tensor | None]:
        """Return averages of neighboring hidden states, as the head reads them.

        Args:
            hidden_TD: The hidden states.
            documents: The borders of the documents.
            shares_TA: The share of each assertion class in each hidden state, if it is known.

        Returns:
            The averages, the borders of the documents in them, and the shares in them.
        """
        if shares_TA is not None and self.head.classes:
            shares_TA, _ = average_neighbors(shares_TA, documents, self.state_pooling)
        return *average_neighbors(hidden_TD, documents, self.state_pooling), shares_TA

    def head_logits(
        self,
        hidden_TD: Tensor,
        documents: Segments,
        labels: Tensor | None = None,
        shares_TA: Tensor | None = None,
    ) -> Tensor:
        """Return the head's part of logits_BL.

        Args:
            hidden_TD: The hidden states as the head reads them; see `averaged`.
            documents: The borders of the documents.
            labels: The labels to compute the logits of; None: all.
            shares_TA: The share of each assertion class in each hidden state, if it is known.
        """
        logits_BL: Tensor = (
            self.head(hidden_TD, documents, labels, shares_TA)
            if self.head.classes
            else self.head(hidden_TD, documents, labels)
        )
        return logits_BL

    def attention_weights(
        self, hidden_SD: Tensor, labels_K: Tensor, shares_SA: Tensor | None = None
    ) -> Tensor | None:
        """Return how much each code attends to each state; see `Head.attention_weights`."""
        if self.head.classes:
            return self.head.attention_weights(hidden_SD, labels_K, shares_SA)
        return self.head.attention_weights(hidden_SD, labels_K)

    def hidden_states(self, batch: Batch) -> Tensor:
        """Return the backbone's hidden_TD of the documents' tokens, one document after another."""
        if self.kept is not None and torch.is_inference_mode_enabled():
            return self.kept.of(batch, self._hidden_states)
        return self._hidden_states(batch)

    def _hidden_states(self, batch: Batch) -> Tensor:
        ids, layout = batch.ids, batch.layout
        assert ids is not None
        if isinstance(layout, Segments) and self.packed is not None:
            hidden = self._read(layout, self.packed.arguments(ids, layout))
        elif isinstance(layout, Tensor) and self.packed is None:
            hidden = (self._read_by_length if self.without_padding else self._read_padded)(
                ids, layout
            )
        else:
            raise ValueError(f"this network reads documents with padding: {self.padding}")
        hidden_TD = hidden.flatten(0, 1)
        return hidden_TD if batch.kept_T is None else hidden_TD[batch.kept_T]

    def _read(self, layout: Tensor | Segments, arguments: dict[str, Any]) -> Tensor:
        kind = self.device.type
        with (
            torch.autocast(kind, self.autocast, enabled=self.autocast is not None),
            self.rotary.layout(layout),
        ):
            hidden: Tensor = self.backbone(**arguments).last_hidden_state
        return hidden

    def _read_padded(self, ids_CT: Tensor, mask_CT: Tensor) -> Tensor:
        return self._read(mask_CT, {"input_ids": ids_CT, "attention_mask": mask_CT.long()})

    def _read_by_length(self, ids_CT: Tensor, mask_CT: Tensor) -> Tensor:
        """Return the same as `_read_padded` from a pass per length, which has no padding."""
        lengths: list[int] = mask_CT.sum(dim=1).tolist()
        rows: list[int] = []
        parts = []
        for length in sorted(set(lengths)):
            own = [row for row, other in enumerate(lengths) if other == length]
            hidden = self._read_padded(ids_CT[own, :length], mask_CT[own, :length])
            parts.append(functional.pad(hidden, (0, 0, 0, mask_CT.shape[1] - length)))
            rows += own
        order = torch.tensor(rows, device=ids_CT.device).argsort()
        return torch.cat(parts)[order]

    def start_from_frequencies(
        self, positives: Sequence[int], documents: int, open_ended: bool = False
    ) -> None:
        """Start each code's bias at its prior log-odds: training needn't learn how rare it is.

        Args:
            positives: The number of training documents with each code.
            documents: The number of training documents.
            open_ended: Whether codes without a training document are candidates that training
                doesn't change. All of them together are then as likely as the codes that one
                document has (Good 1953), and each is as likely as any other.
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
        """Return the weights that training changes, by name; no others need an optimizer state."""
        return {name: weight for name, weight in self.named_parameters() if weight.requires_grad}


def build_network(
    config: ModelConfig,
    backbone: nn.Module,
    labels: int,
    descriptions: Sequence[int] | None = None,
    classes: Sequence[str] = (),
    principal: bool = False,
) -> CodingNetwork:
    """Add a head and a prior to a backbone, on the backbone's device.

    Args:
        config: The model section of the configuration.
        backbone: Token ids to hidden states.
        labels: The number of codes.
        descriptions: The number of descriptions of each code, for the prior; None: one each.
        classes: The names of the assertion classes that the head learns about.
        principal: Whether it has an output for the principal diagnosis.
    """
    settings: Any = backbone.config
    width: int = settings.hidden_size
    device = next(backbone.parameters()).device
    autocast = autocast_precision(config, device)
    prior = (
        DescriptionPrior(width, descriptions or [1] * labels) if config.description_prior else None
    )
    head = make_head(width, labels, config)
    head.half_precision = autocast is not None and config.bit != 32
    if classes:
        head.learn_classes(classes)
    state_pooling = config.state_pooling if head.averages_neighbors else 1
    own = PrincipalHead(width, labels) if principal else None
    network = CodingNetwork(backbone, head, autocast, state_pooling, prior, own)
    network.half_states = uses_cpu_precision(config, device)
    if prior is not None and network.half_states:
        prior.precision = torch.bfloat16
    for part in (network.head, network.prior, network.principal):
        if part is not None:
            part.to(device)
    return network
