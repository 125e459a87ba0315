"""Train the models of folds, one after the other: each is a run like any other, and resumable."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from icdcli.config.loading import load_config
from icdcli.config.run_paths import change_keys
from icdcli.config.schema import Config
from icdcli.cross_fitting.files import FoldRun
from icdcli.data.corpus.folds import HeldOutFold
from icdcli.data.corpus.reader import Corpus
from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ConfigError, ResumeError
from icdcli.io.manifest import read_manifest
from icdcli.io.progress import Progress
from icdcli.model.checkpoint import load_checkpoint
from icdcli.run_dir import RunDir, checkpoint_folder, find_checkpoint, train_alone
from icdcli.training.allowed_changes import allowed_changes
from icdcli.training.events import Handler, TrainingResult
from icdcli.training.run import resume_training, run_training

_MAY_DIFFER = frozenset(
    (
        *("device", "workers", "micro_batch_tokens", "state_cache_gb", "checkpoint_every"),
        *("data_path", "mimic3_data_path", "cache_dir", "splits_path", "evidence_path", "model"),
        *("kernels", "padding", "gradient_checkpointing", "chunk_size", "trackers", "log_every"),
    )
)
"""Keys that may differ between a run and the folds that it has: they change no result, or name a
file that is recognized by its content."""


class Watched(NamedTuple):
    """What shows a training.

    Attributes:
        handlers: Receive its events.
        on_progress: Reports how far its preparation is.
    """

    handlers: Sequence[Handler] = ()
    on_progress: Progress | None = None


@dataclass(frozen=True)
class Watching:
    """What shows several trainings, one after the other.

    Attributes:
        start: Called with what is trained next, returns what shows it.
        process_group: The process group; None: that of the environment.
        on_warning: Receives warnings, each only once: what a training warns of, those of the other
            folds warn of, too.
        on_second_signal: See `StopSignals`.
    """

    start: Callable[[str], Watched] = lambda _: Watched()
    process_group: ProcessGroup | None = None
    on_warning: Callable[[str], None] = lambda _: None
    on_second_signal: Callable[[int], None] | None = None
    _warned: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def warn(self, message: str) -> None:
        """Pass on a warning, unless it was before."""
        if message not in self._warned:
            self._warned.add(message)
            self.on_warning(message)

    @property
    def is_main(self) -> bool:
        """Return whether this process writes files."""
        return self.process_group is None or self.process_group.is_main

    def wait(self) -> None:
        """Wait for the other processes."""
        if self.process_group is not None:
            self.process_group.wait()

    def alone_in(self, folder: Path) -> AbstractContextManager[None]:
        """Lock a folder of trainings during a block; of several processes, the main one does it.

        Raises:
            DataError: If the folder can't be written.
            ResumeError: If another command trains in it.
        """
        return train_alone(RunDir(folder), self.warn) if self.is_main else nullcontext()


UNWATCHED = Watching()


class StoppedTraining(Exception):  # noqa: N818  (a request, not an error)
    """A signal stopped a training, which can be continued.

    Attributes:
        signal: Its number.
    """

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


def train_fold(config: Config, fold: FoldRun, view: Corpus, watching: Watching) -> None:
    """Train the model of a fold, unless it is there, and keep the scores of its documents.

    Args:
        config: The configuration of the fold's run.
        fold: The fold.
        view: Its view of the corpus.
        watching: Shows the training.

    Raises:
        ConfigError: If the fold was trained with another configuration.
        ResumeError: If it was trained on other data.
        StoppedTraining: If a signal stopped the training.
    """
    run, last = fold.run, checkpoint_folder(fold.run, "last")
    if last is None:
        # Killed before its first checkpoint: nothing is lost.
        if watching.is_main and run.root.exists():
            shutil.rmtree(run.root)
        watching.wait()
        result = _watch(config, fold, watching, resumed=False)
    else:
        require_same(config, run, view)
        if is_complete(config, fold):
            return
        result = _watch(config, fold, watching, resumed=True)
    if result.signal is not None:
        raise StoppedTraining(result.signal)
    if config.model.is_baseline and watching.is_main:
        model = load_checkpoint(run.root, device="cpu").model
        fold.write_scores(1, model.score_split(view, "validation").parts)
    watching.wait()


def is_complete(config: Config, fold: FoldRun) -> bool:
    """Return whether a fold was trained and scored to its end."""
    last = checkpoint_folder(fold.run, "last")
    last_step = 1 if config.model.is_baseline else config.train.last_step
    if last is None or read_manifest(last)["step"] < last_step:
        return False
    return last_step in fold.scored_steps


def fold_config(config: Config, folder: Path, held_out: HeldOutFold, **keys: Any) -> Config:
    """Return the configuration of the run of a fold."""
    changes = {
        "project": str(folder),
        "name": f"fold-{held_out.fold}",
        "held_out_fold": str(held_out),
        "trackers": [],
        "prediction_print_n": 0,
        **keys,
    }
    return change_keys(config, changes)


def _watch(config: Config, fold: FoldRun, watching: Watching, resumed: bool) -> TrainingResult:
    watched = watching.start(
        f"fold {config.data.held_out_fold}" + (" (resumed)" if resumed else "")
    )

    def keep(step: int, parts: Mapping[str, NDArray[Any]]) -> None:
        fold.write_scores(step, parts)

    if resumed and not config.model.is_baseline:
        return resume_training(
            fold.run,
            handlers=watched.handlers,
            process_group=watching.process_group,
            on_progress=watched.on_progress,
            on_warning=watching.warn,
            on_second_signal=watching.on_second_signal,
            on_scores=keep,
        )
    if resumed:  # fitted, but not scored yet
        return TrainingResult(fold.run, 1, "fitted before", finished=True)
    return run_training(
        config,
        watched.handlers,
        process_group=watching.process_group,
        on_progress=watched.on_progress,
        on_warning=watching.warn,
        on_second_signal=watching.on_second_signal,
        on_scores=keep,
    )


def require_same(config: Config, run: RunDir, view: Corpus) -> None:
    """Raise an error if a fold that exists isn't one of this run, as it is now.

    Raises:
        ConfigError: If it was trained with another configuration.
        ResumeError: If it was trained on other data.
    """
    trained_on = read_manifest(find_checkpoint(run, "last"))["corpus"]
    before = load_config(run.args)
    own_keys = {"project": str(config.run.project), "name": config.run.name}
    try:
        changes = allowed_changes(change_keys(before, own_keys), config)
        changed = sorted(changes.keys() - _MAY_DIFFER)
    except ResumeError as error:
        raise ConfigError(
            f"{run.root}: was trained with other settings ({error}). {_start_over(run)}"
        ) from None
    if changed:
        differing = ", ".join(
            f"{key} {changes[key][0]} then, {changes[key][1]} now" for key in changed
        )
        raise ConfigError(
            f"{run.root}: was trained with other settings ({differing}). {_start_over(run)}"
        )
    if trained_on != view.name:
        raise ResumeError(
            f"{run.root}: was trained on the corpus {trained_on}, but the data now gives "
            f"{view.name}: the tables or the data options have changed. {_start_over(run)}"
        )


def _start_over(run: RunDir) -> str:
    return f"Delete {run.root.parent} to start over."
