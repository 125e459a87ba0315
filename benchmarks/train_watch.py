"""The measurements of a training, the same for each side of `train.py`."""

import resource
import sys
import time
from typing import Any

import numpy as np
import psutil
import torch
from torch import nn
from train_network import Size, adapter_weights, fingerprint, peak_operations, useful_operations

WARM_UP = 2  # steps before the clock starts


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Watch:
    """Measures time, memory and the tokens that a network reads.

    Attributes:
        losses: Mean loss of the documents, for each interval of steps.
        lengths: Tokens of each forward pass's documents.
    """

    def __init__(
        self, network: nn.Module, device: torch.device, steps: int, accumulate: int = 1
    ) -> None:
        self.network, self.device, self.steps, self.accumulate = network, device, steps, accumulate
        self.weights = fingerprint(network)
        self.losses: list[float] = []
        self.lengths: list[Any] = []
        self.seconds = 0.0
        self.computed = self.computed_timed = 0  # tokens, padding included
        backbone: Any = network.backbone
        # Embeddings are never recomputed, even with checkpointing.
        backbone.get_input_embeddings().register_forward_pre_hook(self._count)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self.before = self._memory()

    def step_done(self, step: int) -> None:
        """Start the clock after the warm-up, stop it after the last step, with the device idle."""
        if step not in (WARM_UP, self.steps):
            return
        synchronize(self.device)
        if step == WARM_UP:
            self.computed = 0
            self.seconds = -time.perf_counter()
        else:
            self.seconds += time.perf_counter()
            self.computed_timed = self.computed

    @property
    def timed_steps(self) -> int:
        """Return the number of steps that are timed."""
        return self.steps - WARM_UP

    def _count(self, _: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.computed += inputs[0].numel()

    def _memory(self) -> float:
        """Return the megabytes in use."""
        if self.device.type == "cuda":
            return torch.cuda.memory_allocated(self.device) / 1e6
        return float(psutil.Process().memory_info().rss) / 1e6

    def _peak(self) -> float:
        """Return the peak of the megabytes in use: of tensors on a GPU, else of the process."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 1e6
        return (
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            * (1 if sys.platform == "darwin" else 1024)
            / 1e6
        )

    def found(self, size: Size) -> dict[str, Any]:
        """Return all figures.

        Args:
            size: The shape of the network.
        """
        peak_mb = self._peak()
        timed = self.lengths[WARM_UP * self.accumulate : self.steps * self.accumulate]
        lengths = np.concatenate([np.asarray(torch.as_tensor(part).cpu()) for part in timed])
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        peak = peak_operations(name)
        operations = useful_operations(size, adapter_weights(self.network), lengths)
        return {
            "documents_per_second": len(lengths) / self.seconds,
            "tokens_per_second": int(lengths.sum()) / self.seconds,
            "padding": 1 - int(lengths.sum()) / self.computed_timed,
            "peak_mb": peak_mb,
            "before_mb": self.before,
            "utilization": operations / self.seconds / peak if peak else None,
            "operations_per_second": operations / self.seconds,
            "seconds": self.seconds,
            "losses": self.losses,
            "first_weights": self.weights,
            "device": name,
        }
