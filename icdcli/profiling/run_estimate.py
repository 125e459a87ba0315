"""The estimate of a run that is set up, for `icdcode train --dry-run`."""

from dataclasses import dataclass
from typing import Any

from icdcli.config.schema import Config
from icdcli.distributed.hardware import room
from icdcli.io.progress import Progress
from icdcli.profiling.memory import MemoryEstimate, estimate_training
from icdcli.profiling.runtime import (
    operations_per_second,
    time_by_operations,
    time_by_running,
)
from icdcli.training.state import Training


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """The memory and time that a run needs.

    Attributes:
        memory: The memory of one process.
        free: Free memory of its device in bytes; None if unknown.
        seconds: The approximate time of the steps and validations.
    """

    memory: MemoryEstimate
    free: int | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        memory = {"estimate": self.memory.to_json(), "free": self.free}
        return {"memory": memory, "seconds": self.seconds}


def estimate_run(
    config: Config, training: Training, on_progress: Progress | None = None
) -> RunEstimate:
    """Estimate the memory and time of a run.

    The time is that of a few steps if they fit the memory. They change the training, which can't be
    used afterwards.

    Args:
        config: The run's configuration.
        training: The run, set up but not started; all ranks take part.
        on_progress: Called once, before the steps.
    """
    process_group = training.process_group
    memory, free = estimate_training(config, training), room(process_group.device)
    if process_group.broadcast(free is None or memory.total <= free):
        if on_progress is not None:
            on_progress("Timing a few training steps", 0, 0, "steps")
        return RunEstimate(memory, free, time_by_running(training, memory))
    rate = operations_per_second(process_group.device, config.model.bit)
    mean_length = float(training.train.lengths.mean())
    seconds = time_by_operations(config, memory, mean_length, rate, process_group.size)
    return RunEstimate(memory, free, seconds)
