"""A saved coder plus the state of its training: written to the side, verified, then made current by one atomic rename.

A checkpoint is a folder ``weights/steps/<step>``. ``weights/metric``, ``loss``, ``last`` and ``previous`` (the one before
``last``) are symbolic links to such folders; a new link is renamed over the old one, and what no link names is removed only
after. Where the file system has no symbolic links, and in runs of older versions, they are folders: replacing one takes two
renames, and a reader knows what lies between the two.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from icdcli.errors import DataError, ResumeError
from icdcli.io.files import flush, writing
from icdcli.io.manifest import verify, write_manifest
from icdcli.run_dir import (
    CHECKPOINTS,
    RunDir,
    checkpoint_folder,
    find_checkpoint,
    folder_between_renames,
)
from icdcli.training.early_stopping import Best
from icdcli.training.state import RunState, Training

_STATE, _STEPS, _PREVIOUS = "state.pt", "steps", "previous"


def save_checkpoint(
    run: RunDir, names: Sequence[str], training: Training, about: dict[str, Any]
) -> None:
    """Write a checkpoint once and make it current under each of the names.

    Args:
        run: The run's folder.
        names: Some of ``metric``, ``loss``, ``last``, in this order: from ``last`` a killed run goes on, and what it does
            again then makes the others current again.
        training: What to save.
        about: Kept in the manifest: epoch and metrics, where a validation led to this checkpoint.

    Raises:
        DataError: When it can't be written; the checkpoints before it stay.
    """

    def write(folder: Path) -> None:
        training.model.save(folder)
        torch.save(
            {"optimizer": training.optimizer.state_dict(), "run": asdict(training.state)},
            folder / _STATE,
        )

    write_checkpoint(run, names, training.state.step, write, about)


def write_checkpoint(
    run: RunDir,
    names: Sequence[str],
    step: int,
    write: Callable[[Path], None],
    about: dict[str, Any],
) -> None:
    """Write a checkpoint of whatever kind; see `save_checkpoint`.

    Args:
        run: The run's folder.
        names: As there.
        step: Its step, which names its folder.
        write: Writes the files into an empty folder.
        about: As there.

    Raises:
        DataError: When it can't be written; the checkpoints before it stay.
    """
    weights = run.root / "weights"
    side = weights / _STEPS / ".new"
    try:
        _prune(weights)  # what a process that was killed left behind
        side.mkdir(parents=True)
        write(side)
        write_manifest(side, {"step": step, **about})
        _flush_all(side)
        verify(side)
        folder = _free(side.with_name(str(step)))
        os.replace(side, folder)
        flush(folder.parent)
        before = checkpoint_folder(run, "last")
        if "last" in names and before is not None:
            _make_current(before, run.checkpoint(_PREVIOUS))
        for name in names:
            _make_current(folder, run.checkpoint(name))
        flush(weights)
        _prune(weights)
    except (
        OSError,
        RuntimeError,
        SafetensorError,
        ResumeError,
    ) as error:  # a full disk has several names
        raise DataError(
            f"{weights}: the checkpoint of step {step} can't be written ({error}). Those before it are still good: "
            f"free space, then `icdcode resume {run.root}`"
        ) from error
    finally:
        shutil.rmtree(side, ignore_errors=True)


def find_whole_checkpoint(
    run: RunDir, name: str, warn: Callable[[str], None]
) -> tuple[Path, dict[str, Any]]:
    """A checkpoint to go on from, verified; where ``last`` is broken, the one before it.

    Args:
        run: The run's folder.
        name: ``metric``, ``loss`` or ``last``.
        warn: Told when the one before is taken.

    Returns:
        Its folder and its manifest.

    Raises:
        ResumeError: When there is none, or it is broken and so is the one before.
    """
    try:
        folder = find_checkpoint(run, name)
        return folder, verify(folder)
    except ResumeError as error:
        before = checkpoint_folder(run, _PREVIOUS)
        if name != "last" or before is None:
            raise
        try:
            manifest = verify(before)
        except ResumeError:
            raise error from None
        warn(f"{error}. Going on from the one before: {before}, step {manifest['step']}")
        return before, manifest


def make_last(run: RunDir, folder: Path) -> None:
    """Let ``last`` be the checkpoint that a run goes on from, since what came after it is no longer this run's.

    What a killed process left behind is removed; a checkpoint that was the ``last`` before stays until the next is saved.

    Raises:
        DataError: When it can't be written.
    """
    last, previous = run.checkpoint("last"), run.checkpoint(_PREVIOUS)
    _prune(last.parent)
    if folder == checkpoint_folder(run, "last"):
        return
    with writing(last):
        _make_current(folder, last)
        _remove(previous)
        flush(last.parent)


def load_state(folder: Path, training: Training) -> None:
    """Bring the optimiser and the run's state to where the checkpoint was written; the coder was loaded before.

    Raises:
        ResumeError: When the state doesn't fit what is trained.
    """
    try:
        state = torch.load(
            folder / _STATE,
            map_location="cpu" if training.shards else training.process_group.device,
            weights_only=True,
        )
        saved, fresh = (
            state["optimizer"]["param_groups"],
            training.optimizer.state_dict()["param_groups"],
        )
        # The options are those of now: another device may want another implementation.
        groups = [{**now, "params": then["params"]} for then, now in zip(saved, fresh, strict=True)]
        training.optimizer.load_state_dict({**state["optimizer"], "param_groups": groups})
        values = state["run"]
        best_metric, best_loss = Best(**values.pop("best_metric")), Best(**values.pop("best_loss"))
        training.state = RunState(best_metric, best_loss, **values)
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise ResumeError(f"{folder / _STATE}: doesn't fit this run: {error}") from error


def _make_current(folder: Path, name: Path) -> None:
    """Let a name stand for a folder, whatever it stood for before."""
    new = name.with_name(f".new-{name.name}")
    _remove(new)
    _stand_in(folder, new)
    aside = folder_between_renames(name)
    if name.is_dir() and not (
        new.is_symlink() and name.is_symlink()
    ):  # a folder is there, or is to be
        _remove(aside)
        os.replace(name, aside)
    os.replace(new, name)
    _remove(aside)


def _stand_in(folder: Path, new: Path) -> None:
    """Make a link to a step's folder; where there are no links, a folder of the same files."""
    if folder.parent.name == _STEPS:
        with suppress(OSError):
            new.symlink_to(os.path.relpath(folder, new.parent), target_is_directory=True)
            return
    shutil.copytree(folder, new, copy_function=_link)
    _flush_all(new)


def _link(source: str, target: str) -> None:
    # A checkpoint's files are never changed in place, so that two checkpoints may share them.
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _free(folder: Path) -> Path:
    """The folder's name, or with a number where a step is saved again, as before and after its validation."""
    free, number = folder, 1
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


def _prune(weights: Path) -> None:
    """Remove what no name stands for."""
    named = {(weights / name).resolve() for name in (*CHECKPOINTS, _PREVIOUS)}
    for folder in (weights / _STEPS).glob("*"):
        if folder.resolve() not in named:
            shutil.rmtree(folder, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _flush_all(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        flush(path)
