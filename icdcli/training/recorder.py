"""Writes a run to disk as its events arrive: results.csv, steps.csv, checkpoints."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Any

from icdcli.data.corpus.reader import Corpus
from icdcli.distributed.signals import StopSignals
from icdcli.errors import ConfigError, ResumeError, in_shell
from icdcli.evaluation.reference.summary import ReferenceSummary, summarize_training
from icdcli.evaluation.reference.texts import TextReference
from icdcli.io.files import flush, writing
from icdcli.run_dir import RESULT_COLUMNS, STEP_COLUMNS, RunDir, append_row, find_checkpoint
from icdcli.training.checkpointing import save_checkpoint
from icdcli.training.events import (
    CheckpointDue,
    Evaluated,
    Event,
    Handler,
    Saved,
    StepDone,
    Stopped,
    TrainingResult,
)
from icdcli.training.state import Training
from icdcli.training.step_metrics import DivergedError, require_finite_weights

Save = Callable[[Sequence[str], int, dict[str, Any]], None]
"""Writes a checkpoint: called with its names, its step and values for its manifest."""


class Recorder:
    """A handler that writes a run's tables and checkpoints; it must be the first of the handlers.

    A validation is saved as ``last``, and as ``metric`` or ``loss`` if it is the best so far; an
    interruption, and a checkpoint that is due in between or before a validation, as ``last``.

    Args:
        run: The run folder.
        corpus: The corpus's name, stored in the manifests: a run is resumed only with the data that
            it was trained on.
        save: Writes a checkpoint.
        check: Called before each save; raises an error if there is nothing worth saving.
        is_main: Whether this is the main process; the others write nothing.
        resumed: Whether the run starts from its last checkpoint.
        texts: Returns a summary of the training texts, which checkpoints keep; None: there is none.

    Attributes:
        new_checkpoints: The checkpoints that the last event led to.
    """

    def __init__(
        self,
        run: RunDir,
        corpus: str,
        save: Save,
        check: Callable[[], None] = lambda: None,
        is_main: bool = True,
        resumed: bool = False,
        texts: Callable[[], TextReference | None] = lambda: None,
    ) -> None:
        self._run, self._corpus = run, corpus
        self._save, self._check, self._is_main = save, check, is_main
        self._texts = cache(texts)  # not read before the first checkpoint
        self._unsaved = not resumed
        self.new_checkpoints: list[Saved] = []

    def handle(self, event: Event) -> None:
        """Write an event's values and checkpoints.

        Raises:
            DataError: If the run folder can't be written.
            DivergedError: If a weight is not finite; nothing is saved then.
        """
        self.new_checkpoints = []
        if not self._is_main:
            return
        match event:
            case StepDone():
                self._unsaved = True
                self._write_step(event)
            case Evaluated():
                self._write_validation(event)
            case CheckpointDue() | Stopped(finished=False) if self._unsaved:
                self._write_checkpoint(["last"], event.step, {})

    def close(self) -> None:
        """Do nothing: everything is on disk after each event."""

    def _write_step(self, event: StepDone) -> None:
        if event.train_loss is None or event.tokens_per_second is None:  # not a logged step
            return
        values = {
            "step": event.step,
            "epoch": event.epoch,
            "train_loss": event.train_loss,
            "lr": event.lr,
            "tokens_per_second": round(event.tokens_per_second, 1),
        }
        append_row(self._run.steps, STEP_COLUMNS, values)

    def _write_validation(self, event: Evaluated) -> None:
        values = {name: getattr(event, name) for name in RESULT_COLUMNS} | event.metrics
        values["seconds"] = round(event.seconds, 3)
        for name in ("train_loss", "lr"):
            if math.isnan(values[name]):  # a TF-IDF model has neither
                values[name] = ""
        append_row(self._run.results, [*RESULT_COLUMNS, *event.metrics], values)
        best = {"metric": event.best_metric, "loss": event.best_loss}
        about = {
            "epoch": event.epoch,
            "validation_loss": event.validation_loss,
            "metrics": event.metrics,
            "monitored_by": list(event.monitored_by),
            "at_threshold": event.at_threshold,
            "confidence": None if event.confidence is None else event.confidence.to_json(),
            "acceptance": None if event.acceptance is None else event.acceptance.to_json(),
        }
        if event.scores is not None and (texts := self._texts()) is not None:
            about["reference"] = ReferenceSummary(texts, event.scores).to_json()
        if event.measured_by is not None:
            about["measured_by"] = event.measured_by
        names = [*(name for name, is_best in best.items() if is_best), "last"]
        self._write_checkpoint(names, event.step, about)

    def _write_checkpoint(self, names: list[str], step: int, about: dict[str, Any]) -> None:
        self._check()
        self._flush_tables()  # they must not be older than the checkpoint
        self._save(names, step, {"corpus": self._corpus, **about})
        self._unsaved = False
        self.new_checkpoints = [Saved(name, step) for name in names]

    def _flush_tables(self) -> None:
        for table in (self._run.results, self._run.steps):
            if table.exists():
                with writing(table):
                    flush(table)


def advice_after_divergence(run: RunDir, lr0: float) -> str:
    """Return which command continues a run that has diverged."""
    try:
        last = find_checkpoint(run, "last")
    except ResumeError:
        again = f"icdcode train {in_shell(run.args)} lr0=…"
        return f"There is no checkpoint yet; start over with `{again}`"
    return (
        f"The last good checkpoint is {last}; resume from it with "
        f"`icdcode resume {in_shell(run.root)} lr0={lr0 / 2:g}`"
    )


def publish_to(event: Event, handlers: Sequence[Handler]) -> None:
    """Pass an event to the handlers, in their order."""
    for handler in handlers:
        handler.handle(event)


@contextmanager
def closing_at_end(handlers: Sequence[Handler]) -> Iterator[ExitStack]:
    """Close all handlers at the end, the last one first, or earlier by closing the stack."""
    with ExitStack() as stack:
        for handler in handlers:
            stack.callback(handler.close)
        yield stack


@contextmanager
def recording(
    training: Training,
    run: RunDir,
    corpus: Corpus,
    handlers: Sequence[Handler] = (),
    open_handlers: ExitStack | None = None,
    on_second_signal: Callable[[int], None] | None = None,
) -> Iterator[Callable[[Event], None]]:
    """Catch signals around the training loop, and record and pass on its events.

    Args:
        training: The run.
        run: The run folder.
        corpus: The prepared corpus.
        handlers: Receive each event after its files are on disk, and a `Saved` for each checkpoint.
        open_handlers: Closes the handlers, while signals are still caught.
        on_second_signal: See `StopSignals`.

    Yields:
        The function to call with each event.

    Raises:
        ConfigError: If the training diverges; the message has the last good checkpoint.
        DataError: If the run folder can't be written.
    """
    recorder = Recorder(
        run,
        corpus.name,
        save=lambda names, _, about: save_checkpoint(run, names, training, about),
        check=lambda: require_finite_weights(training),
        is_main=training.process_group.is_main,
        resumed=training.state.step > 0,
        texts=partial(summarize_training, corpus),
    )

    def publish(event: Event) -> None:
        recorder.handle(event)
        publish_to(event, handlers)
        for saved in recorder.new_checkpoints:
            publish_to(saved, handlers)

    with StopSignals(on_second_signal) as signals, open_handlers or ExitStack():
        training.stop_requested = lambda: signals.number
        try:
            yield publish
        except DivergedError as error:
            advice = advice_after_divergence(run, training.config.lr0)
            raise ConfigError(f"{error}. {advice}") from error


class Outcome:
    """A handler that collects the result of a run."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.validated: Evaluated | None = None
        self.stopped: Stopped | None = None

    def handle(self, event: Event) -> None:
        """Keep the last validation and the end."""
        if isinstance(event, Evaluated):
            self.validated = event
        elif isinstance(event, Stopped):
            self.stopped = event

    def close(self) -> None:
        """Do nothing."""

    def result(self, training: Training | None = None) -> TrainingResult:
        """Return the result of a run that has ended."""
        validated, stopped, number = self.validated, self.stopped, 0
        assert stopped is not None
        if training is not None:
            # The other processes also wait here for what the main process saves.
            [number] = training.process_group.agree(training.stop_requested())
        return TrainingResult(
            self.run,
            stopped.step,
            stopped.reason,
            stopped.finished,
            epoch=validated.epoch if validated else None,
            validation_loss=validated.validation_loss if validated else None,
            metrics=validated.metrics if validated else None,
            signal=number or None,
            monitored_by=validated.monitored_by if validated else (),
        )
