"""Score documents with a network: logits in document order, whatever the order of computation.

A network scores windows; a document that is read in several has the highest logit of each code
(`pool_windows`).

Shapes: N documents, W windows of them, L labels, B documents of a batch, M descriptions of labels.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from icdcli.data.batching import Ids, multi_hot
from icdcli.data.encoded_documents import EncodedDocuments
from icdcli.model.batch import Batch, read_batch
from icdcli.model.inference.passes import forward_passes, pass_plan, tokens_per_pass
from icdcli.model.inference.room import zeros
from icdcli.model.inference.scored import Scored, highest_logits, pooled_blocks
from icdcli.model.network import CodingNetwork


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
    batch_tokens: int | None = None,
    shard: tuple[int, int] = (0, 1),
    halve: bool = True,
    alone: bool = False,
) -> Iterator[int]:
    """Score the windows of documents, longest first, in batches of up to `batch_tokens` tokens.

    If the device runs out of memory, a batch is read in several forward passes.

    Args:
        network: The network; its mode is restored.
        documents: The documents.
        into: Receives the results, by the position of the window.
        pos_weight: The weight of positive targets in the losses, as in training.
        batch_tokens: The most tokens per batch, padding included; a longer window is a batch of
            its own; None: `tokens_per_pass`.
        shard: (rank, ranks): this process scores every ranks-th batch. The batches, and so the
            scores, are the same for any number of ranks.
        halve: Whether a batch may be read in several forward passes; see `forward_passes`.
        alone: Whether a batch has the windows of one document only, so that its scores are the
            same to the last bit whatever other documents there are.

    Yields:
        The number of windows scored so far, after each batch, assuming that all ranks are equally
        fast.

    Raises:
        ConfigError: If a single window doesn't fit in memory.
    """
    device, labels, training = network.device, into.logits_NL.shape[1], network.training
    rank, ranks = shard
    tokens = tokens_per_pass(network) if batch_tokens is None else batch_tokens
    plan = pass_plan(documents, tokens, network.padding, alone)
    done = np.cumsum([len(rows) for rows in plan])[rank::ranks]
    read = partial(read_batch, documents, labels=labels, padding=network.padding, device=device)
    results = _Results(into)

    @torch.inference_mode(halve)
    @torch.no_grad()
    def compute(rows: Ids, inputs: tuple[Batch, torch.Tensor]) -> None:
        # Sharded weights that are gathered in inference mode for the first time can't be gathered
        # in training. A run that is resumed at a validation begins with one.
        batch, targets_BL = inputs
        batch = batch.to(device)
        if into.cosine_NM is not None:
            batch, cosine_BM = network.read(batch)
            into.cosine_NM[rows] = cosine_BM
        logits_BL = network(batch, with_principal=into.principal_NL is not None)
        losses_B = document_losses(
            logits_BL[:, :labels], targets_BL.to(device, non_blocking=True), pos_weight
        )
        results.add(rows, logits_BL, losses_B.double())

    network.eval()
    try:
        passes = forward_passes(network, documents, plan[rank::ranks], read, compute, halve)
        for so_far, _ in zip(done, passes, strict=True):
            yield int(so_far)
        results.store()
    finally:
        network.train(training)


class _Results:
    """Stores the results of each pass when the next one is under way.

    A GPU then never waits for this process to store them and to launch the next pass.
    """

    def __init__(self, into: Scored) -> None:
        self._into = into
        self._coming: tuple[Ids, Callable[[], list[NDArray[Any]]]] | None = None

    def add(self, rows: Ids, logits_BL: torch.Tensor, losses_B: torch.Tensor) -> None:
        """Start copying a pass's results, and store those of the pass before."""
        coming = rows, _copy(logits_BL, losses_B)
        self.store()
        self._coming = coming

    def store(self) -> None:
        """Store the results that are still to come."""
        if self._coming is not None:
            rows, wait = self._coming
            logits_BL, self._into.losses_N[rows] = wait()
            labels = self._into.logits_NL.shape[1]
            self._into.logits_NL[rows] = logits_BL[:, :labels]
            if self._into.principal_NL is not None:
                self._into.principal_NL[rows] = logits_BL[:, labels:]
            self._coming = None


def _copy(*tensors: torch.Tensor) -> Callable[[], list[NDArray[Any]]]:
    """Start copying tensors to main memory; the returned function waits until they are there."""
    on_gpu, copied = tensors[0].is_cuda, None
    copies = [tensor.to("cpu", non_blocking=on_gpu) for tensor in tensors]
    if on_gpu:
        copied = torch.cuda.Event(blocking=True)  # lets the thread that reads documents work
        copied.record(torch.cuda.current_stream(tensors[0].device))

    def wait() -> list[NDArray[Any]]:
        if copied is not None:
            copied.synchronize()
        return [copy.numpy() for copy in copies]

    return wait


def pool_windows(scored: Scored, documents: EncodedDocuments, pos_weight: float = 1.0) -> Scored:
    """Return the results of documents from those of all their windows.

    Args:
        scored: The results of the windows; returned as they are if each document has one.
        documents: The documents.
        pos_weight: The weight of positive targets in the losses.
    """
    windows = documents.windows
    if windows is None:
        return scored
    labels = scored.logits_NL.shape[1]
    pooled = Scored.empty(len(documents.rows), labels)
    for rows, logits_BL in pooled_blocks(scored.logits_NL, windows):
        targets_BL = multi_hot(documents.targets[rows], labels)
        losses_B = document_losses(
            torch.from_numpy(logits_BL), torch.from_numpy(targets_BL), pos_weight
        )
        pooled.logits_NL[rows], pooled.losses_N[rows] = logits_BL, losses_B.double().numpy()
    if scored.principal_NL is not None:
        pooled.principal_NL = highest_logits(scored.principal_NL, windows)
    return pooled


def logits_without_prior(
    logits_WL: NDArray[np.float32], documents: EncodedDocuments, weight: np.float32 | None
) -> NDArray[np.float32] | None:
    """Return logits_NL without the description prior; None if documents have one window each.

    Args:
        logits_WL: The logits of all windows.
        documents: The documents, with the similarities of the descriptions.
        weight: The weight of the similarities in the logits; None: there is no prior.
    """
    similarities, windows = documents.similarities, documents.windows
    if windows is None or similarities is None or weight is None:
        return None
    without_WL = zeros(len(logits_WL), logits_WL.shape[1], np.float32)
    for row in range(len(without_WL)):
        added_L = weight * similarities[np.array([row])][0]
        without_WL[row] = logits_WL[row]
        without_WL[row, : len(added_L)] -= added_L
    return highest_logits(without_WL, windows)
