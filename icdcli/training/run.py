"""A complete training: run folder, checkpoints, signals and handlers around the loop of `icdcli.training.loop`.

`run_training` and `resume_training` do what ``icdcode train`` and ``icdcode resume`` do, and print nothing: handlers show what
happens. `plan_training` and `plan_resume` set a run up and write nothing, as ``--dry-run`` does.
"""

import shutil
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from icdcli.config.loading import load_config, to_yaml
from icdcli.config.schema import Config
from icdcli.data.corpus.reader import Corpus
from icdcli.distributed.process_group import (
    ProcessGroup,
    join_process_group,
    leave_process_group,
)
from icdcli.errors import DataError, ResumeError
from icdcli.io.files import write_atomically
from icdcli.io.progress import Progress
from icdcli.run_dir import RunDir, later_rows, require_project, set_aside_after
from icdcli.training.allowed_changes import allowed_changes
from icdcli.training.baseline import train_baseline, unused_keys
from icdcli.training.checkpointing import find_whole_checkpoint, make_last
from icdcli.training.events import (
    Evaluated,
    Event,
    Prepared,
    ResumedFrom,
    Stopped,
    TrainingSummary,
)
from icdcli.training.loggers import Trackers
from icdcli.training.loop import train
from icdcli.training.recorder import record
from icdcli.training.setup import find_corpus, new_training, resumed_training
from icdcli.training.signals import StopSignals
from icdcli.training.state import Training

OnWarning = Callable[[str], None]


class Handler(Protocol):
    """A consumer of a run's events, such as a live view.

    Each process of a run calls its own handlers: `Prepared` first, `Stopped` last, each event after its files are on the disk.
    What a handler raises ends the run.
    """

    def handle(self, event: Event) -> None:
        """Receive one event."""

    def close(self) -> None:
        """Release what the handler holds. Called once, also if the run fails or never starts."""


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a training.

    Attributes:
        run: The run folder.
        step: Optimizer steps done.
        stopped: Why the training ended, in words.
        finished: Whether the run is complete; if not, it was interrupted and can be resumed.
        epoch: The epoch of the last validation; None if there was no validation in this session, as the next two.
        validation_loss: The loss of the last validation.
        metrics: The metrics of the last validation.
        signal: The signal that asked any process of the run to stop; None if there was none.
    """

    run: RunDir
    step: int
    stopped: str
    finished: bool
    epoch: int | None = None
    validation_loss: float | None = None
    metrics: dict[str, float] | None = None
    signal: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as ``--json`` prints it."""
        validation = {
            "epoch": self.epoch,
            "validation_loss": self.validation_loss,
            "metrics": self.metrics,
        }
        return {
            "run": self.run.root,
            **{name: value for name, value in validation.items() if value is not None},
            "step": self.step,
            "stopped": self.stopped,
            "finished": self.finished,
        }


@dataclass(frozen=True)
class TrainingPlan:
    """A run that is set up; nothing is written yet.

    Attributes:
        config: The configuration of the run.
        corpus: The prepared corpus.
        summary: The size of the run.
        training: The network, the optimizer and the data; None for TF-IDF, which takes no steps.
    """

    config: Config
    corpus: Corpus
    summary: TrainingSummary
    training: Training | None


def run_training(
    config: Config,
    handlers: Sequence[Handler] = (),
    *,
    process_group: ProcessGroup | None = None,
    on_progress: Progress | None = None,
    on_warning: OnWarning | None = None,
    on_second_signal: Callable[[int], None] | None = None,
) -> TrainingResult:
    """Train a model in a new run folder.

    Ctrl-C and SIGTERM stop the run after the step under way; it can then be resumed.

    Args:
        config: The configuration of the run.
        handlers: Receive the events of the run and are closed at its end.
        process_group: The process group of this process; if it is None, the process joins the group that its environment
            describes (torchrun, SLURM), and leaves it at the end.
        on_progress: Reports how far the preparation is.
        on_warning: Receives warnings.
        on_second_signal: See `StopSignals`.

    Raises:
        ConfigError: If the model can't be loaded or trained as configured, or the training diverges.
        DataError: If the data can't be used, or the run folder can't be written.
    """
    with _handlers_closed(handlers) as open_handlers, _joined(process_group, config) as group:
        plan = plan_training(config, group, on_progress, on_warning)
        run = _new_run_folder(config, group)
        prepared = Prepared(plan.summary, run.root, config, plan.corpus.labels.known_titles)
        if plan.training is None:
            return _fit_baseline(plan, prepared, handlers, open_handlers, on_progress, on_warning)
        return _follow(plan, prepared, handlers, open_handlers, on_warning, on_second_signal)


def resume_training(
    run: RunDir | Path | str,
    overrides: Sequence[str] = (),
    *,
    load: str = "last",
    handlers: Sequence[Handler] = (),
    process_group: ProcessGroup | None = None,
    on_progress: Progress | None = None,
    on_warning: OnWarning | None = None,
    on_second_signal: Callable[[int], None] | None = None,
) -> TrainingResult:
    """Resume a run from one of its checkpoints, in the same folder.

    Args:
        run: The run folder.
        overrides: Configuration keys to change, as ``key=value``.
        load: The checkpoint: ``last``, ``metric`` or ``loss``. Rows of later steps in results.csv and steps.csv are moved to
            other files.
        handlers: Receive the events of the run and are closed at its end.
        process_group: As in `run_training`.
        on_progress: Reports how far the preparation is.
        on_warning: Receives warnings.
        on_second_signal: See `StopSignals`.

    Raises:
        ConfigError: If ``run`` is no run folder, or an override is wrong.
        DataError: If the data can't be used, or the run folder can't be written.
        ResumeError: If there is no such checkpoint, it doesn't fit the data, or a key can't change.
    """
    run = run if isinstance(run, RunDir) else RunDir.open(Path(run))
    config = load_config(run.args, list(overrides))
    with _handlers_closed(handlers) as open_handlers, _joined(process_group, config) as group:
        if config.model.is_baseline:
            return _finished_baseline(run, config, load, on_warning)
        plan = plan_resume(run, overrides, load, group, on_progress, on_warning)
        assert plan.training is not None
        assert plan.summary.resumed is not None
        set_aside: list[Path] = []
        group.wait()  # all processes have read what the main one may now move
        if group.first:
            # In this order: a run that is killed in between still has no gap in its tables.
            make_last(run, plan.summary.resumed.checkpoint)
            state = plan.training.state
            set_aside = set_aside_after(run, state.step, state.validated)
            if plan.summary.resumed.changes:
                write_atomically(run.args, to_yaml(config))
        group.wait()
        titles = plan.corpus.labels.known_titles
        prepared = Prepared(plan.summary, run.root, config, titles, tuple(set_aside))
        return _follow(plan, prepared, handlers, open_handlers, on_warning, on_second_signal)


def plan_training(
    config: Config,
    process_group: ProcessGroup,
    on_progress: Progress | None = None,
    on_warning: OnWarning | None = None,
) -> TrainingPlan:
    """Set up a new run without writing anything but the prepared corpus and its caches.

    Raises:
        ConfigError: If the model can't be loaded or trained as configured.
        DataError: If the data can't be used.
    """
    require_project(config.run.project)
    if config.model.is_baseline:
        if on_warning is not None and (unused := unused_keys(config)):
            on_warning(f"model: {config.model.model} doesn't use {', '.join(unused)}")
        corpus = find_corpus(config.data, process_group, on_progress)
        return TrainingPlan(config, corpus, summarize(corpus), None)
    training, corpus = new_training(config, process_group, on_progress)
    return TrainingPlan(config, corpus, summarize(corpus, training), training)


def plan_resume(
    run: RunDir,
    overrides: Sequence[str],
    load: str,
    process_group: ProcessGroup,
    on_progress: Progress | None = None,
    on_warning: OnWarning | None = None,
) -> TrainingPlan:
    """Set up a run at one of its checkpoints without changing its folder; for the arguments see `resume_training`.

    Raises:
        DataError: If the data can't be used.
        ResumeError: If there is no such checkpoint, it doesn't fit the data, or a key can't change.
    """
    config = load_config(run.args, list(overrides))
    changes = allowed_changes(load_config(run.args), config)
    warn = on_warning if process_group.first else None
    checkpoint, manifest = find_whole_checkpoint(run, load, warn or _ignore)
    if config.train.steps < manifest["step"]:
        raise ResumeError(
            f"steps={config.train.steps}: {checkpoint} is already at step {manifest['step']}; set more steps"
        )
    training, corpus = resumed_training(config, checkpoint, manifest, process_group, on_progress)
    state = training.state
    later = later_rows(run, state.step, state.validated)
    resumed = ResumedFrom(checkpoint, state.step, changes, later)
    return TrainingPlan(config, corpus, summarize(corpus, training, resumed), training)


def summarize(
    corpus: Corpus, training: Training | None = None, resumed: ResumedFrom | None = None
) -> TrainingSummary:
    """Return the size of a run; without a training, of a TF-IDF model."""
    if training is None:
        documents = {split: corpus.card["splits"][split]["documents"] for split in corpus.splits}
        return TrainingSummary(
            corpus=corpus.folder.name,
            train_documents=documents.get("train", 0),
            validation_documents=documents.get("validation", 0),
            codes=len(corpus.labels),
            codes_in_training=sum(count > 0 for count in corpus.labels.train_counts),
            device="cpu",
        )
    network = training.model.network
    return TrainingSummary(
        corpus=corpus.folder.name,
        train_documents=len(training.train),
        validation_documents=len(training.validation),
        codes=len(corpus.labels),
        codes_in_training=sum(count > 0 for count in corpus.labels.train_counts),
        device=str(training.process_group.device),
        tokens_per_document=float(training.train.lengths.mean()),
        max_len=training.train.max_len,
        trained_weights=sum(weight.numel() for weight in network.trainable().values()),
        weights=sum(weight.numel() for weight in network.parameters()),
        steps=training.config.steps,
        steps_per_epoch=training.steps_per_epoch,
        resumed=resumed,
    )


def _ignore(_: str) -> None:
    pass


@contextmanager
def _handlers_closed(handlers: Sequence[Handler]) -> Iterator[ExitStack]:
    """Close all handlers at the end, the last one first; the stack that is yielded can do so earlier."""
    with ExitStack() as stack:
        for handler in handlers:
            stack.callback(handler.close)
        yield stack


@contextmanager
def _joined(process_group: ProcessGroup | None, config: Config) -> Iterator[ProcessGroup]:
    """Join the process group of the environment, and leave it if all goes well; a given group is the caller's to leave."""
    if process_group is not None:
        yield process_group
        return
    yield join_process_group("cpu" if config.model.is_baseline else config.run.device)
    leave_process_group()


def _new_run_folder(config: Config, process_group: ProcessGroup) -> RunDir:
    """Make the run folder with its args.yaml in the main process, and let all processes know it."""
    made = None
    if process_group.first:
        made = RunDir.create(config.run.project, config.run.name).root
    root = process_group.broadcast(made)
    assert isinstance(root, Path)
    run = RunDir(root)
    if process_group.first:
        write_atomically(run.args, to_yaml(config))
    return run


class _Outcome:
    """A handler that collects the result of a run."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.validated: Evaluated | None = None
        self.stopped: Stopped | None = None

    def handle(self, event: Event) -> None:
        if isinstance(event, Evaluated):
            self.validated = event
        elif isinstance(event, Stopped):
            self.stopped = event

    def close(self) -> None:
        pass

    def result(self, number: int = 0) -> TrainingResult:
        """Return the result of a run that has ended, with the number of the signal that stopped it."""
        validated, stopped = self.validated, self.stopped
        assert stopped is not None
        return TrainingResult(
            self.run,
            stopped.step,
            stopped.reason,
            stopped.finished,
            epoch=validated.epoch if validated else None,
            validation_loss=validated.validation_loss if validated else None,
            metrics=validated.metrics if validated else None,
            signal=number or None,
        )


def _publish(events: Iterable[Event], handlers: Sequence[Handler]) -> None:
    for event in events:
        for handler in handlers:
            handler.handle(event)


def _follow(
    plan: TrainingPlan,
    prepared: Prepared,
    handlers: Sequence[Handler],
    open_handlers: ExitStack,
    on_warning: OnWarning | None,
    on_second_signal: Callable[[int], None] | None,
) -> TrainingResult:
    """Train to the end; everything that happens is recorded on disk, then passed to the handlers."""
    training, run = plan.training, RunDir(prepared.run)
    assert training is not None
    _publish([prepared], handlers)
    outcome, group, log = _Outcome(run), training.process_group, plan.config.log
    trackers = Trackers(
        log.trackers if group.first else [], run.root, plan.config.flat(), on_warning or _ignore
    )
    with StopSignals(on_second_signal) as signals, open_handlers, closing(trackers):
        training.stop_requested = lambda: (
            signal.Signals(signals.number).name if signals.number else None
        )
        events = record(train(training), run, training, plan.corpus.folder.name)
        _publish(events, [*handlers, trackers, outcome])
    # The others also wait here for what the main process saves.
    [number] = group.agree(signals.number)
    return outcome.result(number)


def _fit_baseline(
    plan: TrainingPlan,
    prepared: Prepared,
    handlers: Sequence[Handler],
    open_handlers: ExitStack,
    on_progress: Progress | None,
    on_warning: OnWarning | None,
) -> TrainingResult:
    """Fit a TF-IDF model; a signal stops it at once, since a part of it is of no use."""
    run, outcome = RunDir(prepared.run), _Outcome(RunDir(prepared.run))
    _publish([prepared], handlers)
    try:
        with StopSignals(at_once=True) as signals:
            # All events before any is shown: a live view and the progress of the fit can't share a terminal.
            events = list(train_baseline(plan.config, plan.corpus, run, on_progress))
    except KeyboardInterrupt:
        if not signals.number:
            raise
        reason = f"interrupted by {signal.Signals(signals.number).name}"
        return TrainingResult(run, 0, reason, finished=False, signal=signals.number)
    except DataError:
        if not run.results.exists():  # there was nothing to learn from
            shutil.rmtree(run.root)
        raise
    trackers = Trackers(
        plan.config.log.trackers, run.root, plan.config.flat(), on_warning or _ignore
    )
    with open_handlers, closing(trackers):
        _publish(events, [*handlers, trackers, outcome])
    return outcome.result()


def _finished_baseline(
    run: RunDir, config: Config, load: str, on_warning: OnWarning | None
) -> TrainingResult:
    """Return the result of a TF-IDF run: fitted at once, it can't be resumed.

    Raises:
        ResumeError: If the run ended before the model was fitted, or a key changed.
    """
    allowed_changes(load_config(run.args), config)
    _, manifest = find_whole_checkpoint(run, load, on_warning or _ignore)
    return TrainingResult(
        run,
        manifest["step"],
        "the TF-IDF model was fitted before",
        finished=True,
        epoch=manifest["epoch"],
        metrics=manifest["metrics"],
    )
