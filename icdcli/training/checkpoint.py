"""A saved coder plus the state of its training: written to the side, verified, then made current by renaming."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from icdcli.errors import DataError, ResumeError
from icdcli.model.saved import save_coder, verify, write_manifest
from icdcli.run_dir import CHECKPOINTS, RunDir
from icdcli.training.state import RunState, Training
from icdcli.training.stopping import Best

_STATE = "state.pt"


def save_checkpoint(run: RunDir, names: Sequence[str], training: Training, about: dict[str, Any]) -> None:
    """Write a checkpoint once and make it current under each of the names.

    Args:
        run: The run's folder.
        names: Some of ``metric``, ``loss``, ``last``.
        training: What to save.
        about: Kept in the manifest: epoch and metrics, where a validation led to this checkpoint.

    Raises:
        DataError: When it can't be written; the checkpoints before it stay.
    """
    weights = run.root / "weights"
    weights.mkdir(exist_ok=True)
    side = weights / f".new-{os.getpid()}"
    shutil.rmtree(side, ignore_errors=True)
    side.mkdir()
    try:
        save_coder(side, training.coder)
        state = {"optimizer": training.optimizer.state_dict(), "run": asdict(training.state)}
        torch.save(state, side / _STATE)
        write_manifest(side, {"step": training.state.step, **about})
        _sync(side)
        verify(side)
        for name in names[:-1]:
            copy = weights / f".new-{name}-{os.getpid()}"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(side, copy, copy_function=_link)
            _make_current(copy, weights / name)
        _make_current(side, weights / names[-1])
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors have their own for a full disk
        raise DataError(
            f"{weights}: the checkpoint of step {training.state.step} can't be written ({error}). The one before it is still "
            f"good: free space, then `icdcode resume {run.root}`"
        ) from error
    finally:
        shutil.rmtree(side, ignore_errors=True)


def find_checkpoint(run: RunDir, name: str) -> Path:
    """The folder of a run's checkpoint.

    Raises:
        ResumeError: When the run has none of this name; the message names those that it has.
    """
    folder = run.checkpoint(name)
    before = _previous(folder)
    if not folder.exists() and before.exists():
        os.replace(before, folder)  # the process ended between the two renames of `_make_current`
    if not folder.is_dir():
        there = [other for other in CHECKPOINTS if run.checkpoint(other).is_dir()]
        hint = f"it ended before its first validation; begin anew with `icdcode train {run.args}`"
        if there:
            hint = f"it has {', '.join(there)}: choose one with --load"
        raise ResumeError(f"{run.root}: has no checkpoint {name!r}; {hint}")
    return folder


def load_state(folder: Path, training: Training) -> None:
    """Bring the optimiser and the run's state to where the checkpoint was written; the coder was loaded before.

    Raises:
        ResumeError: When the state doesn't fit what is trained.
    """
    try:
        state = torch.load(folder / _STATE, map_location=training.world.device, weights_only=True)
        training.optimizer.load_state_dict(state["optimizer"])
        values = state["run"]
        best_metric, best_loss = Best(**values.pop("best_metric")), Best(**values.pop("best_loss"))
        training.state = RunState(best_metric, best_loss, **values)
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise ResumeError(f"{folder / _STATE}: doesn't fit this run: {error}") from error


def _previous(folder: Path) -> Path:
    return folder.with_name(f".previous-{folder.name}")


def _make_current(new: Path, folder: Path) -> None:
    before = _previous(folder)
    if folder.exists():
        shutil.rmtree(before, ignore_errors=True)
        os.replace(folder, before)
    os.replace(new, folder)
    shutil.rmtree(before, ignore_errors=True)


def _link(source: str, target: str) -> None:
    # A checkpoint's files are never changed in place, so that two checkpoints may share them.
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
