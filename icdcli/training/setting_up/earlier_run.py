"""The run that an earlier call of the same command left in its folder, whole or in part."""

import os
import shutil
from pathlib import Path
from typing import Any

from icdcli.config.loading import load_config
from icdcli.config.run_paths import ORIGIN, RUN_CONFIG
from icdcli.config.schema import Config
from icdcli.errors import ConfigError, ResumeError, in_shell
from icdcli.icd.codes import system_name
from icdcli.io.files import writing
from icdcli.lost_links import steps_in
from icdcli.run_dir import CHECKPOINTS, RunDir, checkpoint_folder, find_checkpoint

_WRITTEN_BEFORE = ("results.csv", "steps.csv", "vis_outputs", "tensorboard", "weights")
"""What a run may have written before its first checkpoint, besides what is written over."""


def earlier_run(config: Config) -> RunDir | None:
    """Return the run in the folder ``<project>/<name>`` if there is something to resume.

    Args:
        config: The configuration of the command.

    Returns:
        The run; None: there is none, or it ended before its first checkpoint and must start over.

    Raises:
        ConfigError: If the folder contains something other than a run.
        ResumeError: If the run has another configuration; the message has the keys that differ.
            If it has checkpoints whose names are lost; the message says how to repair it.
    """
    run = RunDir(config.run.project / config.run.name)
    if not run.args.is_file():
        if run.root.exists():
            _require_nothing_else(run.root)
        return None
    _require_same_config(run, config)
    return run if config.run.seeds or has_checkpoint(run) else None


def has_checkpoint(run: RunDir) -> bool:
    """Return whether a run has a checkpoint to resume.

    Raises:
        ResumeError: If it has checkpoints, but their names are lost.
    """
    if any(checkpoint_folder(run, name) is not None for name in CHECKPOINTS):
        return True
    if steps_in(run.root / "weights") or run.checkpoint("last").is_symlink():
        find_checkpoint(run, "last")  # raises an error that says how to repair the run
    return False


def clear_unstarted(run: RunDir) -> None:
    """Remove what a run wrote before its first checkpoint; the caller holds its lock.

    Raises:
        DataError: If it can't be removed.
        ResumeError: If the run has a checkpoint by now, or has checkpoints whose names are lost.
    """
    if has_checkpoint(run):
        raise ResumeError(
            f"{run.root}: was trained by another process in the meantime. Run the same command "
            "again to resume it."
        )
    with writing(run.root):
        for path in (run.root / name for name in _WRITTEN_BEFORE):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _require_nothing_else(root: Path) -> None:
    """Raise an error unless a process was killed right after it had made this folder."""
    if root.is_dir() and all(
        path.name == ORIGIN or path.name.startswith(".") for path in root.iterdir()
    ):
        return
    raise ConfigError(
        f"{root}: exists and isn't a run folder (it has no {RUN_CONFIG}). Move it away, or set "
        "another `name`."
    )


def _require_same_config(run: RunDir, config: Config) -> None:
    before, now = load_config(run.args).flat(), config.flat()
    differing = [
        f"{key}={now[key]!r} (was {before[key]!r})"
        for key in before
        if key not in ("project", "name") and not _is_same(key, before[key], now[key])
    ]
    if differing:
        raise ResumeError(
            "\n  ".join(
                [
                    f"{run.root}: exists with other values of these keys. Change them back, set "
                    f"another `name`, or change the run: icdcode resume "
                    f"{in_shell(run.root)} key=value …",
                    *differing,
                ]
            )
        )


def _is_same(key: str, before: Any, now: Any) -> bool:
    """Return whether a value is the one of a run, whose relative paths may be absolute by now."""
    if before == now:
        return True
    if key == "code_system" and before and ":" not in before:
        # The run has the edition in full, or found it by itself.
        return now is None or system_name(before).startswith(system_name(now))
    if all(isinstance(word, str | Path) for word in (before, now)):
        return os.path.abspath(before) == os.path.abspath(now) and os.path.exists(now)
    return False
