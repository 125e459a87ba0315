"""A training run as it happens: a live view on a terminal, plain lines elsewhere.

The view consumes the events of ``icdcli/training/events.py``; the training loop doesn't know it.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from rich.console import Console, ConsoleOptions, RenderResult
from rich.filesize import decimal

from icdcli.errors import in_shell
from icdcli.io.progress import Progress
from icdcli.report.console import Output
from icdcli.report.formatting import duration, number, plain
from icdcli.report.progress import LINE_INTERVAL, bar_line, seconds_left
from icdcli.report.tables import validation_values, validations_table
from icdcli.report.views.predictions import prediction_line
from icdcli.training.events import (
    Evaluated,
    Evaluating,
    Event,
    Prepared,
    Started,
    StepDone,
    Stopped,
    TrainingSummary,
)

ROWS = 8
"""Validations shown during training; at the end, all of them stay on the screen."""


class TrainingView:
    """A handler that shows a run: progress of the preparation, a summary, then the live view.

    Args:
        output: The output of the command.
        memory: Returns the bytes of memory in use, or None if unknown; called at every logged step.
        clock: Returns seconds since any fixed time.
    """

    def __init__(
        self,
        output: Output,
        *,
        memory: Callable[[], int | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._output = output
        self._memory = memory
        self._clock = clock
        self._live = output.live
        self._patience = 0  # no early stopping: the remaining patience isn't shown
        self._common: tuple[str, ...] = ()
        self._columns: tuple[str, ...] = ()
        self._more = ""
        self._preparing, self._training = ExitStack(), ExitStack()
        self._stages: Progress | None = None
        self._began = self._last_line = clock()
        self._started = Started(step=0, total_steps=0, steps_per_epoch=0)
        self._step: StepDone | None = None
        self._logged: StepDone | None = None
        self._in_use: int | None = None
        self._evaluating: Evaluating | None = None
        self._validations: list[Evaluated] = []
        self._note: str | None = None
        self._stopped: Stopped | None = None
        self._closed = False

    def on_progress(
        self, stage: str, done: int, total: int, unit: str = "documents", note: str = ""
    ) -> None:
        """Show the progress of the preparation."""
        if self._stages is None:
            self._stages = self._preparing.enter_context(self._output.stages())
        self._stages(stage, done, total, unit, note)

    def handle(self, event: Event) -> None:
        """Show an event."""
        match event:
            case Prepared():
                self._end_preparing()
                self._prepare(event)
            case Started():
                self._end_preparing()
                self._start(event)
            case StepDone():
                self._step, self._evaluating = event, None
                if event.note is not None:
                    self._output.warn(f"step {event.step:,}: {event.note}")
                if event.train_loss is not None:
                    self._logged, self._in_use = event, self._memory()
                    self._line(self._step_line)
            case Evaluating():
                if self._evaluating is None:
                    self._last_line = self._clock()  # A short validation gets no line of its own.
                self._evaluating = event
                self._line(self._evaluating_line)
            case Evaluated():
                self._evaluating = None
                self._validations.append(replace(event, samples=()))
                self._show_validation(event)
            case Stopped():
                self._stopped = event

    def close(self) -> None:
        """Close the progress bars and the live view, and print why the training ended."""
        self._closed = True
        self._end_preparing()
        self._training.close()
        if (end := self._stopped) is not None:
            state = "finished" if end.finished else "stopped"
            self._output.say(f"Training {state}: {end.reason} (step {end.step:,})")

    def _end_preparing(self) -> None:
        self._preparing.close()
        self._stages = None

    def _prepare(self, event: Prepared) -> None:
        log, steps = event.config.log, event.summary.steps
        self._patience = 0 if steps is None else event.config.train.patience
        # TF-IDF takes no steps: it has neither a training loss nor a learning rate.
        self._common = tuple(
            name for name in log.common if steps is not None or name not in ("train_loss", "lr")
        )
        self._columns = (*self._common, *log.metrics)
        self._more = f" (with titles: icdcode show-predictions {in_shell(event.run)})"
        self._output.say(summary_text(event.summary))
        if event.summary.resumed is None:
            wanted = event.run.with_name(event.config.run.name)
            # A run whose name is in use gets a number behind it.
            is_numbered = event.run.name.removeprefix(wanted.name).isdigit()
            exists = f" ({wanted} exists)" if is_numbered else ""
            self._output.say(f"run        {event.run}{exists}")
        for path in event.set_aside:
            self._output.say(f"{'':<10} {path}")

    def _start(self, event: Started) -> None:
        self._started = event
        self._began = self._clock()
        self._last_line = self._began - LINE_INTERVAL
        if self._live:
            self._training.enter_context(self._output.watch(self))

    def _line(self, words: Callable[[], str]) -> None:
        if not self._live and self._clock() - self._last_line >= LINE_INTERVAL:
            self._last_line = self._clock()
            self._output.say(words())

    def _show_validation(self, event: Evaluated) -> None:
        if not self._live:
            self._output.say(self._validation_line(event))
        if event.threshold is not None:
            self._output.say(f"threshold {event.threshold}")
        if event.note is not None and event.note != self._note:
            self._note = event.note
            self._output.warn(event.note)
        if event.alarm is not None:
            self._output.warn(event.alarm)
        if event.samples:
            self._output.show(
                plain(f"Sample predictions after epoch {event.epoch}{self._more}", "bold")
            )
            self._more = ""  # said once
        for sample in event.samples:
            self._output.show(prediction_line(sample))

    def _now(self) -> list[str]:
        """Return the last logged values that the configuration lists."""
        words = [] if self._step is None else [f"epoch {self._step.epoch}"]
        if self._logged is not None:
            values = {"train_loss": self._logged.train_loss, "lr": self._logged.lr}
            words += [
                f"{name} {number(name, value)}"
                for name, value in values.items()
                if name in self._common and value is not None
            ]
            if self._logged.tokens_per_second is not None:
                words.append(f"{self._logged.tokens_per_second:,.0f} tokens/s")
            if self._in_use is not None:
                words.append(f"memory {decimal(self._in_use)}")
        return words

    def _place(self) -> str:
        done = self._started.step if self._step is None else self._step.step
        left = seconds_left(
            self._clock() - self._began,
            done - self._started.step,
            self._started.total_steps - self._started.step,
        )
        words = f"step {done:,}/{self._started.total_steps:,}"
        return words if left is None else f"{words}  {duration(left)} left"

    def _step_line(self) -> str:
        return "  ".join([self._place(), *self._now()])

    def _evaluating_line(self) -> str:
        assert self._evaluating is not None
        return f"validation  {self._evaluating.done:,}/{self._evaluating.total:,} documents"

    def _validation_line(self, event: Evaluated) -> str:
        values = validation_values(event, self._columns)
        words = ["validation", *(f"{name} {value}" for name, value in values.items())]
        if best := [
            name
            for name, flag in (("metric", event.best_metric), ("loss", event.best_loss))
            if flag
        ]:
            words.append(f"best {' and '.join(best)} so far")
        return "  ".join([*words, *self._patience_left(event)])

    def _patience_left(self, event: Evaluated) -> list[str]:
        return [f"patience left {event.patience_left}"] if self._patience else []

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # The bars come first: a view that is higher than the terminal is cut at the end.
        if not self._closed:
            done = self._started.step if self._step is None else self._step.step
            yield bar_line("Training", done, self._started.total_steps, self._place())
            if self._evaluating is not None:
                state = self._evaluating
                yield bar_line(
                    "Validation",
                    state.done,
                    state.total,
                    f"{state.done:,}/{state.total:,} documents",
                )
            patience = self._patience_left(self._validations[-1]) if self._validations else []
            yield from map(plain, _lines([*self._now(), *patience], options.max_width))
        if self._validations:
            limit = None if self._closed else ROWS
            yield plain("")
            yield validations_table(self._validations, self._columns, options.max_width, limit)


def summary_text(summary: TrainingSummary) -> str:
    """Return the size of a run as text, one line per part."""
    return "\n".join(f"{name:<10} {value}" for name, value in summary.to_json().items())


def _lines(words: Sequence[str], width: int) -> list[str]:
    """Join texts into lines of at most a width; no text is broken."""
    lines = [""]
    for word in words:
        together = f"{lines[-1]}  {word}".lstrip()
        if len(together) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = together
    return lines
