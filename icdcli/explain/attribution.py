"""How much each token of a document made a network choose a code.

The gradient of the code's logit by the token's embedding, times that embedding, tells how the logit would change with the token
(input × gradient). Where a code attends to tokens, this is weighed by how much it attends to each: AttInGrad (Edin et al. 2024,
"An Unsupervised Approach to Achieve Supervised-Level Explainability in Healthcare Records"), with a_t for the attention and x_t
for the embedding of token t

    a_t · ‖x_t ⊙ ∂logit/∂x_t‖₂

The backbone is asked for gradients by the embeddings alone, whatever of it is trained. It reads a few chunks at a time, twice:
the first reading gives the head the states of the whole document, and the head gives their gradients; the second takes these
back to the embeddings. So no more than a few chunks' activations are ever held.

Shapes: K codes that are asked for, T tokens of a document, C tokens of some chunks, S groups of tokens, D width.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from icdcli.data.batching import Ids, SpecialTokens, TokenizedDocument, collate
from icdcli.model.batch import Batch, Segments
from icdcli.model.heads.pooled import average_neighbors
from icdcli.model.network import CodingNetwork

_TOKENS_AT_ONCE = 4_096
_NUMBERS_AT_ONCE = 1 << 26
"""Gradients of a document's states that are held at once: 256 MB; of more codes, the next are taken after."""

_NEGLIGIBLE = 1e-3
"""Chunks that a code's gradient hardly reaches, by its length, aren't gone through for this code."""


@dataclass(frozen=True)
class Attribution:
    """What the tokens of a document mean for some codes.

    Attributes:
        added_K: What the head finds in the document: each code's logit less the code's bias.
        products_KT: Input × gradient of each of the document's own tokens, summed over the width: its share of the logit, where
            the network is linear.
        norms_KT: The same as a length, ‖input ⊙ gradient‖₂.
        attention_KT: What each code attends to; None where it doesn't attend. Neighbours that the head sees as one share
            what it attends to in them.
    """

    added_K: NDArray[np.float32]
    products_KT: NDArray[np.float32]
    norms_KT: NDArray[np.float32]
    attention_KT: NDArray[np.float32] | None

    @property
    def weights_KT(self) -> NDArray[np.float32]:
        """How much each token made the network choose each code: AttInGrad, or input × gradient where no code attends."""
        return self.norms_KT if self.attention_KT is None else self.norms_KT * self.attention_KT


def attribute(
    network: CodingNetwork,
    document: TokenizedDocument,
    special_tokens: SpecialTokens,
    labels: Sequence[int],
) -> Attribution:
    """Say how much each token of a document made the network choose each of some codes.

    What a description prior adds to the logits is left out: it goes by a backbone that was never trained, and knows by itself
    where it finds a code.

    Args:
        network: Left in the mode it was found in.
        document: The document as the network reads it.
        special_tokens: What stands around its tokens.
        labels: The codes that are asked for.
    """
    training = network.training
    network.eval()
    try:
        passes = [
            _Pass(network, document, special_tokens, first, end) for first, end in _passes(document)
        ]
        with torch.no_grad():
            hidden_TD = torch.cat(
                [hidden_CD[each.kept_C] for each in passes for hidden_CD, _ in [each.read()]]
            )
        at_once = max(1, _NUMBERS_AT_ONCE // hidden_TD.numel())
        groups = [labels[start : start + at_once] for start in range(0, len(labels), at_once)]
        parts = [
            _attribute(network, hidden_TD, passes, torch.tensor(group, device=network.device))
            for group in groups
        ]
    finally:
        network.train(training)
    own = slice(len(special_tokens.prefix), len(document) - len(special_tokens.suffix))
    attention = [part.attention_KT[:, own] for part in parts if part.attention_KT is not None]
    return Attribution(
        np.concatenate([part.added_K for part in parts]),
        np.concatenate([part.products_KT[:, own] for part in parts]),
        np.concatenate([part.norms_KT[:, own] for part in parts]),
        np.concatenate(attention) if attention else None,
    )


def _attribute(
    network: CodingNetwork, hidden_TD: Tensor, passes: "Sequence[_Pass]", labels_K: Tensor
) -> Attribution:
    """The same, special tokens included."""
    added_K, gradients_KTD, attention_KT = _by_states(network, hidden_TD, labels_K)
    inputs_KTD = torch.zeros_like(gradients_KTD)
    least_K = _NEGLIGIBLE * gradients_KTD.flatten(1).norm(dim=1)
    for each in passes:
        with torch.enable_grad():
            hidden_CD, embeddings_CD = each.read()
        back_KCD = gradients_KTD[:, each.rows]
        for code in (back_KCD.flatten(1).norm(dim=1) > least_K).nonzero()[:, 0].tolist():
            upstream_CD = torch.zeros_like(hidden_CD)
            upstream_CD[each.kept_C] = back_KCD[code].to(hidden_CD.dtype)
            (gradient_CD,) = torch.autograd.grad(
                hidden_CD, embeddings_CD, upstream_CD, retain_graph=True
            )
            product_CD = (each.real(gradient_CD) * each.real(embeddings_CD.detach())).float()
            inputs_KTD[code].index_add_(0, each.places_C, product_CD[each.own_C])
    products_KT, norms_KT = (
        inputs_KTD.sum(dim=2).cpu().numpy(),
        inputs_KTD.norm(dim=2).cpu().numpy(),
    )
    return Attribution(
        added_K.cpu().numpy(),
        products_KT,
        norms_KT,
        None if attention_KT is None else attention_KT.cpu().numpy(),
    )


def _by_states(
    network: CodingNetwork, hidden_TD: Tensor, labels_K: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Each code's logit less its bias, the logit's gradient by the states, and what the code attends to; all float32."""
    head = network.head
    whole = Segments.of([len(hidden_TD)])
    whole = Segments(whole.lengths, whole.starts.to(hidden_TD.device))
    with torch.enable_grad():
        hidden_TD = hidden_TD.detach().float().requires_grad_()
        hidden_SD, documents = average_neighbors(hidden_TD, whole, network.state_pooling)
        logits_K: Tensor = head(hidden_SD, documents, labels_K)[0]
        rows = [torch.autograd.grad(logit, hidden_TD, retain_graph=True)[0] for logit in logits_K]
    added_K = (logits_K - head.bias_L[labels_K]).detach()
    with torch.no_grad():
        weights_KS = head.attention_weights(hidden_SD, labels_K)
    if weights_KS is None:
        return added_K, torch.stack(rows), None
    group_T = torch.arange(len(hidden_TD), device=hidden_TD.device) // network.state_pooling
    return added_K, torch.stack(rows), (weights_KS / group_T.bincount())[:, group_T]


class _Pass:
    """A few neighbouring chunks of a document, read together.

    Attributes:
        kept_C: Which of their states are part of the document's.
        rows: Which of the document's states these are.
        own_C: Which of their tokens are the document's own.
        places_C: Where each of those stands in the document.
    """

    def __init__(
        self,
        network: CodingNetwork,
        document: TokenizedDocument,
        special_tokens: SpecialTokens,
        first: int,
        end: int,
    ) -> None:
        self._network = network
        chunks, kept = document.chunks[first:end], document.kept[first:end]
        parts = [TokenizedDocument.whole(ids) for ids in chunks]
        self._inputs = Batch.of(collate(parts, special_tokens.pad, network.padding)).to(
            network.device
        )
        starts = np.cumsum([0, *map(len, chunks[:-1])]).tolist()
        before = sum(stop - start for start, stop in document.kept[:first])
        befores = before + np.cumsum([0, *(stop - start for start, stop in kept)])
        self.rows = slice(before, int(befores[-1]))
        own = [
            np.arange(len(special_tokens.prefix), len(ids) - len(special_tokens.suffix))
            for ids in chunks
        ]
        self.kept_C = self._tensor(
            [start + np.arange(*part) for start, part in zip(starts, kept, strict=True)]
        )
        self.own_C = self._tensor([start + part for start, part in zip(starts, own, strict=True)])
        # A chunk's first kept token stands where those of the chunks before end, its others beside that.
        shifts = [at - part[0] for at, part in zip(befores.tolist(), kept, strict=False)]
        self.places_C = self._tensor(
            [part + shift for part, shift in zip(own, shifts, strict=True)]
        )

    def read(self) -> tuple[Tensor, Tensor]:
        """All chunks' states, end to end, and the embeddings that they were made of, as these lie in the forward pass."""
        with _embeddings(self._network.backbone) as caught:
            hidden_CD = self._network.hidden_states(self._inputs)
        return hidden_CD, caught[0]

    def real(self, batch: Tensor) -> Tensor:
        """Vectors of a forward pass's tokens, end to end and without padding."""
        flat = batch.flatten(0, 1)
        return flat if self._inputs.kept_T is None else flat[self._inputs.kept_T]

    def _tensor(self, parts: Sequence[Ids]) -> Tensor:
        return torch.from_numpy(np.concatenate(parts)).to(self._network.device)


def _passes(document: TokenizedDocument) -> Iterator[tuple[int, int]]:
    """From and up to which chunk a document is read at a time."""
    first = tokens = 0
    for place, ids in enumerate(document.chunks):
        if place > first and tokens + len(ids) > _TOKENS_AT_ONCE:
            yield first, place
            first, tokens = place, 0
        tokens += len(ids)
    yield first, len(document.chunks)


@contextmanager
def _embeddings(backbone: nn.Module) -> Iterator[list[Tensor]]:
    """Let the embeddings of a forward pass be what gradients are taken by; they are caught in a list."""
    caught: list[Tensor] = []

    def catch(module: nn.Module, arguments: Any, output: Tensor) -> Tensor:
        caught.append(output.detach().requires_grad_())
        return caught[-1]

    plain: Any = backbone
    handle = plain.get_input_embeddings().register_forward_hook(catch)
    try:
        yield caught
    finally:
        handle.remove()
