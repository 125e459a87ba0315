"""Reporting a run to TensorBoard, Weights & Biases and others, with accelerate's tracking classes.

A tracker never ends a run: one that fails, for whatever reason, leads to one warning and is not
called again, and training continues.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from icdcli.training.events import Evaluated, Event, StepDone

# The options with which each class takes the run folder, the project and the name.
_OPTIONS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "tensorboard": lambda run: {"run_name": "tensorboard", "logging_dir": run},
    "wandb": lambda run: {"run_name": run.parent.name, "name": run.name, "dir": str(run)},
    "mlflow": lambda run: {"experiment_name": run.parent.name, "run_name": run.name},
    "comet_ml": lambda run: {"run_name": run.parent.name},
    "aim": lambda run: {"run_name": run.name, "logging_dir": run.parent},
    "clearml": lambda run: {"run_name": run.parent.name, "task_name": run.name},
}


class Trackers:
    """A handler that reports a run's losses, learning rate, speed and metrics to trackers.

    A step is logged as ``train/loss``, ``train/lr`` and ``train/tokens_per_second``, a validation
    as ``epoch``, ``validation/loss`` and ``validation/<metric>``, both at their optimizer step. An
    undefined metric is left out.

    Args:
        names: ``trackers`` of the configuration; none outside the main process.
        run: The run folder, ``<project>/<name>``; TensorBoard writes into its ``tensorboard``.
        config: Every key of the configuration with its value.
        on_warning: Receives a warning for each tracker that is switched off, with the reason.
    """

    def __init__(
        self,
        names: Sequence[str],
        run: Path,
        config: Mapping[str, Any],
        on_warning: Callable[[str], None],
    ) -> None:
        self._on_warning = on_warning
        self._active: dict[str, Any] = {}
        if names:
            _let_accelerate_log()
        # Not every tracker takes lists and null.
        plain = {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in config.items()
        }
        for name in names:
            self._call(name, partial(self._start, name, run.resolve(), plain))

    def handle(self, event: Event) -> None:
        """Log an event if it has values to log."""
        match event:
            case StepDone(train_loss=float(loss), tokens_per_second=float(speed)):
                self._log(
                    {"train/loss": loss, "train/lr": event.lr, "train/tokens_per_second": speed},
                    event.step,
                )
            case Evaluated():
                metrics = {f"validation/{name}": value for name, value in event.metrics.items()}
                self._log(
                    {"epoch": event.epoch, "validation/loss": event.validation_loss, **metrics},
                    event.step,
                )

    def close(self) -> None:
        """Finish each tracker, which writes its buffered values; later events are ignored."""
        for name, tracker in [*self._active.items()]:
            self._call(name, tracker.finish)
        self._active.clear()

    def _start(self, name: str, run: Path, config: Mapping[str, Any]) -> None:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        tracker = LOGGER_TYPE_TO_CLASS[name](**_OPTIONS[name](run))
        tracker.start()
        self._active[name] = tracker
        tracker.store_init_configuration(dict(config))

    def _log(self, values: Mapping[str, float], step: int) -> None:
        known = {name: value for name, value in values.items() if math.isfinite(value)}
        for name, tracker in [*self._active.items()]:
            self._call(name, partial(tracker.log, known, step=step))

    def _call(self, name: str, work: Callable[[], object]) -> None:
        try:
            with warnings.catch_warnings():
                # The trackers' own warnings are of no use to a user.
                warnings.simplefilter("ignore")
                work()
        except (Exception, SystemExit) as error:  # anything that a tracker may raise
            self._active.pop(name, None)
            reason = str(error) or type(error).__name__
            if isinstance(error, ModuleNotFoundError):
                reason = f"the package {error.name} is not installed"
            self._on_warning(
                f"trackers: {name} is switched off, training continues without it: {reason}"
            )


def _let_accelerate_log() -> None:
    """Give accelerate the state that the log lines of its classes need.

    With several processes their group exists already, so this one doesn't wait for the others. On
    a CPU accelerate would set the number of threads, which would change the last digits of the
    run.
    """
    from accelerate import PartialState

    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        PartialState(cpu=True)
    torch.set_num_threads(threads)
