"""Loss, tokens and time between two logged steps."""

import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from icdcli.errors import ConfigError
from icdcli.training.state import Training


class DivergedError(ConfigError):
    """A step whose loss, gradient or outcome is no finite number: what comes after it is worth nothing.

    Args:
        what: What is not finite.
        step: The first such step.
        documents: The ids of its documents.
    """

    def __init__(self, what: str, step: int, documents: Sequence[str]) -> None:
        super().__init__(
            f"step {step}: {what} is not a finite number; the step's documents are {', '.join(documents)}. "
            "A lower lr0, or bit: 32, may do better"
        )


def require_finite_weights(training: Training) -> None:
    """See that what is about to be saved is worth it: a step can be the first that goes wrong though its loss did not.

    Raises:
        Diverged: When a trained weight is not finite.
    """
    weights: Iterable[torch.Tensor] = training.model.network.trainable().values()
    if training.shards is not None:
        weights = map(training.shards.whole, weights)
    finite = [weight.isfinite().all() for weight in weights]
    if not torch.stack(finite).all():
        raise DivergedError(
            "a weight", training.state.step, training.documents_of(training.state.step)
        )


class Meter:
    """Loss, tokens and time since the last logged step; the device is waited for only when they are read.

    Attributes:
        pending: The sum of its documents' losses, of each step since the last flush.
        norms: The length of the gradient before it was cut, of the same steps.
        notes: What other processes have to tell, for the next event.
    """

    def __init__(self, training: Training) -> None:
        self.training = training
        self.started = self.step_began = time.monotonic()
        self.in_steps = 0.0  # seconds since the last logged step, without validation, saving and whoever watches
        self.seconds_before = training.state.seconds
        self.tokens = 0
        self.pending: list[torch.Tensor] = []
        self.norms: list[torch.Tensor] = []
        self.documents = 0
        self.notes: list[str] = []
        self._tokens_before = training.micro_batch_tokens

    def flush(self) -> None:
        """Bring the progress up to date; to be called before every save, which keeps it and must keep nothing worthless.

        Raises:
            Diverged: When a loss or a gradient since the last flush is not finite.
        """
        state = self.training.state
        state.seconds = self.seconds_before + time.monotonic() - self.started
        if not self.pending:
            return
        losses = self._sums_of_all(np.array(torch.stack(self.pending).tolist()))
        self._require_finite(losses)
        # One after the other: the sum is the same however often it was read in between, as it is before an interruption.
        for loss in losses.tolist():
            state.epoch_loss += loss
            state.window_loss += loss
        state.epoch_documents += self.documents
        state.window_documents += self.documents
        self.pending, self.norms, self.documents = [], [], 0

    def read_window(self) -> tuple[float, float]:
        """Mean loss and tokens a second since this was last read."""
        self.flush()
        state, now = self.training.state, time.monotonic()
        loss = state.window_loss / state.window_documents
        speed = self.tokens / max(self.in_steps + now - self.step_began, 1e-9)
        self.step_began, self.in_steps, self.tokens = now, 0.0, 0
        state.window_loss, state.window_documents = 0.0, 0
        return loss, speed

    def _sums_of_all(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        """The losses of all processes; in the same transfer, each tells how large its micro-batches are."""
        training, process_group = self.training, self.training.process_group
        told = np.zeros((process_group.size, 2))
        told[process_group.rank] = self._tokens_before, training.micro_batch_tokens
        numbers = np.concatenate([losses, told.ravel()])
        process_group.sum_array(numbers)
        told = numbers[len(losses) :].reshape(told.shape).astype(int)
        known = training.state.micro_batch_tokens or told[:, 0].tolist()
        now = told[:, 1].tolist()
        self.notes += [
            f"process {rank} ran out of memory; going on there with micro_batch_tokens: {tokens} in place of {before}"
            for rank, (before, tokens) in enumerate(zip(known, now, strict=True))
            if tokens < before and rank != process_group.rank  # which has told itself
        ]
        training.state.micro_batch_tokens = now
        return numbers[: len(losses)]

    def _require_finite(self, losses: NDArray[np.float64]) -> None:
        norms = np.array(torch.stack(self.norms).tolist() if self.norms else np.zeros_like(losses))
        bad = np.flatnonzero(~np.isfinite(losses) | ~np.isfinite(norms))
        if len(bad):
            what = "the gradient" if np.isfinite(losses[bad[0]]) else "the training loss"
            step = self.training.state.step - len(losses) + 1 + int(bad[0])
            raise DivergedError(what, step, self.training.documents_of(step))
