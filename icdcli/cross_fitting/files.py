"""The files of cross-fitting, in the folder ``cross_fitting/<splits>-<folds>/`` of a run.

    fold-<k>/                      the run of each fold, as every other run
    fold-<k>/held_out/<step>.npz   the network's logits of the documents held out, per validation
    fold-<k>/held_out/parts.npz    the scores of the lexical parts
    out_of_fold.json               what was found: epochs, metrics

Scores are those of patients' documents: the folders are 0700, the files 0600.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icdcli.errors import DataError
from icdcli.io.files import private_folder
from icdcli.io.npz import read_arrays, write_arrays
from icdcli.model.fusion import NETWORK
from icdcli.run_dir import RunDir

FOLDER = "cross_fitting"
SUMMARY = "out_of_fold.json"
_HELD_OUT, _PARTS = "held_out", "parts.npz"

PartScores = dict[str, NDArray[np.float32]]


def cross_fitting_folder(run: RunDir, train_on: str, folds: int) -> Path:
    """Return the folder of a run's folds."""
    return run.root / FOLDER / f"{train_on}-{folds}"


@dataclass(frozen=True)
class FoldRun:
    """The run of a fold.

    Attributes:
        folder: The folder of all folds.
        fold: Its number, counted from 1.
    """

    folder: Path
    fold: int

    @property
    def run(self) -> RunDir:
        """Return its run folder, which may not exist yet."""
        return RunDir(self.folder / f"fold-{self.fold}")

    @property
    def _held_out(self) -> Path:
        return self.run.root / _HELD_OUT

    def write_scores(self, step: int, parts: Mapping[str, NDArray[np.float32]]) -> None:
        """Write the scores of the documents held out; those of lexical parts only once.

        Raises:
            DataError: If they can't be written.
        """
        try:
            private_folder(self._held_out)
            lexical = {name: part for name, part in parts.items() if name != NETWORK}
            if not (self._held_out / _PARTS).exists():
                write_arrays(self._held_out / _PARTS, lexical)
            write_arrays(self._held_out / f"{step}.npz", {NETWORK: parts[NETWORK]})
        except OSError as error:
            raise DataError(
                f"{self._held_out}: can't be written ({error.strerror or error}). Free some space, "
                "then run the command again."
            ) from error

    @property
    def scored_steps(self) -> list[int]:
        """Return the steps after which the documents held out were scored."""
        names = (path.stem for path in self._held_out.glob("*.npz"))
        return sorted(int(name) for name in names if name.isdigit())

    def scores(self, step: int) -> PartScores:
        """Read the scores of all parts after a step.

        Raises:
            DataError: If they can't be read.
        """
        try:
            return {
                **read_arrays(self._held_out / f"{step}.npz"),
                **read_arrays(self._held_out / _PARTS),
            }
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self._held_out}: can't be read ({error}). Delete {self.run.root}, then run the "
                "command again."
            ) from error
