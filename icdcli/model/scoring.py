"""Run a coder's network over documents: logits in document order, whatever order they are computed in.

Shapes: N documents, L labels, B documents of a batch.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from icdcli.data.batching import micro_batches
from icdcli.data.token_cache import EncodedDocuments
from icdcli.io.prefetch import one_ahead
from icdcli.model.batch import read_batch
from icdcli.model.network import CodingNetwork

BATCH_TOKENS = 16_384
"""Tokens of a forward pass where nobody says otherwise."""

IN_MEMORY = 256 * 2**20
"""Bytes of scores that are held in memory; more lie in a file that the system pages in and out."""


@dataclass
class Scored:
    """What scoring fills in.

    Attributes:
        logits_NL: Each code's logit, float32.
        losses_N: Each document's loss, the mean over the labels.
    """

    logits_NL: NDArray[np.float32]
    losses_N: NDArray[np.float64]

    @classmethod
    def empty(cls, documents: int, labels: int) -> "Scored":
        """Room for so many documents: in memory, or in a temporary file that goes when the scores do."""
        size = documents * labels * 4
        # A file that outgrows its disk would end the process, and so must not be begun.
        if size <= IN_MEMORY or shutil.disk_usage(tempfile.gettempdir()).free < 2 * size:
            logits_NL = np.zeros((documents, labels), np.float32)
        else:
            with tempfile.TemporaryFile(prefix="icdcode-") as file:
                logits_NL = np.memmap(file, np.float32, "w+", shape=(documents, labels))
        return cls(logits_NL, np.zeros(documents, np.float64))


def document_losses(
    logits_BL: torch.Tensor, targets_BL: torch.Tensor, pos_weight: float
) -> torch.Tensor:
    """Binary cross-entropy of each document: the mean over the labels, positives counted ``pos_weight`` times."""
    weight = torch.full(
        (), pos_weight, device=logits_BL.device
    )  # a fill: a copy of a number would wait for the device
    losses_BL = functional.binary_cross_entropy_with_logits(
        logits_BL, targets_BL, pos_weight=weight, reduction="none"
    )
    return losses_BL.mean(dim=1)


def score_documents(
    network: CodingNetwork,
    documents: EncodedDocuments,
    into: Scored,
    pos_weight: float = 1.0,
    batch_tokens: int = BATCH_TOKENS,
    share: tuple[int, int] = (0, 1),
) -> Iterator[int]:
    """Score documents, longest first, in batches of at most so many tokens; they lie as the network reads them.

    Args:
        network: The coder's network; left in the mode it was found in.
        documents: What to score.
        into: Where rows are filled in, by document position.
        pos_weight: As in training, for the losses.
        batch_tokens: Bound of a batch, padding included; a longer document has a batch to itself.
        share: (rank, ranks): this process scores every ranks-th batch. The batches are the same whatever the share, and so
            are the scores.

    Yields:
        Documents scored so far, over all ranks as if they went in step.
    """
    device, labels, training = network.device, into.logits_NL.shape[1], network.training
    rank, ranks = share
    plan = micro_batches(
        np.arange(len(documents)), documents.lengths, batch_tokens, network.padding
    )
    done = np.cumsum([len(rows) for rows in plan])[rank::ranks]
    read = partial(read_batch, documents, labels=labels, padding=network.padding, device=device)
    network.eval()
    try:
        for rows, so_far, (inputs, targets_BL) in zip(
            plan[rank::ranks], done, one_ahead(read, plan[rank::ranks]), strict=True
        ):
            with torch.inference_mode():
                logits_BL = network(inputs.to(device))
                losses_B = document_losses(
                    logits_BL, targets_BL.to(device, non_blocking=True), pos_weight
                )
                into.logits_NL[rows] = logits_BL.cpu().numpy()
                into.losses_N[rows] = losses_B.double().cpu().numpy()
            yield int(so_far)
    finally:
        network.train(training)
