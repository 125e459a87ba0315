"""Attribute the logit of a code to the tokens of a document.

The gradient of the logit with respect to a token's embedding, times the embedding, estimates how
the logit changes with the token (input × gradient). For a head with attention, it is multiplied by
the code's attention to the token: AttInGrad (Edin et al. 2024, "An Unsupervised Approach to Achieve
Supervised-Level Explainability in Healthcare Records"), with the attention a_t to and the embedding
x_t of token t

    a_t · ‖x_t ⊙ ∂logit/∂x_t‖₂

Gradients are computed with respect to the embeddings only, whatever is trained. The backbone reads
a document of up to 4,096 tokens once. Of a longer one, it reads a few chunks at a time, twice: the
first pass computes the hidden states of the whole document, whose gradients the head returns; the
second pass takes these gradients back to the embeddings. So the activations of a few chunks are in
memory at a time.

Shapes: K labels, T tokens of a document, C tokens of some chunks, S groups of tokens, D width, A
assertion classes.
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
from icdcli.model.batch import Batch, Segments, class_shares
from icdcli.model.inference.passes import (
    REMEDY,
    does_not_fit,
    is_out_of_memory,
    release_memory,
)
from icdcli.model.network import CodingNetwork

_TOKENS_AT_ONCE = 4_096
_NUMBERS_AT_ONCE = 1 << 26
"""The most gradients of hidden states in memory (256 MB); further codes are computed afterwards."""

_NEGLIGIBLE = 1e-3
"""The relative length of a code's gradient in a chunk below which the chunk is skipped."""


@dataclass(frozen=True)
class Attribution:
    """The contributions of a document's tokens to the logits of some codes.

    Attributes:
        added_K: The contribution of the document: each code's logit minus the code's bias.
        products_KT: Input × gradient of each of the document's own tokens, summed over the width:
            the token's share of the logit, if the network is linear.
        norms_KT: The same as a length, ‖input ⊙ gradient‖₂.
        attention_KT: The attention of each code; None: codes don't attend. Neighbors that the head
            reads as one share its attention equally.
        states_TD: The backbone's hidden states of all tokens, special tokens included.
    """

    added_K: NDArray[np.float32]
    products_KT: NDArray[np.float32]
    norms_KT: NDArray[np.float32]
    attention_KT: NDArray[np.float32] | None
    states_TD: Tensor

    @property
    def weights_KT(self) -> NDArray[np.float32]:
        """Return each token's weight: AttInGrad, or input × gradient without attention."""
        return self.norms_KT if self.attention_KT is None else self.norms_KT * self.attention_KT


def attribute(
    network: CodingNetwork,
    document: TokenizedDocument,
    special_tokens: SpecialTokens,
    labels: Sequence[int],
) -> Attribution:
    """Compute the contributions of a document's tokens to the logits of some codes.

    The contribution of a description prior is excluded: it depends on the untrained backbone, and
    its position in the document is known (`icdcli.explain.note_reader`).

    Args:
        network: The network; its mode is restored.
        document: The document as the network reads it.
        special_tokens: The special tokens around its tokens.
        labels: The codes.

    Raises:
        ConfigError: If a chunk of the document doesn't fit in memory.
    """
    training = network.training
    network.eval()
    try:
        parts = _parts(network, document, special_tokens, labels)
    finally:
        network.train(training)
    own = slice(len(special_tokens.prefix), len(document) - len(special_tokens.suffix))
    attention = [part.attention_KT[:, own] for part in parts if part.attention_KT is not None]
    return Attribution(
        np.concatenate([part.added_K for part in parts]),
        np.concatenate([part.products_KT[:, own] for part in parts]),
        np.concatenate([part.norms_KT[:, own] for part in parts]),
        np.concatenate(attention) if attention else None,
        parts[0].states_TD,
    )


def _parts(
    network: CodingNetwork,
    document: TokenizedDocument,
    special_tokens: SpecialTokens,
    labels: Sequence[int],
) -> list[Attribution]:
    """Compute the contributions, of fewer tokens or codes at a time if memory runs out."""
    limit = network.pass_limit
    while True:
        tokens, at_once = limit.evidence_tokens or _TOKENS_AT_ONCE, 0
        chunks = list(_passes(document, tokens, one_by_one=network.without_padding))
        try:
            passes = [_Pass(network, document, special_tokens, *part) for part in chunks]
            if len(passes) == 1:
                passes[0].keep_graph()
            with torch.no_grad():
                hidden_TD = torch.cat(
                    [hidden_CD[each.kept_C] for each in passes for hidden_CD, _ in [each.read()]]
                )
            shares_TA = class_shares([document])
            if shares_TA is not None:
                shares_TA = shares_TA.to(network.device)
            most = limit.evidence_codes or len(labels)
            at_once = max(1, min(_NUMBERS_AT_ONCE // hidden_TD.numel(), most))
            groups = [labels[start : start + at_once] for start in range(0, len(labels), at_once)]
            return [
                _attribute(
                    network,
                    hidden_TD,
                    shares_TA,
                    passes,
                    torch.tensor(group, device=network.device),
                )
                for group in groups
            ]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        passes, hidden_TD = [], torch.empty(0)
        release_memory(network.device)
        if at_once > 1:
            limit.evidence_codes = at_once // 2
        elif any(end - first > 1 for first, end in chunks):
            limit.evidence_tokens = tokens // 2
        else:
            raise does_not_fit(network, max(len(ids) for ids in document.chunks), REMEDY)
        network.on_warning(
            f"{network.device} ran out of memory; evidence is computed for fewer tokens or codes "
            "at a time"
        )


def _attribute(
    network: CodingNetwork,
    hidden_TD: Tensor,
    shares_TA: Tensor | None,
    passes: "Sequence[_Pass]",
    labels_K: Tensor,
) -> Attribution:
    """Compute the contributions of all tokens, special tokens included."""
    added_K, gradients_KTD, attention_KT = _by_hidden_states(
        network, hidden_TD, shares_TA, labels_K
    )
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
            inputs_KTD[code].index_add_(0, each.positions_C, product_CD[each.own_C])
    products_KT, norms_KT = (
        inputs_KTD.sum(dim=2).cpu().numpy(),
        inputs_KTD.norm(dim=2).cpu().numpy(),
    )
    return Attribution(
        added_K.cpu().numpy(),
        products_KT,
        norms_KT,
        None if attention_KT is None else attention_KT.cpu().numpy(),
        hidden_TD.detach(),
    )


def _by_hidden_states(
    network: CodingNetwork, hidden_TD: Tensor, shares_TA: Tensor | None, labels_K: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the logits minus the biases, their gradients, and the attention, all float32."""
    head = network.head
    borders = Segments.of([len(hidden_TD)])
    borders = Segments(borders.lengths, borders.starts.to(hidden_TD.device))
    with torch.enable_grad():
        hidden_TD = hidden_TD.detach().float().requires_grad_()
        hidden_SD, documents, shares_SA = network.averaged(hidden_TD, borders, shares_TA)
        logits_K = network.head_logits(hidden_SD, documents, labels_K, shares_SA)[0]
        rows = [torch.autograd.grad(logit, hidden_TD, retain_graph=True)[0] for logit in logits_K]
    added_K = (logits_K - head.bias_L[labels_K]).detach()
    with torch.no_grad():
        weights_KS = network.attention_weights(hidden_SD, labels_K, shares_SA)
    if weights_KS is None:
        return added_K, torch.stack(rows), None
    group_T = torch.arange(len(hidden_TD), device=hidden_TD.device) // network.state_pooling
    return added_K, torch.stack(rows), (weights_KS / group_T.bincount())[:, group_T]


class _Pass:
    """A few neighboring chunks of a document that are read together.

    Attributes:
        kept_C: The hidden states of the chunks that belong to the document's.
        rows: The positions of these hidden states in the document.
        own_C: The tokens of the chunks that are the document's own.
        positions_C: The positions of these tokens in the document.
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
        self._graph: tuple[Tensor, Tensor] | None = None
        chunks, kept = document.chunks[first:end], document.kept[first:end]
        parts = [TokenizedDocument.whole(ids) for ids in chunks]
        self._inputs = Batch.of(collate(parts, special_tokens.pad, network.padding)).to(
            network.device
        )
        starts = np.cumsum([0, *map(len, chunks[:-1])]).tolist()
        before = sum(stop - start for start, stop in document.kept[:first])
        starts_before = before + np.cumsum([0, *(stop - start for start, stop in kept)])
        self.rows = slice(before, int(starts_before[-1]))
        own = [
            np.arange(len(special_tokens.prefix), len(ids) - len(special_tokens.suffix))
            for ids in chunks
        ]
        self.kept_C = self._tensor(
            [start + np.arange(*part) for start, part in zip(starts, kept, strict=True)]
        )
        self.own_C = self._tensor([start + part for start, part in zip(starts, own, strict=True)])
        # A chunk's first kept token follows the kept tokens of the chunks before.
        shifts = [at - part[0] for at, part in zip(starts_before.tolist(), kept, strict=False)]
        self.positions_C = self._tensor(
            [part + shift for part, shift in zip(own, shifts, strict=True)]
        )

    def keep_graph(self) -> None:
        """Read the chunks now; `read` then returns the same each time, with its gradients."""
        with torch.enable_grad():
            self._graph = self.read()

    def read(self) -> tuple[Tensor, Tensor]:
        """Return the chunks' packed hidden states, and the embeddings as in the forward pass."""
        if self._graph is not None:
            return self._graph
        with _embeddings(self._network.backbone) as caught:
            hidden_CD = self._network.hidden_states(self._inputs)
        return hidden_CD, caught[0]

    def real(self, batch: Tensor) -> Tensor:
        """Return the vectors of a forward pass's tokens, packed without padding."""
        flat = batch.flatten(0, 1)
        return flat if self._inputs.kept_T is None else flat[self._inputs.kept_T]

    def _tensor(self, parts: Sequence[Ids]) -> Tensor:
        return torch.from_numpy(np.concatenate(parts)).to(self._network.device)


def _passes(
    document: TokenizedDocument, at_once: int, one_by_one: bool
) -> Iterator[tuple[int, int]]:
    """Yield the first chunk of each pass over a document, and the chunk after its last."""
    first = tokens = 0
    for place, ids in enumerate(document.chunks):
        if place > first and (one_by_one or tokens + len(ids) > at_once):
            yield first, place
            first, tokens = place, 0
        tokens += len(ids)
    yield first, len(document.chunks)


@contextmanager
def _embeddings(backbone: nn.Module) -> Iterator[list[Tensor]]:
    """Record the embeddings of forward passes in a list, so that gradients reach them."""
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
