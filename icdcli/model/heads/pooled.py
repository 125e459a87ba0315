"""Heads that pool a document's hidden states into one vector, and the pooling functions.

Documents are packed, one after another, however the backbone reads them.

Shapes: B documents, T tokens, G groups of tokens, D width.

Sources: ``mean``, ``weighted_mean`` (position-weighted, Muennighoff 2022, SGPT) and ``eos_token``
as LLM2Vec (BehnamGhader et al. 2024) defines them; ``bos_token`` is BERT's first token (Devlin et
al. 2019).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from icdcli.model.batch import Segments
from icdcli.model.heads.names import POOLING
from icdcli.model.heads.registry import Head, register_head
from icdcli.model.section import ModelConfig


class PooledHead(Head):
    """A linear layer over one vector per document, as in the original tool."""

    def __init__(self, width: int, labels: int, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.output = nn.Linear(width, labels)

    @property
    def bias_L(self) -> nn.Parameter:  # type: ignore[override]  # read-only here
        """Return the bias of each logit."""
        return self.output.bias

    def label_weights(self) -> list[nn.Parameter]:
        """Return the weights with a row for each label."""
        return list(self.output.parameters())

    def forward(
        self, hidden_TD: Tensor, documents: Segments, labels: Tensor | None = None
    ) -> Tensor:
        """Return logits_BL (float32) of all labels, or of some.

        Args:
            hidden_TD: Hidden states of any floating dtype.
            documents: The borders of the documents.
            labels: The labels; None: all.
        """
        logits_BL: Tensor = self.output(pool(hidden_TD, documents, self.mode))
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


def _first(hidden_TD: Tensor, documents: Segments) -> Tensor:
    return hidden_TD[documents.starts.long()[:-1]].float()


def _last(hidden_TD: Tensor, documents: Segments) -> Tensor:
    return hidden_TD[documents.starts.long()[1:] - 1].float()


def _mean(hidden_TD: Tensor, documents: Segments) -> Tensor:
    documents_T, lengths_B = documents.documents_T(), documents.starts.long().diff().float()
    return _weighted_sum(hidden_TD, documents, documents_T, (1 / lengths_B)[documents_T])


def _weighted_mean(hidden_TD: Tensor, documents: Segments) -> Tensor:
    documents_T, lengths_B = documents.documents_T(), documents.starts.long().diff().float()
    scale_B = 2 / (lengths_B * (lengths_B + 1))
    weights_T = (documents.positions_T() + 1) * scale_B[documents_T]
    return _weighted_sum(hidden_TD, documents, documents_T, weights_T)


def _weighted_sum(
    hidden_TD: Tensor, documents: Segments, documents_T: Tensor, weights_T: Tensor
) -> Tensor:
    pooled_BD = torch.zeros(len(documents.lengths), hidden_TD.shape[1], device=hidden_TD.device)
    return pooled_BD.index_add(0, documents_T, hidden_TD.float() * weights_T[:, None])


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
