"""A run told to TensorBoard, Weights & Biases and their like, through accelerate's tracking classes.

They are guests: one that fails, whatever the reason, is told of once and asked no more, and training goes on.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from icdcli.training.events import Evaluated, Event, StepDone

# What each class calls the run's folder, its project and its name.
_OPTIONS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "tensorboard": lambda run: {"run_name": "tensorboard", "logging_dir": run},
    "wandb": lambda run: {"run_name": run.parent.name, "name": run.name, "dir": str(run)},
    "mlflow": lambda run: {"experiment_name": run.parent.name, "run_name": run.name},
    "comet_ml": lambda run: {"run_name": run.parent.name},
    "aim": lambda run: {"run_name": run.name, "logging_dir": run.parent},
    "clearml": lambda run: {"run_name": run.parent.name, "task_name": run.name},
}


class Trackers:
    """Hands a run's losses, learning rate, speed and metrics on; rank 0 alone should have any.

    A step is logged as ``train/loss``, ``train/lr`` and ``train/tokens_per_second``, a validation as ``epoch``,
    ``validation/loss`` and ``validation/<metric>``, both at their optimiser step. An undefined metric is left out.

    Args:
        names: Those of the configuration's ``trackers``.
        run: The run's folder, ``<project>/<name>``; TensorBoard writes into its ``tensorboard``.
        config: Every key of the configuration with its value.
        warn: Told of each tracker that is switched off, and why.
    """

    def __init__(
        self,
        names: Sequence[str],
        run: Path,
        config: Mapping[str, Any],
        warn: Callable[[str], None],
    ) -> None:
        self._warn = warn
        self._active: dict[str, Any] = {}
        if names:
            _let_accelerate_log()
        # Not every tracker takes lists and null.
        plain = {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in config.items()
        }
        for name in names:
            self._ask(name, partial(self._start, name, run.resolve(), plain))

    def handle(self, event: Event) -> None:
        """Log what an event tells, where it tells anything to log."""
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
        """Let each write what it still holds; asked no more after."""
        for name, tracker in [*self._active.items()]:
            self._ask(name, tracker.finish)
        self._active.clear()

    def _start(self, name: str, run: Path, config: Mapping[str, Any]) -> None:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS  # type: ignore[import-untyped]

        tracker = LOGGER_TYPE_TO_CLASS[name](**_OPTIONS[name](run))
        tracker.start()
        self._active[name] = tracker
        tracker.store_init_configuration(dict(config))

    def _log(self, values: Mapping[str, float], step: int) -> None:
        known = {name: value for name, value in values.items() if math.isfinite(value)}
        for name, tracker in [*self._active.items()]:
            self._ask(name, partial(tracker.log, known, step=step))

    def _ask(self, name: str, work: Callable[[], object]) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # of the tracker's own making; they ask nothing of a user
                work()
        except (Exception, SystemExit) as error:  # whatever a guest may raise
            self._active.pop(name, None)
            what = (
                f"the package {error.name} is not installed"
                if isinstance(error, ModuleNotFoundError)
                else str(error)
            )
            self._warn(
                f"trackers: {name} is switched off, training goes on without it: {what or type(error).__name__}"
            )


def _let_accelerate_log() -> None:
    """Give accelerate the state that its classes' log lines ask for.

    Where there are several processes their group exists already, so that this one doesn't wait for the others. On a CPU
    accelerate sets the number of threads as it sees fit, which would change the run's last digits.
    """
    from accelerate import PartialState  # type: ignore[import-untyped]

    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        PartialState(cpu=True)
    torch.set_num_threads(threads)
