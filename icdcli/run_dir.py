"""The run folder: what it is called, what lies where in it, and how its files are written.

Every file is written beside its name and renamed into place, so that a reader never meets half a file; the two tables that grow
are appended to a whole line at a time.
"""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from icdcli.errors import ConfigError

CHECKPOINTS = ("metric", "loss", "last")
STEP_COLUMNS = ("step", "epoch", "train_loss", "lr", "tokens_per_second")
RESULT_COLUMNS = ("epoch", "step", "seconds", "train_loss", "validation_loss", "lr")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, and flushed to the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    data = content.encode() if isinstance(content, str) else content
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def require_project(project: Path) -> None:
    """See that runs can be made in a project folder, before anything costly is done for one; nothing is written.

    Raises:
        ConfigError: When they can't.
    """
    there = next(path for path in (project.absolute(), *project.absolute().parents) if path.exists())
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
                    raise ConfigError(f"{project}: is a file; `project:` must be a folder") from None
                number += 1
            except OSError as error:
                raise ConfigError(f"{root}: can't be made ({error.strerror}); set `project:` elsewhere") from None
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
            raise ConfigError(f"{root}: is no run folder (it has no args.yaml); give the folder that `icdcode train` named")
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


def append_row(path: Path, columns: Sequence[str], row: Mapping[str, float | int | str]) -> None:
    """Add a line to a CSV file, after its header where the file is new; one write, so no half lines."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    if not path.exists() or path.stat().st_size == 0:
        writer.writeheader()
    writer.writerow(dict(row))
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text.getvalue())


def read_rows(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file as mappings of strings; none where there is no file yet."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def set_aside_after(path: Path, step: int) -> int:
    """Move the rows of later steps out of a table, into ``<name>.superseded.csv`` beside it.

    Going back to an earlier checkpoint makes what came after it another history: kept, but no longer this run's.

    Returns:
        How many rows were moved.
    """
    rows = read_rows(path)
    later = [row for row in rows if int(row["step"]) > step]
    if later:
        aside = path.with_name(f"{path.stem}.superseded.csv")
        for row in later:
            append_row(aside, list(row), row)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows if int(row["step"]) <= step)
        write_atomically(path, text.getvalue())
    return len(later)
