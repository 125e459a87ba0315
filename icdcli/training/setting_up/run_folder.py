"""The folder of a run when a training begins: made, locked, and brought back to a checkpoint."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from icdcli.config.schema import Config
from icdcli.distributed.process_group import ProcessGroup
from icdcli.run_dir import RunDir, set_aside_after, train_alone
from icdcli.training.checkpointing import make_last
from icdcli.training.events import ResumedFrom
from icdcli.training.state import Training


def new_run_folder(config: Config, process_group: ProcessGroup, may_exist: bool = False) -> RunDir:
    """Make the run folder in the main process; return it in all processes.

    Args:
        config: The configuration of the run.
        process_group: The processes.
        may_exist: Whether the folder of this name is used if it exists, rather than a new one.
    """
    made = None
    if process_group.is_main:
        made = RunDir.create(config.run.project, config.run.name, may_exist).root
    root = process_group.broadcast(made)
    assert isinstance(root, Path)
    return RunDir(root)


def locked_run(
    run: RunDir, process_group: ProcessGroup, on_warning: Callable[[str], None] | None
) -> AbstractContextManager[None]:
    """Lock the run; of several processes, the main one does it."""
    if not process_group.is_main:
        return nullcontext()
    return train_alone(run, on_warning or _ignore)


def _ignore(_: str) -> None:
    pass


def return_to_checkpoint(
    resumed: ResumedFrom, config: Config, training: Training, run: RunDir
) -> tuple[Path, ...]:
    """Make the folder what it was at the checkpoint; return the files with the rows set aside."""
    group, state = training.process_group, training.state
    set_aside: list[Path] = []
    group.wait()  # all processes have read what the main one may now move
    if group.is_main:
        # In this order: a run that is killed in between still has no gap in its tables.
        make_last(run, resumed.checkpoint)
        set_aside = set_aside_after(run, state.step, state.validated)
        if resumed.changes:
            run.change_config(config, resumed.changes)
    group.wait()
    return tuple(set_aside)
