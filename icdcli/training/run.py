"""A complete training: run folder, checkpoints, signals and handlers around the training loop.

`run_training` and `resume_training` do what ``icdcode train`` and ``icdcode resume`` do, and print
nothing: handlers show what happens. `plan_training` and `plan_resume` set a run up, as
``--dry-run`` does, and write nothing but the prepared corpus and its caches.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from icdcli.config.loading import load_config
from icdcli.config.schema import Config
from icdcli.data.corpus.prepare import stored_folders
from icdcli.data.corpus.reader import Corpus
from icdcli.distributed.process_group import (
    ProcessGroup,
    join_process_group,
    leave_process_group,
)
from icdcli.distributed.signals import StopSignals, reason_of
from icdcli.errors import ConfigError, DataError, ResumeError
from icdcli.io.progress import Progress
from icdcli.run_dir import RunDir, later_rows, require_project
from icdcli.training.allowed_changes import allowed_changes, require_trainable
from icdcli.training.baseline import finished_baseline, train_baseline, unused_keys
from icdcli.training.checkpointing import (
    find_intact_checkpoint,
    kept_checkpoints,
)
from icdcli.training.events import (
    Handler,
    Prepared,
    ResumedFrom,
    TrainingResult,
    TrainingSummary,
)
from icdcli.training.loggers import Trackers
from icdcli.training.loop import train
from icdcli.training.recorder import Outcome, closing_at_end, publish_to, recording
from icdcli.training.setting_up.earlier_run import clear_unstarted
from icdcli.training.setting_up.final_fit import FinalFit
from icdcli.training.setting_up.run_folder import locked_run, new_run_folder, return_to_checkpoint
from icdcli.training.setup import (
    OnWarning,
    find_corpus,
    new_training,
    resumed_training,
    summarize,
    with_edition,
)
from icdcli.training.state import OnScores, Training


@dataclass(frozen=True)
class TrainingPlan:
    """A run that is set up; nothing but the prepared corpus and its caches is written yet.

    Attributes:
        config: The configuration of the run.
        corpus: The prepared corpus.
        summary: The size of the run.
        training: The network, the optimizer and the data; None for TF-IDF, which takes no steps.
        written: The folders of the corpus and of its caches that were missing before.
        final_fit: What a run without a validation split starts from.
    """

    config: Config
    corpus: Corpus
    summary: TrainingSummary
    training: Training | None
    written: tuple[Path, ...] = ()
    final_fit: FinalFit | None = None


def run_training(
    config: Config,
    handlers: Sequence[Handler] = (),
    *,
    process_group: ProcessGroup | None = None,
    on_progress: Progress | None = None,
    on_warning: OnWarning | None = None,
    on_second_signal: Callable[[int], None] | None = None,
    final_fit: FinalFit | None = None,
    on_scores: OnScores | None = None,
    start_over: bool = False,
) -> TrainingResult:
    """Train a model in a new run folder.

    Ctrl-C and SIGTERM stop the run after the step under way; it can then be resumed.

    Args:
        config: The configuration of the run.
        handlers: Receive the events of the run and are closed at its end.
        process_group: The process group of this process; if it is None, the process joins the group
            that its environment describes (torchrun, SLURM), and leaves it at the end; see
            `join_for_training`.
        on_progress: Reports how far the preparation is.
        on_warning: Receives warnings.
        on_second_signal: See `StopSignals`.
        final_fit: What a run without a validation split starts from.
        on_scores: See `Training`.
        start_over: Use the folder ``<project>/<name>`` even if a run ended in it before its first
            checkpoint, as `icdcli.training.setting_up.earlier_run` finds out.

    Raises:
        ConfigError: If the model can't be loaded or trained as configured, or the training
            diverges.
        DataError: If the data can't be used, or the run folder can't be written.
    """
    with closing_at_end(handlers) as open_handlers, _joined(process_group, config) as group:
        plan = plan_training(config, group, on_progress, on_warning, final_fit)
        config = with_edition(config, plan.corpus)
        run = new_run_folder(config, group, start_over)
        with locked_run(run, group, on_warning):
            if group.is_main:
                if start_over:
                    clear_unstarted(run)
                if final_fit is not None:
                    final_fit.write(run.root)  # shows whose folder it is
                run.write_config(config)
            titles = plan.corpus.labels.known_titles
            publish_to(Prepared(plan.summary, run.root, config, titles), handlers)
            if plan.training is None:
                return _fit_baseline(
                    plan, run, handlers, open_handlers, group, on_progress, on_warning
                )
            trackers = _trackers(config, run, group, open_handlers, on_warning)
            plan.training.on_scores = on_scores
            return _train(
                plan.training,
                run,
                plan.corpus,
                [*handlers, trackers],
                open_handlers,
                on_second_signal,
            )


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
    on_scores: OnScores | None = None,
) -> TrainingResult:
    """Resume a run from one of its checkpoints, in the same folder.

    Args:
        run: The run folder.
        overrides: Configuration keys to change, as ``key=value``.
        load: The checkpoint: ``last``, ``metric`` or ``loss``. Rows of later steps in results.csv
            and steps.csv are moved to other files.
        handlers: Receive the events of the run and are closed at its end.
        process_group: As in `run_training`.
        on_progress: Reports how far the preparation is.
        on_warning: Receives warnings.
        on_second_signal: See `StopSignals`.
        on_scores: See `Training`.

    Raises:
        ConfigError: If ``run`` isn't a run folder, or an override is wrong.
        DataError: If the data can't be used, or the run folder can't be written.
        ResumeError: If there is no such checkpoint, it doesn't fit the data, a key can't change, or
            another process is training the run.
    """
    run = run if isinstance(run, RunDir) else RunDir.open(Path(run))
    config = load_config(run.args, list(overrides))
    with (
        closing_at_end(handlers) as open_handlers,
        _joined(process_group, config) as group,
        locked_run(run, group, on_warning),
    ):
        if config.model.is_baseline:
            return finished_baseline(run, config, load, on_warning or _ignore)
        plan = plan_resume(run, overrides, load, group, on_progress, on_warning)
        resumed = plan.summary.resumed
        assert plan.training is not None
        assert resumed is not None
        plan.training.on_scores = on_scores
        set_aside = return_to_checkpoint(resumed, plan.config, plan.training, run)
        titles = plan.corpus.labels.known_titles
        publish_to(Prepared(plan.summary, run.root, config, titles, set_aside), handlers)
        trackers = _trackers(config, run, group, open_handlers, on_warning)
        return _train(
            plan.training, run, plan.corpus, [*handlers, trackers], open_handlers, on_second_signal
        )


def join_for_training(config: Config) -> ProcessGroup:
    """Join the process group that the environment describes, as far as the model needs one.

    TF-IDF is fitted in one process on the CPU and joins none: of several processes, only the main
    one should fit it.

    Raises:
        ConfigError: If this machine doesn't have the configured device.
    """
    if config.model.is_baseline:
        return ProcessGroup(0, 1)
    return join_process_group(config.run.device)


def _train(
    training: Training,
    run: RunDir,
    corpus: Corpus,
    handlers: Sequence[Handler],
    open_handlers: ExitStack,
    on_second_signal: Callable[[int], None] | None,
) -> TrainingResult:
    """Take the steps that are left, and publish every event."""
    outcome = Outcome(run)
    with recording(
        training, run, corpus, [*handlers, outcome], open_handlers, on_second_signal
    ) as publish:
        for event in train(training):
            publish(event)
    return outcome.result(training)


def plan_training(
    config: Config,
    process_group: ProcessGroup,
    on_progress: Progress | None = None,
    on_warning: OnWarning | None = None,
    final_fit: FinalFit | None = None,
) -> TrainingPlan:
    """Set up a new run without writing anything but the prepared corpus and its caches.

    Raises:
        ConfigError: If the model can't be loaded or trained as configured, or the configuration
            leaves no documents to validate on, which only a final fit may do.
        DataError: If the data can't be used.
    """
    require_trainable(config)
    if config.run.seeds:
        raise ConfigError(
            "seeds: only `icdcode train` trains several models. Use it, or set `seed`."
        )
    if final_fit is None and not config.data.has_validation:
        raise ConfigError(
            f"train_on: {config.data.train_on} leaves no documents to choose the threshold and the "
            "number of steps by. Set held_out_fold, or train on train and run `icdcode refit RUN`."
        )
    require_project(config.run.project)
    before = stored_folders(config.data)
    if config.model.is_baseline:
        if on_warning is not None and (unused := unused_keys(config)):
            on_warning(f"model: {config.model.model} doesn't use {', '.join(unused)}")
        corpus = find_corpus(config.data, process_group, on_progress, on_warning)
        summary = summarize(corpus)
        return TrainingPlan(config, corpus, summary, None, _new(config, before), final_fit)
    training, corpus = new_training(config, process_group, on_progress, on_warning, final_fit)
    summary = summarize(corpus, training)
    return TrainingPlan(config, corpus, summary, training, _new(config, before))


def plan_resume(
    run: RunDir,
    overrides: Sequence[str],
    load: str,
    process_group: ProcessGroup,
    on_progress: Progress | None = None,
    on_warning: OnWarning | None = None,
) -> TrainingPlan:
    """Set up a run at one of its checkpoints without changing its folder; see `resume_training`.

    Raises:
        DataError: If the data can't be used.
        ResumeError: If there is no such checkpoint, it doesn't fit the data, or a key can't change.
    """
    config = load_config(run.args, list(overrides))
    changes = allowed_changes(load_config(run.args), config)
    warn = on_warning if process_group.is_main and on_warning is not None else _ignore
    checkpoint, manifest = find_intact_checkpoint(run, load, warn)
    if config.train.last_step < manifest["step"]:
        raise ResumeError(
            f"steps={config.train.last_step}: {checkpoint} is already at step {manifest['step']}. "
            "Set more steps"
        )
    before = stored_folders(config.data)
    training, corpus = resumed_training(
        config, checkpoint, manifest, process_group, on_progress, on_warning
    )
    kept = kept_checkpoints(run, checkpoint, warn) if process_group.is_main else {}
    training.kept = process_group.broadcast(kept)
    state = training.state
    later = later_rows(run, state.step, state.validated)
    resumed = ResumedFrom(checkpoint, state.step, changes, later)
    summary = summarize(corpus, training, resumed)
    return TrainingPlan(config, corpus, summary, training, _new(config, before))


def _new(config: Config, before: set[Path]) -> tuple[Path, ...]:
    """Return the folders of corpora and caches that weren't there before."""
    return tuple(sorted(stored_folders(config.data) - before))


def _ignore(_: str) -> None:
    pass


@contextmanager
def _joined(process_group: ProcessGroup | None, config: Config) -> Iterator[ProcessGroup]:
    """Join the process group of the environment, and leave it if all goes well.

    A group that is passed in is left by the caller.
    """
    if process_group is not None:
        yield process_group
        return
    yield join_for_training(config)
    leave_process_group()


def _trackers(
    config: Config,
    run: RunDir,
    process_group: ProcessGroup,
    open_handlers: ExitStack,
    on_warning: OnWarning | None,
) -> Trackers:
    """Start the configured trackers in the main process; they are closed with the handlers."""
    names = config.log.trackers if process_group.is_main else []
    trackers = Trackers(names, run.root, config.flat(), on_warning or _ignore)
    open_handlers.callback(trackers.close)
    return trackers


def _fit_baseline(
    plan: TrainingPlan,
    run: RunDir,
    handlers: Sequence[Handler],
    open_handlers: ExitStack,
    group: ProcessGroup,
    on_progress: Progress | None,
    on_warning: OnWarning | None,
) -> TrainingResult:
    """Fit a TF-IDF model; a signal stops it at once, since half a model is of no use."""
    outcome, config = Outcome(run), plan.config
    try:
        with StopSignals(at_once=True) as signals:
            # All events before any is shown: a live view and the progress of the fit would be on
            # the terminal at the same time.
            baseline = train_baseline(
                config, plan.corpus, run, on_progress, on_warning, plan.final_fit
            )
            events = list(baseline)
    except KeyboardInterrupt:
        if not signals.number:
            raise
        reason = reason_of(signals.number)
        return TrainingResult(run, 0, reason, finished=False, signal=signals.number)
    except DataError:
        if not run.results.exists():  # there was nothing to learn from
            shutil.rmtree(run.root)
        raise
    with open_handlers:
        trackers = _trackers(config, run, group, open_handlers, on_warning)
        for event in events:
            publish_to(event, [*handlers, trackers, outcome])
    return outcome.result()
