"""A member of an ensemble: a trained model, and its calibration.

Shapes: N documents, L labels of the ensemble, M labels of the member.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.reader import Labels
from icdcli.errors import ConfigError
from icdcli.model.coding_model import CodingModel


@dataclass(frozen=True)
class LogitCalibration:
    """The straight line by which a member's logits become calibrated log-odds.

    Attributes:
        slope: The factor.
        bias: The number that is added.
        tuned_on: What it was fitted on; None: it wasn't, and the logits stay as they are.
    """

    slope: float = 1.0
    bias: float = 0.0
    tuned_on: str | None = None

    def of(self, logits_NM: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated logits; the same array, changed in place."""
        if (self.slope, self.bias) != (1.0, 0.0):
            logits_NM *= np.float32(self.slope)
            logits_NM += np.float32(self.bias)
        return logits_NM

    def to_json(self) -> dict[str, Any]:
        """Return the content of a checkpoint."""
        return {"slope": self.slope, "bias": self.bias, "tuned_on": self.tuned_on}


UNCALIBRATED = LogitCalibration()
"""The calibration that changes nothing."""


@dataclass(frozen=True)
class Member:
    """A member of an ensemble.

    Attributes:
        name: Its name in the ensemble.
        model: The model.
        labels: The label space of the ensemble.
        neutral_L: What the member contributes to codes that it doesn't have: the log-odds of their
            frequency in training; see `neutral_logits`.
        calibration: The calibration of its logits.
    """

    name: str
    model: CodingModel
    labels: Labels
    neutral_L: NDArray[np.float32]
    calibration: LogitCalibration = UNCALIBRATED

    @property
    def lacks(self) -> int:
        """Return the number of the ensemble's codes that the member doesn't have."""
        return len(self.labels) - len(self.model.labels)

    @cached_property
    def places_M(self) -> NDArray[np.int64]:
        """Return the label of each of the member's codes in the ensemble.

        Raises:
            ConfigError: If the ensemble doesn't have one of the codes.
        """
        index = self.labels.index
        missing = [code for code in self.model.labels.codes if code not in index]
        if missing:
            raise ConfigError(
                f"{self.name}: has codes that the ensemble doesn't have: {', '.join(missing[:5])}"
            )
        return np.array([index[code] for code in self.model.labels.codes], np.int64)

    def calibrated(self, logits_NM: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the member's calibrated logits_NL of the ensemble's codes.

        Args:
            logits_NM: Its own logits, which are overwritten.
        """
        return self.placed(self.calibration.of(logits_NM))

    def placed(self, logits_NM: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits of the ensemble's codes, `neutral_L` for those that the member lacks."""
        if self.model.labels.codes == self.labels.codes:
            return logits_NM
        logits_NL = np.empty((len(logits_NM), len(self.labels)), np.float32)
        logits_NL[:] = self.neutral_L
        logits_NL[:, self.places_M] = logits_NM
        return logits_NL

    def own(self, labels: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the member's own labels of some labels of the ensemble; -1: it lacks the code."""
        own_L = np.full(len(self.labels), -1, np.int64)
        own_L[self.places_M] = np.arange(len(self.places_M))
        found: NDArray[np.int64] = own_L[labels]
        return found


def neutral_logits(labels: Labels, documents: int) -> NDArray[np.float32]:
    """Return the log-odds of each code's frequency among the training documents.

    A member that doesn't have a code knows nothing of it, and says so by this number: the code
    neither floods the predictions nor vanishes for the members that have it.

    Args:
        labels: The label space of the ensemble.
        documents: The number of training documents.
    """
    counts_L = np.minimum(np.array(labels.train_counts, np.float64), documents)
    return np.log((counts_L + 0.5) / (documents - counts_L + 0.5)).astype(np.float32)
