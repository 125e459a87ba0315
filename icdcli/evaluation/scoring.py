"""Run a coder's network over documents: scores in document order, whatever order they are computed in.

Shapes: N documents, L labels, B documents of a batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from icdcli.data.batches import collate, multi_hot
from icdcli.data.tokens import EncodedDocuments
from icdcli.model.coder import CoderNetwork


@dataclass
class Scores:
    """What scoring fills in.

    Attributes:
        scores_NL: Each code's probability, float32.
        losses_N: Each document's loss, the mean over the labels.
    """

    scores_NL: NDArray[np.float32]
    losses_N: NDArray[np.float64]

    @classmethod
    def empty(cls, documents: int, labels: int) -> "Scores":
        """Room for so many documents."""
        return cls(np.zeros((documents, labels), np.float32), np.zeros(documents, np.float64))


def document_losses(logits_BL: torch.Tensor, targets_BL: torch.Tensor, pos_weight: float) -> torch.Tensor:
    """Binary cross-entropy of each document: the mean over the labels, positives counted ``pos_weight`` times."""
    weight = torch.tensor(pos_weight, device=logits_BL.device)
    losses_BL = functional.binary_cross_entropy_with_logits(logits_BL, targets_BL, pos_weight=weight, reduction="none")
    return losses_BL.mean(dim=1)


def score_documents(
    network: CoderNetwork,
    documents: EncodedDocuments,
    into: Scores,
    pos_weight: float = 1.0,
    batch_tokens: int = 16_384,
    share: tuple[int, int] = (0, 1),
) -> Iterator[int]:
    """Score documents, longest first, in batches of at most so many tokens.

    Args:
        network: The coder's network; left in the mode it was found in.
        documents: What to score.
        into: Where rows are filled in, by document position.
        pos_weight: As in training, for the losses.
        batch_tokens: Bound of a batch, padding included; a longer document has a batch to itself.
        share: (rank, ranks): this process scores every ranks-th batch.

    Yields:
        Documents scored so far, over all ranks as if they went in step.
    """
    device = network.output.weight.device
    labels = into.scores_NL.shape[1]
    training = network.training
    network.eval()
    rank, ranks = share
    done = 0
    try:
        for number, rows in enumerate(_by_length(documents.lengths, batch_tokens)):
            done += len(rows)
            if number % ranks != rank:
                continue
            batch = collate([documents[row] for row in rows], documents.frame.pad)
            targets_BL = torch.from_numpy(multi_hot([documents.targets[row] for row in rows], labels)).to(device)
            with torch.inference_mode():
                logits_BL = network(torch.from_numpy(batch.ids_BT).to(device), torch.from_numpy(batch.mask_BT).to(device))
                into.scores_NL[rows] = torch.sigmoid(logits_BL).cpu().numpy()
                into.losses_N[rows] = document_losses(logits_BL, targets_BL, pos_weight).double().cpu().numpy()
            yield done
    finally:
        network.train(training)


def _by_length(lengths: NDArray[np.int64], batch_tokens: int) -> Iterator[list[int]]:
    """Positions in batches; the longest first, so that what doesn't fit the memory shows at once."""
    batch: list[int] = []
    longest = 0
    for row in np.argsort(-lengths, kind="stable").tolist():
        longest = longest or int(lengths[row])
        if batch and longest * (len(batch) + 1) > batch_tokens:
            yield batch
            batch, longest = [], int(lengths[row])
        batch.append(row)
    if batch:
        yield batch
