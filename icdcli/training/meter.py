"""Loss, tokens and time between two logged steps."""

import time

import numpy as np
import torch

from icdcli.errors import ConfigError
from icdcli.training.state import Training


class Meter:
    """Loss, tokens and time since the last logged step; the device is waited for only when they are read."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.started = self.step_began = time.monotonic()
        self.in_steps = 0.0  # seconds since the last logged step, without validation, saving and whoever watches
        self.seconds_before = training.state.seconds
        self.tokens = 0
        self.pending: list[torch.Tensor] = []
        self.documents = 0

    def flush(self) -> None:
        """Bring the progress up to date."""
        state = self.training.state
        state.seconds = self.seconds_before + time.monotonic() - self.started
        if not self.pending:
            return
        losses = np.array(torch.stack(self.pending).tolist())
        self.training.world.sum_array(losses)
        if not np.isfinite(losses).all():
            raise ConfigError(
                f"step {state.step - len(losses) + 1 + int(np.argmin(np.isfinite(losses)))}: the training loss is not a finite "
                "number. The last checkpoint is still good: resume it with a lower lr0, or train anew with bit: 32"
            )
        # One after the other: the sum is the same however often it was read in between, as it is before an interruption.
        for loss in losses.tolist():
            state.epoch_loss += loss
            state.window_loss += loss
        state.epoch_documents += self.documents
        state.window_documents += self.documents
        self.pending, self.documents = [], 0

    def read_window(self) -> tuple[float, float]:
        """Mean loss and tokens a second since this was last read."""
        self.flush()
        state, now = self.training.state, time.monotonic()
        loss = state.window_loss / state.window_documents
        speed = self.tokens / max(self.in_steps + now - self.step_began, 1e-9)
        self.step_began, self.in_steps, self.tokens = now, 0.0, 0
        state.window_loss, state.window_documents = 0.0, 0
        return loss, speed
