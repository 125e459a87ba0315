"""Checkpoints: a saved model and the state of its training, made current by one atomic rename.

A checkpoint is a folder ``weights/steps/<step>``, written under another name, verified and
renamed. ``weights/metric``, ``loss``, ``last`` and ``previous`` (the one before ``last``) are
symbolic links to such folders. A new link is renamed over the old one; only then are folders
removed that no link points to. On a file system without symbolic links, and in runs of older
versions, these names are folders: replacing one takes two renames, and a reader also
finds the folder between the two.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from icdcli.errors import DataError, ResumeError, in_shell
from icdcli.evaluation.reference.summary import REFERENCE
from icdcli.io.files import flush, make_private, private_folder, write_json, writing
from icdcli.io.manifest import read_manifest, verify, write_manifest
from icdcli.lost_links import PREVIOUS, STEPS
from icdcli.run_dir import (
    CHECKPOINTS,
    RunDir,
    checkpoint_folder,
    find_checkpoint,
    folder_between_renames,
    store_names,
)
from icdcli.training.early_stopping import Best, Kept
from icdcli.training.section import TrainConfig
from icdcli.training.state import RunState, Training

STATE = "state.pt"
_SECONDS = {"s": 1, "min": 60, "h": 3600}


class CheckpointTimer:
    """Decides when a checkpoint is due, besides those after validations.

    Args:
        every: ``checkpoint_every`` of the configuration: a number of steps, a time such as
            ``20min``, or None for never.
        clock: Returns seconds since any fixed time.
    """

    def __init__(
        self, every: int | str | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._since = clock, clock()
        self.steps = every if isinstance(every, int) else None
        self.seconds: float | None = None
        if isinstance(every, str) and (parts := re.fullmatch(r"(\d+)\s*(s|min|h)", every)):
            self.seconds = int(parts[1]) * _SECONDS[parts[2]]

    def is_up(self) -> bool:
        """Return whether the time since the last checkpoint is up."""
        return self.seconds is not None and self._clock() - self._since >= self.seconds

    def ends_at(self, step: int) -> bool:
        """Return whether a checkpoint is due after this step."""
        return self.steps is not None and step % self.steps == 0

    def restart(self) -> None:
        """Measure the time from now on: a checkpoint has been written."""
        self._since = self._clock()


def save_checkpoint(
    run: RunDir, names: Sequence[str], training: Training, about: dict[str, Any]
) -> None:
    """Write the checkpoint of a training once and make it current under each of the names.

    Args:
        run: The run folder.
        names: Some of ``metric``, ``loss``, ``last``, in this order. A run that is killed
            between two names resumes from the previous ``last``, repeats the steps and makes the
            others current again.
        training: The training to save.
        about: Stored in the manifest: epoch and metrics, if a validation led to this checkpoint.

    Raises:
        DataError: If it can't be written; the checkpoints before it stay.
    """

    def write(folder: Path) -> None:
        training.model.save(folder)
        state = {"optimizer": training.optimizer.state_dict(), "run": asdict(training.state)}
        if training.scaler is not None:
            state["loss_scale"] = training.scaler.state_dict()
        torch.save(state, folder / STATE)

    write_checkpoint(run, names, training.state.step, write, about)


def write_checkpoint(
    run: RunDir,
    names: Sequence[str],
    step: int,
    write: Callable[[Path], None],
    about: dict[str, Any],
) -> None:
    """Write a checkpoint of any model; see `save_checkpoint`.

    Args:
        run: The run folder.
        names: See `save_checkpoint`.
        step: The step of the checkpoint, which names its folder.
        write: Writes the files into an empty folder.
        about: Stored in the manifest; its ``reference`` in a file of its own.

    Raises:
        DataError: If it can't be written; the checkpoints before it stay.
    """
    weights = run.root / "weights"
    side = weights / STEPS / ".new"
    try:
        _prune(run)  # leftovers of a process that was killed
        private_folder(side)
        write(side)
        manifest = {name: value for name, value in about.items() if name != "reference"}
        if "reference" in about:
            write_json(side / REFERENCE, about["reference"])
        write_manifest(side, {"step": step, **manifest})
        make_private(side)  # a tokenizer trained on notes has their words, weights may reveal them
        _flush_all(side)
        verify(side)
        before = checkpoint_folder(run, "last")
        folder = _free(side.with_name(str(step)))
        os.replace(side, folder)
        flush(folder.parent)
        if "last" in names and before is not None:
            _make_current(before, run.checkpoint(PREVIOUS))
        for name in names:
            _make_current(folder, run.checkpoint(name))
        store_names(run)
        flush(weights)
        _prune(run)
    except (
        OSError,
        RuntimeError,
        SafetensorError,
        ResumeError,
    ) as error:  # a full disk has several names
        raise DataError(
            f"{weights}: the checkpoint of step {step} can't be written ({error}). Earlier "
            f"checkpoints are intact. Free space, then run `icdcode resume {in_shell(run.root)}`"
        ) from error
    finally:
        shutil.rmtree(side, ignore_errors=True)


def find_intact_checkpoint(
    run: RunDir, name: str, on_warning: Callable[[str], None]
) -> tuple[Path, dict[str, Any]]:
    """Return a checkpoint that has passed verification; if ``last`` is broken, the one before it.

    Args:
        run: The run folder.
        name: ``metric``, ``loss`` or ``last``.
        on_warning: Receives a warning if the one before is used.

    Returns:
        The folder and the manifest.

    Raises:
        ResumeError: If there is no such checkpoint, or it is broken and so is the one before.
    """
    try:
        folder = find_checkpoint(run, name)
        return folder, verify(folder)
    except ResumeError as error:
        before = checkpoint_folder(run, PREVIOUS)
        if name != "last" or before is None:
            raise
        try:
            manifest = verify(before)
        except ResumeError:
            raise error from None
        on_warning(
            f"{error}. Resuming from the checkpoint before: {before}, step {manifest['step']}"
        )
        return before, manifest


def kept_checkpoints(
    run: RunDir, loaded: Path, on_warning: Callable[[str], None]
) -> dict[str, Kept]:
    """Return the checkpoints ``metric`` and ``loss`` that a run has when it is resumed.

    They may be better than all that led to the checkpoint from which the run is resumed: training
    must not replace them by worse ones. A broken one may be replaced.

    Args:
        run: The run folder.
        loaded: The checkpoint that the run is resumed from, which has been verified.
        on_warning: Receives a warning for each that is broken.
    """
    kept, verified = {}, {loaded}
    for name in ("metric", "loss"):
        folder = checkpoint_folder(run, name)
        if folder is None:
            continue
        try:
            if folder not in verified:  # hashing takes a second per gigabyte
                verify(folder)
                verified.add(folder)
            # Mapped into memory: the optimizer's state, most of the file, is not read.
            state = torch.load(folder / STATE, map_location="cpu", weights_only=True, mmap=True)[
                "run"
            ]
            kept[name] = Kept(float(state[f"best_{name}"]["value"]), int(state["step"]))
        except ResumeError as error:
            on_warning(f"{error} The run replaces this checkpoint at its next best validation.")
        except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
            raise ResumeError(f"{folder / STATE}: doesn't fit this run: {error}") from error
    return kept


def make_last(run: RunDir, folder: Path) -> None:
    """Make ``last`` the checkpoint from which the run resumes; later checkpoints are discarded.

    Leftovers of a killed process are removed. The checkpoint that was ``last`` before stays until
    the next one is saved.

    Raises:
        DataError: If the link can't be written.
    """
    last, previous = run.checkpoint("last"), run.checkpoint(PREVIOUS)
    with writing(last):
        _restore_links(run)
        store_names(run)  # the process may have been killed between the links and this file
    _prune(run)
    if folder == checkpoint_folder(run, "last"):
        return
    with writing(last):
        _make_current(folder, last)
        _remove(previous)
        store_names(run)
        flush(last.parent)


def is_finished(last: Path, config: TrainConfig) -> bool:
    """Return whether the training of a network is finished at its last checkpoint.

    So is one that can't be resumed, because the checkpoint has no state of the training.

    Args:
        last: The folder of the checkpoint.
        config: The section of the run's configuration.

    Raises:
        ResumeError: If its manifest or its state can't be read.
    """
    if read_manifest(last)["step"] >= config.last_step or not (last / STATE).exists():
        return True
    return _is_out_of_patience(last, config.patience)


def _is_out_of_patience(folder: Path, patience: int) -> bool:
    """Return whether a run ended at a checkpoint since nothing improved any more."""
    try:
        state = torch.load(folder / STATE, map_location="cpu", weights_only=True, mmap=True)["run"]
        return patience > 0 and Best(**state["best_metric"]).patience_left(patience) == 0
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise ResumeError(f"{folder / STATE}: can't be read: {error}") from error


def load_state(folder: Path, training: Training) -> None:
    """Restore the optimizer and the run's state from a checkpoint whose model is loaded already.

    Raises:
        ResumeError: If the state doesn't fit the weights that are trained.
    """
    try:
        state = torch.load(
            folder / STATE,
            map_location="cpu" if training.shards else training.process_group.device,
            weights_only=True,
        )
        saved, fresh = (
            state["optimizer"]["param_groups"],
            training.optimizer.state_dict()["param_groups"],
        )
        # The options are the current ones: another device may need another implementation.
        groups = [{**now, "params": then["params"]} for then, now in zip(saved, fresh, strict=True)]
        training.optimizer.load_state_dict({**state["optimizer"], "param_groups": groups})
        if training.scaler is not None and "loss_scale" in state:
            training.scaler.load_state_dict(state["loss_scale"])
        values = state["run"]
        best_metric, best_loss = Best(**values.pop("best_metric")), Best(**values.pop("best_loss"))
        training.state = RunState(best_metric, best_loss, **values)
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise ResumeError(f"{folder / STATE}: doesn't fit this run: {error}") from error


def _restore_links(run: RunDir) -> None:
    """Make the names of a run again that was copied without symbolic links."""
    # `last` comes last: if it is there, all of them are.
    found = {name: checkpoint_folder(run, name) for name in (PREVIOUS, *CHECKPOINTS)}
    missing = {
        name: folder
        for name, folder in found.items()
        if folder is not None
        and folder.parent.name == STEPS
        and not run.checkpoint(name).is_symlink()
    }
    for name, folder in missing.items():
        _make_current(folder, run.checkpoint(name))


def _make_current(folder: Path, name: Path) -> None:
    """Make a name refer to a folder, whatever it referred to before."""
    new = name.with_name(f".new-{name.name}")
    _remove(new)
    _link_or_copy(folder, new)
    aside = folder_between_renames(name)
    # A link is renamed over a link; if either is a folder, the old one must make room first.
    if name.is_dir() and not (new.is_symlink() and name.is_symlink()):
        _remove(aside)
        os.replace(name, aside)
    os.replace(new, name)
    _remove(aside)


def _link_or_copy(folder: Path, new: Path) -> None:
    """Make a link to a step's folder or, without symbolic links, a folder of the same files."""
    if folder.parent.name == STEPS:
        with suppress(OSError):
            new.symlink_to(os.path.relpath(folder, new.parent), target_is_directory=True)
            return
    shutil.copytree(folder, new, copy_function=_share_file)
    _flush_all(new)


def _share_file(source: str, target: str) -> None:
    # Hard links: the files of a checkpoint never change in place, so two checkpoints may share
    # them.
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _free(folder: Path) -> Path:
    """Return an unused name: a step may be saved twice, before and after its validation."""
    free, number = folder, 1
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


def _prune(run: RunDir) -> None:
    """Remove the checkpoints that no name refers to, and files that a killed process left."""
    found = [checkpoint_folder(run, name) for name in (*CHECKPOINTS, PREVIOUS)]
    named = {folder.resolve() for folder in found if folder is not None}
    for folder in run.checkpoint(STEPS).glob("*"):
        if folder.resolve() not in named:
            shutil.rmtree(folder, ignore_errors=True)
    for unfinished in run.checkpoint(STEPS).parent.glob(".*.tmp"):
        unfinished.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _flush_all(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        flush(path)
