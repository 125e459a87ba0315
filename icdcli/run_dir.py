"""The run folder: its name, its files, and its tables, which grow by complete lines."""

import csv
import errno
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from icdcli.config.loading import load_config, to_yaml
from icdcli.config.run_paths import RUN_CONFIG, change_keys, write_origin
from icdcli.config.schema import Config
from icdcli.errors import ConfigError, DataError, ResumeError, in_shell, nearest
from icdcli.io.files import write_atomically, writing
from icdcli.io.locks import HeldElsewhere, exclusive
from icdcli.lost_links import PREVIOUS, STEPS, checkpoint_without_links, steps_in, write_names

CHECKPOINTS = ("metric", "loss", "last")
STEP_COLUMNS = ("step", "epoch", "train_loss", "lr", "tokens_per_second")
RESULT_COLUMNS = ("epoch", "step", "seconds", "train_loss", "validation_loss", "lr")


def require_project(project: Path) -> None:
    """Check that a run folder can be created in a project folder, without writing anything.

    Called before any expensive work is done for the run.

    Raises:
        ConfigError: If no run folder can be created there.
    """
    existing = next(
        path for path in (project.absolute(), *project.absolute().parents) if path.exists()
    )
    if not existing.is_dir():
        raise ConfigError(f"{existing}: is a file, but `project` must be a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(
            f"{existing}: no permission to write here. Set `project` to another folder."
        )


def require_folder(folder: Path, missing: str) -> None:
    """Check that a folder of a run or checkpoint exists.

    Args:
        folder: The folder.
        missing: What to report if there is nothing of this name.

    Raises:
        ConfigError: If it doesn't exist.
    """
    if folder.is_dir():
        return
    if folder.is_symlink():
        raise ConfigError(
            f"{folder}: is a link to {os.readlink(folder)}, which isn't there. The names in "
            "weights/ are links, and `cp -r` copied only the link. Copy the folder that it leads "
            f"to (cp -rL RUN_DIR/weights/last {folder.name}), or run icdcode export RUN_DIR "
            f"{folder.name}"
        )
    runs = [path.parent.name for path in folder.parent.glob("*/args.yaml")]
    raise ConfigError(f"{folder}: {missing}{nearest(folder.name, runs)}")


@dataclass(frozen=True)
class RunDir:
    """The folder of one run.

    Attributes:
        root: The folder, ``<project>/<name>``; with a number if the name was taken.
    """

    root: Path

    @classmethod
    def create(cls, project: Path, name: str, may_exist: bool = False) -> "RunDir":
        """Create the folder ``name``, or the first of ``name2``, ``name3``, … that is free.

        With `may_exist`, the folder ``name`` is returned if it exists.

        Raises:
            ConfigError: If the project folder can't be written.
        """
        number = 1
        while True:
            root = project / (name if number == 1 else f"{name}{number}")
            try:
                project.mkdir(parents=True, exist_ok=True)
                root.mkdir()
            except FileExistsError:
                if not project.is_dir():
                    raise ConfigError(
                        f"{project}: is a file, but `project` must be a folder"
                    ) from None
                if may_exist:
                    return cls(root)
                number += 1
            except OSError as error:
                long = error.errno == errno.ENAMETOOLONG
                remedy = "Set a shorter `name`" if long else "Set `project` to another folder"
                raise ConfigError(
                    f"{root}: can't be created ({error.strerror}). {remedy}."
                ) from None
            else:
                return cls(root)

    @classmethod
    def open(cls, root: Path) -> "RunDir":
        """Return the folder of an existing run.

        Raises:
            ConfigError: If it isn't a run folder.
        """
        require_folder(root, "no such run folder")
        if not (root / "args.yaml").is_file():
            raise ConfigError(
                f"{root}: isn't a run folder (it has no args.yaml). "
                "Give the run folder that `icdcode train` printed."
            )
        return cls(root)

    def write_config(self, config: Config) -> None:
        """Write the configuration of the run, and the folder in which the run is made.

        Raises:
            DataError: If a file can't be written.
        """
        write_atomically(self.args, to_yaml(config))
        write_origin(self.root)

    def change_config(self, config: Config, keys: Iterable[str]) -> None:
        """Write the values of some keys to the run's configuration.

        Args:
            config: The configuration that has the new values.
            keys: The keys; all others stay as they were typed.

        Raises:
            DataError: If the file can't be written.
        """
        flat = config.flat()
        typed = load_config(self.args, as_typed=True)
        write_atomically(self.args, to_yaml(change_keys(typed, {key: flat[key] for key in keys})))

    @property
    def args(self) -> Path:
        """Return the path of the configuration of the run."""
        return self.root / RUN_CONFIG

    @property
    def results(self) -> Path:
        """Return the path of the table with a row per validation."""
        return self.root / "results.csv"

    @property
    def steps(self) -> Path:
        """Return the path of the table with a row per logged step."""
        return self.root / "steps.csv"

    @property
    def lr_schedule(self) -> Path:
        """Return the path of the plot of the learning-rate schedule."""
        return self.root / "vis_outputs" / "lr_schedule.png"

    @property
    def learning_curves(self) -> Path:
        """Return the path of the plot of losses and metrics by epoch."""
        return self.root / "vis_outputs" / "learning_curves.png"

    def checkpoint(self, name: str) -> Path:
        """Return the path of a checkpoint: ``metric``, ``loss`` or ``last``."""
        return self.root / "weights" / name

    def evaluation(self, split: str) -> Path:
        """Return the folder of the evaluation on a split."""
        return self.root / "evaluation" / split


@contextmanager
def train_alone(run: RunDir, on_warning: Callable[[str], None]) -> Iterator[None]:
    """Lock a run during the block: two processes that train it would mix their steps.

    Reading the run stays allowed. The system releases the lock of a killed process.

    Args:
        run: The run folder.
        on_warning: Receives a warning if the file system has no locks.

    Raises:
        DataError: If the run folder can't be written.
        ResumeError: If another process is training the run.
    """
    lock = run.root / ".lock"
    with ExitStack() as stack:
        try:
            with writing(lock):
                locked = stack.enter_context(exclusive(lock))
        except HeldElsewhere as error:
            stop = f"stop it (`kill {error.pid}`)" if error.pid else "stop it there"
            raise ResumeError(
                f"{run.root}: is being trained by {error}. Wait until it ends, or {stop}; it saves "
                "a checkpoint first. Then resume the run"
            ) from None
        if not locked:
            on_warning(
                f"{run.root}: this file system has no locks. Make sure that no second process "
                "trains this run."
            )
        yield


def require_idle(run: RunDir, on_warning: Callable[[str], None]) -> None:
    """Check that no process trains a run at the moment, without writing into its folder.

    Raises:
        ResumeError: If a process is training the run.
    """
    if (run.root / ".lock").exists():  # a read-only folder may have none
        with train_alone(run, on_warning):
            pass


def run_of(checkpoint: Path) -> Path | None:
    """Return the folder of the run that a checkpoint is in; None if it is somewhere else."""
    around = [folder for folder in checkpoint.absolute().parents if folder.name == "weights"]
    return next((found.parent for found in around if (found.parent / RUN_CONFIG).is_file()), None)


def find_checkpoint(run: RunDir, name: str) -> Path:
    """Return the folder of a checkpoint of a run.

    It is the folder of the checkpoint's step, which stays the same when training continues and the
    name moves on to a later step.

    Raises:
        ResumeError: If the run has no checkpoint of this name; the message lists those it has.
    """
    folder = checkpoint_folder(run, name)
    if folder is None:
        existing = [other for other in CHECKPOINTS if checkpoint_folder(run, other) is not None]
        again = f"icdcode train {in_shell(run.args)}"
        hint = f"The run ended before its first checkpoint; start over: {again}"
        if existing:
            hint = f"It has {', '.join(existing)}; choose one with --load"
        elif run.checkpoint(name).is_symlink():
            hint = (
                f"Its link leads to {os.readlink(run.checkpoint(name))}, which isn't there: copy "
                "the run with its folder weights/steps"
            )
        elif steps_in(run.root / "weights"):
            hint = (
                f"Nothing says which folder of {run.checkpoint(STEPS)} it is. Use one of them in "
                "place of the run, or copy the run again with its symbolic links (cp -a)"
            )
        raise ResumeError(f"{run.root}: has no checkpoint {name!r}. {hint}")
    return folder


def checkpoint_folder(run: RunDir, name: str) -> Path | None:
    """Return the folder that a checkpoint name refers to, or None if there is none.

    The names are symbolic links. In a copy of a run that was made without them (zip, object
    stores), ``weights/names.json`` has the names; for a run of an earlier version, the manifests
    of the checkpoints show which is meant.
    """
    path = run.checkpoint(name)
    if path.is_symlink() and path.is_dir():
        return path.parent / os.readlink(path)
    # The latter if a process was killed between the two renames. Some archives have an empty folder
    # in place of a link.
    for folder in (path, folder_between_renames(path)):
        if folder.is_dir() and any(folder.iterdir()):
            return folder
    return checkpoint_without_links(run.root / "weights", run.args, name)


def store_names(run: RunDir) -> None:
    """Store which checkpoint each name refers to; see `icdcli.lost_links`.

    Raises:
        OSError: If the file can't be written.
    """
    found = {name: checkpoint_folder(run, name) for name in (*CHECKPOINTS, PREVIOUS)}
    steps = run.checkpoint(STEPS)
    names = {name: at.name for name, at in found.items() if at is not None and at.parent == steps}
    if names:
        write_names(run.root / "weights", names)


def folder_between_renames(name: Path) -> Path:
    """Return the folder that holds a checkpoint between the two renames that replace it."""
    return name.with_name(f".previous-{name.name}")


def append_row(path: Path, columns: Sequence[str], row: Mapping[str, float | int | str]) -> None:
    """Append a line to a CSV file, completely or not at all; a new file gets its header first.

    Raises:
        DataError: If the file can't be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    with writing(path), path.open("ab", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        if end == 0:
            writer.writeheader()
        writer.writerow(dict(row))
        data = text.getvalue().encode()
        try:
            while data:
                data = data[file.write(data) :]
        except OSError:
            file.truncate(end)
            raise


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as strings by column; none if there is no file yet."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def later_rows(run: RunDir, step: int, validated: int) -> int:
    """Count the rows of the two tables that `set_aside_after` would move.

    Raises:
        DataError: If a table isn't in the format that training writes.
    """
    return len(_split_at(run.results, validated)[1]) + len(_split_at(run.steps, step)[1])


def set_aside_after(run: RunDir, step: int, validated: int) -> list[Path]:
    """Move the rows of later steps into ``results.before-<n>.csv`` and ``steps.before-<n>.csv``.

    After going back to an earlier checkpoint, the rows after it belong to a history that the run
    discarded: they are kept, but no longer in its tables. n is the first number that is free.

    Args:
        run: The run folder.
        step: The step of the checkpoint; later rows of steps.csv are moved.
        validated: The step of its last validation; later rows of results.csv are moved. Smaller
            than `step` if the validation at `step` hasn't run yet.

    Returns:
        The files that contain them now.

    Raises:
        DataError: If a table isn't in the format that training writes, or can't be written.
    """
    tables, number = {run.results: validated, run.steps: step}, 1
    while any(_aside(table, number).exists() for table in tables):
        number += 1
    moved = []
    for table, last in tables.items():
        kept, later = _split_at(table, last)
        if later:
            moved.append(_aside(table, number))
            write_atomically(moved[-1], kept[0] + "".join(later))
            write_atomically(table, "".join(kept))
    return moved


def _aside(table: Path, number: int) -> Path:
    return table.with_name(f"{table.stem}.before-{number}{table.suffix}")


def _split_at(table: Path, step: int) -> tuple[list[str], list[str]]:
    """Split the lines of a table: the header and the rows up to a step, and the later rows.

    An incomplete line, which a power failure may leave, counts as a later row.
    """
    try:
        lines = (
            table.read_text(encoding="utf-8").splitlines(keepends=True) if table.exists() else []
        )
        columns = lines[0].strip().split(",") if lines else []
        steps = [_step_of(line, columns, step + 1) for line in lines[1:]]
    except ValueError:
        raise DataError(
            f"{table}: isn't in the format that training writes. Restore the file or move it away."
        ) from None
    rows = list(zip(steps, lines[1:], strict=True))
    return lines[:1] + [line for at, line in rows if at <= step], [
        line for at, line in rows if at > step
    ]


def _step_of(line: str, columns: list[str], if_incomplete: int) -> int:
    """Return the step of a row; raise ValueError if a value is neither a number nor empty."""
    values = line.strip().split(",")
    if not line.endswith("\n") or len(values) != len(columns):
        return if_incomplete
    for value in values:
        float(value or "nan")
    return int(values[columns.index("step")])
