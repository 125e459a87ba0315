"""Forward and backward passes of a training that is set up, and the memory that they need.

They leave no trace: weights, gradients, random numbers, and the network's mode are as before.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from icdcli.data.batching import Ids
from icdcli.data.encoded_documents import EncodedDocuments
from icdcli.model.batch import read_batch
from icdcli.model.inference.passes import is_out_of_memory, release_memory
from icdcli.training.losses import micro_batch_losses
from icdcli.training.memory.plan import MeasuredPass, StepSizes
from icdcli.training.memory.recomputation import Recomputation, recompute
from icdcli.training.state import Training

Work = Callable[[], None]
PeakOf = Callable[[Work], int | None]
"""Does some work; returns the bytes that it needed at the peak, None if memory ran out."""


def peak_on_gpu(device: torch.device) -> PeakOf:
    """Return the function that measures work on a GPU."""

    def measure(work: Work) -> int | None:
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        fits = _fits(work)
        if not fits:
            gc.collect()  # only now are the tensors freed that the error's frames held
            release_memory(device)
            return None
        torch.cuda.synchronize(device)
        peak = torch.cuda.max_memory_allocated(device) - before
        torch.cuda.reset_peak_memory_stats(device)
        return peak

    return measure


def _fits(work: Work) -> bool:
    try:
        work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


class TrainingPasses:
    """Measures the passes of a training on its own documents, cut to the wanted length.

    Args:
        training: The training, set up but not started.
        sizes: The sizes of its steps.
        peak_of: Measures work on its device.
    """

    def __init__(self, training: Training, sizes: StepSizes, peak_of: PeakOf) -> None:
        self._training, self._sizes, self._peak_of = training, sizes, peak_of
        documents = training.train
        if training.backbone_weights:  # hidden states computed once are used by the first stage
            documents = replace(documents, hidden_states=None)
        self._documents = documents
        self._longest_first: Ids = np.argsort(-documents.lengths, kind="stable")

    def __call__(self, tokens: int, recomputation: Recomputation) -> MeasuredPass | None:
        """Measure a pass of about so many tokens: the most of those that it may be made of."""
        training, passes = self._training, []
        recompute(training.model.network, recomputation)
        for count, length in self._sizes.shapes(tokens):
            rows = self._longest_first[:count]
            documents = replace(self._documents, max_len=self._cut(length))
            with _without_trace(training):
                peak = self._peak_of(partial(self._pass, documents, rows))
            if peak is None:
                return None
            passes.append(MeasuredPass(self._tokens(documents, rows), peak))
        return MeasuredPass(max(each.tokens for each in passes), max(each.peak for each in passes))

    def _cut(self, length: int) -> int:
        least = len(self._documents.special_tokens) + 1
        return max(min(length, self._documents.max_len), least)

    def _tokens(self, documents: EncodedDocuments, rows: Ids) -> int:
        lengths = documents.lengths[rows]
        free = self._training.model.network.padding == "free"
        return int(lengths.sum() if free else lengths.max() * len(rows))

    def _pass(self, documents: EncodedDocuments, rows: Ids) -> None:
        training = self._training
        device = training.process_group.device
        batch, targets_BL = read_batch(
            documents, rows, len(training.model.labels), training.model.network.padding, device
        )
        losses_B = micro_batch_losses(training, batch.to(device), targets_BL.to(device))
        losses_B.sum().backward()


@contextmanager
def _without_trace(training: Training) -> Iterator[None]:
    """Restore mode and random numbers after the block, and drop each gradient once it is known."""
    network, device = training.model.network, training.process_group.device
    mode, weights = network.training, list(network.trainable().values())
    hooks = [weight.register_post_accumulate_grad_hook(_drop_gradient) for weight in weights]
    network.train()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        for hook in hooks:
            hook.remove()
        for weight in weights:
            weight.grad = None  # memory may have run out before the hook was called
        network.train(mode)


def _drop_gradient(weight: torch.Tensor) -> None:
    weight.grad = None
