"""From one vector a token to one vector a document, or to fewer vectors.

Documents lie end to end, whatever way the backbone read them.

Shapes: B documents, T tokens, G groups of tokens, D width.

Sources: ``mean``, ``weighted_mean`` (position-weighted, Muennighoff 2022, SGPT) and ``eos_token`` as LLM2Vec (BehnamGhader et
al. 2024) defines them; ``bos_token`` is BERT's first token (Devlin et al. 2019).
"""

import torch
from torch import Tensor, nn

from icdcli.model.batch import Segments


class PooledHead(nn.Module):
    """One vector a document, and a linear layer over it: the original tool's way from states to logits."""

    def __init__(self, width: int, labels: int, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.output = nn.Linear(width, labels)

    @property
    def bias_L(self) -> nn.Parameter:
        """What each label's logit starts from."""
        return self.output.bias

    def forward(
        self, hidden_TD: Tensor, documents: Segments, labels: Tensor | None = None
    ) -> Tensor:
        """Compute logits_BL, float32, from token states of any floating dtype; of some labels alone, where they are given."""
        logits_BL: Tensor = self.output(pool(hidden_TD, documents, self.mode))
        return logits_BL if labels is None else logits_BL[:, labels]


def pool(hidden_TD: Tensor, documents: Segments, mode: str) -> Tensor:
    """Pool token states into document vectors.

    Args:
        hidden_TD: Token states of any floating dtype; the sums are taken in float32.
        documents: Where the documents lie; each has at least one token.
        mode: ``mean``, ``weighted_mean``, ``bos_token`` or ``eos_token``.

    Returns:
        pooled_BD, float32.

    Raises:
        ValueError: For another mode.
    """
    starts = documents.starts.long()
    if mode == "bos_token":
        return hidden_TD[starts[:-1]].float()
    if mode == "eos_token":
        return hidden_TD[starts[1:] - 1].float()
    documents_T, lengths_B = documents.documents_T(), starts.diff().float()
    if mode == "mean":
        weights_T = (1 / lengths_B)[documents_T]
    elif mode == "weighted_mean":
        weights_T = (documents.positions_T() + 1) * (2 / (lengths_B * (lengths_B + 1)))[documents_T]
    else:
        raise ValueError(f"unknown pooling mode {mode!r}")
    pooled_BD = torch.zeros(len(documents.lengths), hidden_TD.shape[1], device=hidden_TD.device)
    return pooled_BD.index_add(0, documents_T, hidden_TD.float() * weights_T[:, None])


def average_neighbours(
    hidden_TD: Tensor, documents: Segments, size: int
) -> tuple[Tensor, Segments]:
    """Average the states of neighbouring tokens, within each document.

    Args:
        hidden_TD: Token states of any floating dtype.
        documents: Where the documents lie.
        size: How many neighbours become one; the last group of a document may be smaller.

    Returns:
        hidden_GD, float32 where anything was averaged, and where the documents lie in it.
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
