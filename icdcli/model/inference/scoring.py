"""Score documents with a network: logits in document order, whatever the order of computation.

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
"""The default number of tokens per forward pass."""

IN_MEMORY = 256 * 2**20
"""The most bytes of scores in memory; more are in a file that the system pages in and out."""


@dataclass
class Scored:
    """The results of scoring, filled in batch by batch.

    Attributes:
        logits_NL: The logit of each code, float32.
        losses_N: The loss of each document, the mean over the labels.
    """

    logits_NL: NDArray[np.float32]
    losses_N: NDArray[np.float64]

    @classmethod
    def empty(cls, documents: int, labels: int) -> "Scored":
        """Return space for the results, in memory or in a temporary file."""
        size = documents * labels * 4
        # A mapped file that fills its disk would kill the process: use memory if space is short.
        if size <= IN_MEMORY or shutil.disk_usage(tempfile.gettempdir()).free < 2 * size:
            logits_NL = np.zeros((documents, labels), np.float32)
        else:
            with tempfile.TemporaryFile(prefix="icdcode-") as file:
                logits_NL = np.memmap(file, np.float32, "w+", shape=(documents, labels))
        return cls(logits_NL, np.zeros(documents, np.float64))


def document_losses(
    logits_BL: torch.Tensor, targets_BL: torch.Tensor, pos_weight: float
) -> torch.Tensor:
    """Return the binary cross-entropy of each document, the mean over the labels.

    Args:
        logits_BL: The logits.
        targets_BL: The targets, 0 or 1.
        pos_weight: The weight of a positive target; a negative one has 1.
    """
    # Filling a tensor doesn't wait for the device; copying a number to it would.
    weight = torch.full((), pos_weight, device=logits_BL.device)
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
    shard: tuple[int, int] = (0, 1),
) -> Iterator[int]:
    """Score documents, longest first, in batches of up to `batch_tokens` tokens.

    Args:
        network: The network; its mode is restored.
        documents: The documents.
        into: Receives the results, by document position.
        pos_weight: The weight of positive targets in the losses, as in training.
        batch_tokens: The most tokens per batch, padding included; a longer document is a batch of
            its own.
        shard: (rank, ranks): this process scores every ranks-th batch. The batches, and so the
            scores, are the same for any number of ranks.

    Yields:
        The number of documents scored so far, assuming that all ranks are equally fast.
    """
    device, labels, training = network.device, into.logits_NL.shape[1], network.training
    rank, ranks = shard
    plan = micro_batches(
        np.arange(len(documents)), documents.lengths, batch_tokens, network.padding
    )
    done = np.cumsum([len(rows) for rows in plan])[rank::ranks]
    read = partial(read_batch, documents, labels=labels, padding=network.padding, device=device)
    network.eval()
    try:
        for rows, so_far, (batch, targets_BL) in zip(
            plan[rank::ranks], done, one_ahead(read, plan[rank::ranks]), strict=True
        ):
            with torch.inference_mode():
                logits_BL = network(batch.to(device))
                losses_B = document_losses(
                    logits_BL, targets_BL.to(device, non_blocking=True), pos_weight
                )
                into.logits_NL[rows] = logits_BL.cpu().numpy()
                into.losses_N[rows] = losses_B.double().cpu().numpy()
            yield int(so_far)
    finally:
        network.train(training)
