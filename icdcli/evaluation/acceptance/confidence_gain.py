"""What calibration gains: errors of scores as probabilities, before and after.

Shapes: P pairs of a document and a code that would be suggested.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from icdcli.metrics.arrays import Booleans, Floats, Integers
from icdcli.metrics.calibration import calibration_bins, expected_calibration_error
from icdcli.metrics.confidence import Confidence, held_out_shares


class ConfidenceGain(NamedTuple):
    """The errors of scores and of confidences, as probabilities that a suggested code is gold.

    Attributes:
        method: How the confidence was fitted; ``score``: nothing was better than the score.
        fitted_on: The documents that it was fitted on.
        pairs: The number of pairs of a document and a code.
        error_before: The expected calibration error of the scores.
        error_after: That of the confidences.
        brier_before: The mean squared difference of the scores from 1 (gold) and 0.
        brier_after: That of the confidences.
    """

    method: str
    fitted_on: str
    pairs: int
    error_before: float
    error_after: float
    brier_before: float
    brier_after: float

    def to_json(self) -> dict[str, Any]:
        """Return the values as they are printed."""
        return {
            name: round(value, 6) if isinstance(value, float) else value
            for name, value in self._asdict().items()
        }


def confidence_gain(
    confidence: Confidence,
    scores_P: Floats,
    gold_P: Booleans,
    documents_P: Integers,
    split: str,
) -> ConfidenceGain | None:
    """Compare scores with confidences on the codes of a split that would be suggested.

    On the documents that the confidence was fitted on, those of each fold get the confidence that
    the method gives without them.

    Args:
        confidence: The confidence of the model.
        scores_P: The scores.
        gold_P: Whether each code is gold.
        documents_P: The place of its document.
        split: The split.

    Returns:
        The comparison; None: there are no pairs.
    """
    if not len(scores_P):
        return None
    if confidence.fitted_on == split:
        shares_P = held_out_shares(confidence.method, scores_P, gold_P, documents_P)
    else:
        shares_P = confidence.of(scores_P)
    return ConfidenceGain(
        confidence.method,
        confidence.fitted_on or "nothing",
        len(scores_P),
        _error(scores_P, gold_P),
        _error(shares_P, gold_P),
        _brier(scores_P, gold_P),
        _brier(shares_P, gold_P),
    )


def _error(shares_P: Floats, gold_P: Booleans) -> float:
    bins_B3 = calibration_bins(shares_P[:, None].astype(np.float32), gold_P[:, None]).sum(axis=0)
    return float(expected_calibration_error(bins_B3))


def _brier(shares_P: Floats, gold_P: npt.NDArray[np.bool_]) -> float:
    return float(np.square(shares_P - gold_P).mean())
