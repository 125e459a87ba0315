"""Loss, tokens and time between two logged steps, and what happens if a number is not finite."""

import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from icdcli.errors import ConfigError
from icdcli.evaluation.score_split import non_finite_documents
from icdcli.training.state import Training


class DivergedError(ConfigError):
    """A loss, gradient, weight or score that is not a finite number: later steps are useless.

    Args:
        what: What is not finite.
        step: The first such step.
        documents: The ids of its documents.
    """

    def __init__(self, what: str, step: int, documents: Sequence[str]) -> None:
        super().__init__(
            f"step {step}: {what} is not a finite number. The documents of this step are "
            f"{', '.join(documents)}. Try a lower lr0, or bit: 32"
        )


def require_finite_weights(training: Training) -> None:
    """Check the weights before they are saved: they can diverge although the loss is finite.

    Raises:
        DivergedError: If a trained weight is not finite.
    """
    weights: Iterable[torch.Tensor] = training.model.network.trainable().values()
    if training.shards is not None:
        weights = map(training.shards.gathered, weights)
    finite = [weight.isfinite().all() for weight in weights]
    if not torch.stack(finite).all():
        step = training.state.step
        raise DivergedError("a weight", step, training.documents_of(step))


def require_finite_scores(training: Training, logits_NL: NDArray[np.float32]) -> None:
    """Check the scores of the validation split.

    Raises:
        DivergedError: If a score is not finite; the message has the first such documents.
    """
    if wrong := non_finite_documents(logits_NL, training.validation_ids):
        step = training.state.step
        raise DivergedError(
            f"a score of validation document {wrong}", step, training.documents_of(step)
        )


class Meter:
    """Loss, tokens and time since the last logged step; only reading them waits for the device.

    Attributes:
        pending: For each step since the last flush, the sum of its documents' losses.
        norms: For each such step, the norm of the gradient before clipping.
        documents: The number of documents of these steps.
        tokens: Tokens trained on since the last logged step.
        step_began: When the step under way began.
        in_steps: Seconds spent in steps since the last logged one, without validating, saving and
            handling events.
        notes: Messages of other processes for the next event.
    """

    def __init__(self, training: Training) -> None:
        self.training = training
        self.started = self.step_began = time.monotonic()
        self.in_steps = 0.0
        self.seconds_before = training.state.seconds
        self.tokens = 0
        self.pending: list[torch.Tensor] = []
        self.norms: list[torch.Tensor] = []
        self.documents = 0
        self.notes: list[str] = []
        self._tokens_before = training.micro_batch_tokens

    def flush(self) -> None:
        """Add the pending losses and the time to the run's state; called before every save.

        Raises:
            DivergedError: If a loss or a gradient since the last flush is not finite.
        """
        state = self.training.state
        state.seconds = self.seconds_before + time.monotonic() - self.started
        if not self.pending:
            return
        losses = self._sum_over_processes(np.array(torch.stack(self.pending).tolist()))
        self._require_finite(losses)
        # One after the other: the sum is the same, bit for bit, however often it was read before.
        for loss in losses.tolist():
            state.epoch_loss += loss
            state.window_loss += loss
        state.epoch_documents += self.documents
        state.window_documents += self.documents
        self.pending, self.norms, self.documents = [], [], 0

    def read_window(self) -> tuple[float, float]:
        """Return the mean loss and the tokens per second since the last call."""
        self.flush()
        state, now = self.training.state, time.monotonic()
        loss = state.window_loss / state.window_documents
        speed = self.tokens / max(self.in_steps + now - self.step_began, 1e-9)
        self.step_began, self.in_steps, self.tokens = now, 0.0, 0
        state.window_loss, state.window_documents = 0.0, 0
        return loss, speed

    def _sum_over_processes(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the losses of all processes; exchange micro-batch sizes in the same transfer."""
        training, group = self.training, self.training.process_group
        sizes = np.zeros((group.size, 2))  # before and now, of each process
        sizes[group.rank] = self._tokens_before, training.micro_batch_tokens
        numbers = np.concatenate([losses, sizes.ravel()])
        group.sum_array(numbers)
        sizes = numbers[len(losses) :].reshape(sizes.shape).astype(int)
        known = training.state.micro_batch_tokens or sizes[:, 0].tolist()
        now = sizes[:, 1].tolist()
        self.notes += [
            f"process {rank} ran out of memory; it continues with micro_batch_tokens: {tokens} "
            f"instead of {before}"
            for rank, (before, tokens) in enumerate(zip(known, now, strict=True))
            if tokens < before and rank != group.rank  # this process's own note is in its step
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
