"""Heads that pool a document's hidden states into one vector, and the pooling functions.

Documents are packed, one after another, however the backbone reads them.

Shapes: B documents, T tokens, G groups of tokens, D width, L labels, A assertion classes, C those
but affirmed.

Sources: ``mean``, ``weighted_mean`` (position-weighted, Muennighoff 2022, SGPT) and ``eos_token``
as LLM2Vec (BehnamGhader et al. 2024) defines them; ``bos_token`` is BERT's first token (Devlin et
al. 2019).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from icdcli.model.batch import Segments
from icdcli.model.heads.assertion_terms import AssertionTerm, known_shares
from icdcli.model.heads.names import POOLING
from icdcli.model.heads.registry import Head, register_head
from icdcli.model.section import ModelConfig


class PooledHead(Head):
    """A linear layer over one vector per document, as in the original tool.

    With assertion classes, the mean of what a class's hidden states add to a code's logit counts a
    second time, by a number per code and class: at -1, the code doesn't see them. For the mean of
    all hidden states this is exact; for the first or the last one, it is an estimate of what they
    have added to it.

    Attributes:
        class_factors: How much a class's hidden states count beyond the others; None: no classes.
    """

    def __init__(self, width: int, labels: int, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.output = nn.Linear(width, labels)
        self.class_factors: AssertionTerm | None = None

    @property
    def bias_L(self) -> nn.Parameter:  # type: ignore[override]  # read-only here
        """Return the bias of each logit."""
        return self.output.bias

    def label_weights(self) -> list[nn.Parameter]:
        """Return the weights with a row for each label."""
        own = [] if self.class_factors is None else [self.class_factors.own_LC]
        return [*self.output.parameters(), *own]

    def learn_classes(self, classes: Sequence[str]) -> None:
        """Add weights for assertion classes; see `Head.learn_classes`."""
        self.classes = tuple(classes)
        zeros = [0.0] * len(self.classes)
        self.class_factors = AssertionTerm(self.output.out_features, zeros, 1.0, 1.0)

    def forward(
        self,
        hidden_TD: Tensor,
        documents: Segments,
        labels: Tensor | None = None,
        shares_TA: Tensor | None = None,
    ) -> Tensor:
        """Return logits_BL (float32) of all labels, or of some.

        Args:
            hidden_TD: Hidden states of any floating dtype.
            documents: The borders of the documents.
            labels: The labels; None: all.
            shares_TA: The share of each assertion class in each hidden state, if the head knows
                classes.
        """
        logits_BL: Tensor = self.output(pool(hidden_TD, documents, self.mode))
        if self.class_factors is not None:
            shares_TC = known_shares(self.classes, shares_TA)
            pooled_BCD = pool_classes(hidden_TD, documents, shares_TC, self.mode)
            classes_BCL = functional.linear(pooled_BCD, self.output.weight)
            logits_BL = logits_BL + torch.einsum("bcl,lc->bl", classes_BCL, self.class_factors())
        return logits_BL if labels is None else logits_BL[:, labels]


@register_head(*POOLING)
def _pooled(width: int, labels: int, config: ModelConfig) -> Head:
    return PooledHead(width, labels, config.pooling_mode)


def pool(hidden_TD: Tensor, documents: Segments, mode: str) -> Tensor:
    """Pool hidden states into document vectors.

    Args:
        hidden_TD: Hidden states of any floating dtype; the sums are computed in float32.
        documents: The borders of the documents; each has at least one token.
        mode: ``mean``, ``weighted_mean``, ``bos_token`` or ``eos_token``.

    Returns:
        pooled_BD, float32.

    Raises:
        ValueError: For another mode.
    """
    if mode not in _POOLING:
        raise ValueError(f"unknown pooling mode {mode!r}")
    return _POOLING[mode](hidden_TD, documents)


def pool_classes(hidden_TD: Tensor, documents: Segments, shares_TC: Tensor, mode: str) -> Tensor:
    """Pool the hidden states of each assertion class into a vector per document.

    Args:
        hidden_TD: Hidden states of any floating dtype; the sums are computed in float32.
        documents: The borders of the documents; each has at least one token.
        shares_TC: The share of each class in each hidden state.
        mode: As for `pool`. ``bos_token`` and ``eos_token`` have the mean: the first and the last
            token are of no class.

    Returns:
        pooled_BCD, float32. The vectors of all classes, affirmed included, would add up to the
        document's for the modes ``mean`` and ``weighted_mean``.
    """
    weights_T = (_increasing if mode == "weighted_mean" else _equal)(documents)
    weighted_TC = shares_TC.float() * weights_T[:, None]
    lengths = list(documents.lengths)
    pairs = zip(weighted_TC.split(lengths), hidden_TD.split(lengths), strict=True)
    return torch.stack([weighted_SC.T @ hidden_SD.float() for weighted_SC, hidden_SD in pairs])


def _first(hidden_TD: Tensor, documents: Segments) -> Tensor:
    return hidden_TD[documents.starts.long()[:-1]].float()


def _last(hidden_TD: Tensor, documents: Segments) -> Tensor:
    return hidden_TD[documents.starts.long()[1:] - 1].float()


def _mean(hidden_TD: Tensor, documents: Segments) -> Tensor:
    return _weighted_sum(hidden_TD, documents, _equal(documents))


def _weighted_mean(hidden_TD: Tensor, documents: Segments) -> Tensor:
    return _weighted_sum(hidden_TD, documents, _increasing(documents))


def _equal(documents: Segments) -> Tensor:
    """Return the weight of each token in its document's mean."""
    lengths_B = documents.starts.long().diff().float()
    return (1 / lengths_B)[documents.documents_T()]


def _increasing(documents: Segments) -> Tensor:
    """Return weights that increase with the position in the document; they add up to 1."""
    lengths_B = documents.starts.long().diff().float()
    scale_B = 2 / (lengths_B * (lengths_B + 1))
    return (documents.positions_T() + 1) * scale_B[documents.documents_T()]


def _weighted_sum(hidden_TD: Tensor, documents: Segments, weights_T: Tensor) -> Tensor:
    pooled_BD = torch.zeros(len(documents.lengths), hidden_TD.shape[1], device=hidden_TD.device)
    return pooled_BD.index_add(0, documents.documents_T(), hidden_TD.float() * weights_T[:, None])


_POOLING: dict[str, Callable[[Tensor, Segments], Tensor]] = {
    "mean": _mean,
    "weighted_mean": _weighted_mean,
    "bos_token": _first,
    "eos_token": _last,
}


def average_neighbors(hidden_TD: Tensor, documents: Segments, size: int) -> tuple[Tensor, Segments]:
    """Average the hidden states of neighboring tokens within each document.

    Args:
        hidden_TD: Hidden states of any floating dtype.
        documents: The borders of the documents.
        size: The number of neighbors per group; the last group of a document may be smaller.

    Returns:
        hidden_GD, float32 if anything was averaged, and the borders of the documents in it.
    """
    if size == 1:
        return hidden_TD, documents
    lengths = [-(-length // size) for length in documents.lengths]
    grouped = Segments.of(lengths)
    grouped = Segments(grouped.lengths, grouped.starts.to(hidden_TD.device, non_blocking=True))
    groups_T = grouped.starts[documents.documents_T()].long() + documents.positions_T() // size
    sums_GD = torch.zeros(sum(lengths), hidden_TD.shape[1], device=hidden_TD.device)
    sums_GD = sums_GD.index_add(0, groups_T, hidden_TD.float())
    counts_G = torch.zeros(sum(lengths), device=hidden_TD.device).index_add(
        0, groups_T, torch.ones(len(groups_T), device=hidden_TD.device)
    )
    return sums_GD / counts_G[:, None], grouped
