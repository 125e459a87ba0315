"""The events of a training as lines of JSON, for the programs that watch it.

docs/training.md lists the events and their values; a test compares the two.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from icdcli.report.console import Output
from icdcli.training.events import (
    Evaluated,
    Evaluating,
    Event,
    Prepared,
    Saved,
    Started,
    StepDone,
    Stopped,
)

_INTERVAL = 10.0  # seconds between two lines about the same work

_PREPARED = ("corpus", "train_documents", "validation_documents", "codes", "device")
_STARTED = ("step", "total_steps", "steps_per_epoch")
_STEP = ("step", "epoch", "lr", "train_loss", "tokens_per_second", "note")
_VALIDATED = (
    *("epoch", "step", "seconds", "train_loss", "validation_loss", "lr", "metrics", "monitored"),
    *("monitored_by", "best_metric", "best_loss", "patience_left", "threshold", "alarm"),
)


def _values(source: object, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(source, name) for name in names}


class EventLines:
    """A handler that writes each event of a run as a line of JSON.

    Args:
        output: The output of the command.
        clock: Returns seconds since any fixed time.
    """

    def __init__(self, output: Output, clock: Callable[[], float] = time.monotonic) -> None:
        self._output, self._clock = output, clock
        self._run: Path | None = None
        self._shown: dict[str, float] = {}

    def on_progress(
        self, stage: str, done: int, total: int, unit: str = "documents", note: str = ""
    ) -> None:
        """Write how far a stage of the preparation is: at its begin, and every ten seconds."""
        if self._is_due(stage):
            values = {"stage": stage, "done": done, "total": total or None, "unit": unit}
            self._write("progress", values)

    def handle(self, event: Event) -> None:
        """Write an event; of steps, those that are logged."""
        match event:
            case Prepared():
                self._run = event.run
                size, resumed = event.summary, event.summary.resumed
                source = None if resumed is None else resumed.checkpoint
                self._write("prepared", _values(size, _PREPARED) | {"resumed_from": source})
            case Started():
                self._write("started", _values(event, _STARTED))
            case StepDone(train_loss=float()):
                self._write("step", _values(event, _STEP))
            case Evaluating() if self._is_due("validation"):
                self._write("validating", {"done": event.done, "total": event.total})
            case Evaluated():
                self._shown.pop("validation", None)
                self._write("validated", _values(event, _VALIDATED))
            case Saved():
                self._write("saved", {"checkpoint": event.name, "step": event.step})
            case Stopped():
                name = "finished" if event.finished else "interrupted"
                self._write(name, {"step": event.step, "reason": event.reason})

    def close(self) -> None:
        """Do nothing: each line is written at once."""

    def _is_due(self, work: str) -> bool:
        now = self._clock()
        due = work not in self._shown or now - self._shown[work] >= _INTERVAL
        if due:
            self._shown[work] = now
        return due

    def _write(self, name: str, values: dict[str, Any]) -> None:
        self._output.event(name, {"run": self._run, **values})
