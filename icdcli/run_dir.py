"""The run folder: what it is called, what lies where in it, and how its tables grow, a whole line at a time."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from icdcli.errors import ConfigError, DataError, ResumeError
from icdcli.io.files import write_atomically, writing

CHECKPOINTS = ("metric", "loss", "last")
STEP_COLUMNS = ("step", "epoch", "train_loss", "lr", "tokens_per_second")
RESULT_COLUMNS = ("epoch", "step", "seconds", "train_loss", "validation_loss", "lr")


def require_project(project: Path) -> None:
    """See that runs can be made in a project folder, before anything costly is done for one; nothing is written.

    Raises:
        ConfigError: When they can't.
    """
    there = next(
        path for path in (project.absolute(), *project.absolute().parents) if path.exists()
    )
    if not there.is_dir():
        raise ConfigError(f"{there}: is a file; `project:` must be a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{there}: can't be written; set `project:` elsewhere")


@dataclass(frozen=True)
class RunDir:
    """One run's folder.

    Attributes:
        root: The folder, ``<project>/<name>`` with a number where the name was taken.
    """

    root: Path

    @classmethod
    def create(cls, project: Path, name: str) -> "RunDir":
        """Make the folder ``name``, or the first free one of ``name2``, ``name3`` and so on.

        Raises:
            ConfigError: When the project folder can't be written.
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
                        f"{project}: is a file; `project:` must be a folder"
                    ) from None
                number += 1
            except OSError as error:
                raise ConfigError(
                    f"{root}: can't be made ({error.strerror}); set `project:` elsewhere"
                ) from None
            else:
                return cls(root)

    @classmethod
    def open(cls, root: Path) -> "RunDir":
        """The folder of an earlier run.

        Raises:
            ConfigError: When it is no run folder.
        """
        if not root.is_dir():
            raise ConfigError(f"{root}: there is no such run folder")
        if not (root / "args.yaml").is_file():
            raise ConfigError(
                f"{root}: is no run folder (it has no args.yaml); give the folder that `icdcode train` named"
            )
        return cls(root)

    @property
    def args(self) -> Path:
        """The configuration as run."""
        return self.root / "args.yaml"

    @property
    def results(self) -> Path:
        """A row a validation."""
        return self.root / "results.csv"

    @property
    def steps(self) -> Path:
        """A row a logged step."""
        return self.root / "steps.csv"

    @property
    def lr_schedule(self) -> Path:
        """The picture of the learning-rate schedule."""
        return self.root / "vis_outputs" / "lr_schedule.png"

    @property
    def learning_curves(self) -> Path:
        """The picture of losses and metrics over the epochs."""
        return self.root / "vis_outputs" / "learning_curves.png"

    def checkpoint(self, name: str) -> Path:
        """The folder of a checkpoint: ``metric``, ``loss`` or ``last``."""
        return self.root / "weights" / name

    def evaluation(self, split: str) -> Path:
        """The folder of a split's evaluation."""
        return self.root / "evaluation" / split


def find_checkpoint(run: RunDir, name: str) -> Path:
    """The folder of a run's checkpoint; that of its step, so that it stays the same one when a training moves the name on.

    Raises:
        ResumeError: When the run has none of this name; the message names those that it has.
    """
    folder = checkpoint_folder(run, name)
    if folder is None:
        there = [other for other in CHECKPOINTS if checkpoint_folder(run, other) is not None]
        hint = f"it ended before its first checkpoint; begin anew with `icdcode train {run.args}`"
        if there:
            hint = f"it has {', '.join(there)}: choose one with --load"
        raise ResumeError(f"{run.root}: has no checkpoint {name!r}; {hint}")
    return folder


def checkpoint_folder(run: RunDir, name: str) -> Path | None:
    """The folder that a name stands for; None where there is none."""
    path = run.checkpoint(name)
    if path.is_symlink() and path.is_dir():
        return path.parent / os.readlink(path)
    # The latter where a process ended between the two renames.
    return next(
        (folder for folder in (path, folder_between_renames(path)) if folder.is_dir()), None
    )


def folder_between_renames(name: Path) -> Path:
    """Return the folder that holds a checkpoint between the two renames that replace it."""
    return name.with_name(f".previous-{name.name}")


def append_row(path: Path, columns: Sequence[str], row: Mapping[str, float | int | str]) -> None:
    """Add a line to a CSV file, after its header where the file is new; the whole line or nothing.

    Raises:
        DataError: When it can't be written.
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
    """The lines of a CSV file as mappings of strings; none where there is no file yet."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def later_rows(run: RunDir, step: int, validated: int) -> int:
    """How many rows of the two tables `set_aside_after` would move.

    Raises:
        DataError: When a table is not as training wrote it.
    """
    return len(_split_at(run.results, validated)[1]) + len(_split_at(run.steps, step)[1])


def set_aside_after(run: RunDir, step: int, validated: int) -> list[Path]:
    """Move the rows of later steps into ``results.before-<n>.csv`` and ``steps.before-<n>.csv``, n the first that is free.

    Going back to an earlier checkpoint makes what came after it another history: kept, but no longer this run's.

    Args:
        run: The run's folder.
        step: The checkpoint's step; later rows of steps.csv are moved.
        validated: The step of its last validation, which may still be to come at `step`; the same for results.csv.

    Returns:
        The files that hold them now.

    Raises:
        DataError: When a table is not as training wrote it, or can't be written.
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
    """A table's lines: the header and those up to a step; those of later ones and, after a power cut, half a line."""
    try:
        lines = (
            table.read_text(encoding="utf-8").splitlines(keepends=True) if table.exists() else []
        )
        columns = lines[0].strip().split(",") if lines else []
        steps = [_step_of(line, columns, step + 1) for line in lines[1:]]
    except ValueError:
        raise DataError(
            f"{table}: is not as training wrote it; put it back, or move it away"
        ) from None
    rows = list(zip(steps, lines[1:], strict=True))
    return lines[:1] + [line for at, line in rows if at <= step], [
        line for at, line in rows if at > step
    ]


def _step_of(line: str, columns: list[str], of_half_a_line: int) -> int:
    """A row's step; ValueError where a value is no number (it may be empty)."""
    values = line.strip().split(",")
    if not line.endswith("\n") or len(values) != len(columns):
        return of_half_a_line
    for value in values:
        float(value or "nan")
    return int(values[columns.index("step")])
