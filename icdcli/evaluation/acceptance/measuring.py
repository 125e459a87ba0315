"""What a model's scores decide on a split: accepted codes, the risk, and the confidence."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from icdcli.evaluation.acceptance.confidence_gain import ConfidenceGain, confidence_gain
from icdcli.evaluation.acceptance.risk_coverage import RiskCoverage, risk_coverage
from icdcli.metrics.acceptance import AcceptanceTable, Accepted, PredictedPairs, fit_acceptance
from icdcli.metrics.arrays import Booleans, Scores
from icdcli.metrics.confidence import Confidence, fit_confidence, suggested_pairs

_VALIDATION = "validation"

SHOWN = (0.9, 0.95, 0.99)
"""The precisions that are shown of a table, which has more."""


@dataclass(frozen=True)
class Acceptance:
    """What a model's scores decide on a split.

    Attributes:
        fitted_on: The documents that the scores of `rows` were chosen on; None: there is no table.
        documents: The number of these documents.
        rows: A row for each precision: what its score accepts on this split. If it is the split
            that the scores were chosen on, precisions are those of documents that didn't choose.
        curve: The risk-coverage curve.
        confidence: What calibration is worth; None: the model has no confidence.
    """

    fitted_on: str | None
    documents: int
    rows: tuple[Accepted, ...]
    curve: RiskCoverage
    confidence: ConfidenceGain | None = None

    @property
    def shown(self) -> list[Accepted]:
        """Return the rows of `SHOWN`."""
        return [row for row in self.rows if row.precision in SHOWN]

    def to_json(self) -> dict[str, Any]:
        """Return the values for ``metrics.json``."""
        area = self.curve.area
        return {
            "fitted_on": self.fitted_on,
            "documents": self.documents,
            "area_under_risk_coverage": round(area, 6) if np.isfinite(area) else None,
            "rows": [row.to_json() for row in self.rows],
            "confidence": None if self.confidence is None else self.confidence.to_json(),
        }


def measure_acceptance(
    split: str,
    scores_NL: Scores,
    targets_NL: Booleans,
    threshold_L: Scores,
    table: AcceptanceTable | None = None,
    confidence: Confidence | None = None,
) -> Acceptance:
    """Measure what scores decide on a split.

    On the validation split, a missing table or confidence is fitted.

    Args:
        split: The split.
        scores_NL: Its scores.
        targets_NL: Its gold codes; further columns, of codes without scores, don't count.
        threshold_L: The threshold of each label.
        table: The model's acceptance table.
        confidence: The model's confidence.
    """
    targets_NL = targets_NL[:, : scores_NL.shape[1]]
    pairs = PredictedPairs.of_split(scores_NL, targets_NL, threshold_L)
    suggested = suggested_pairs(scores_NL, targets_NL, threshold_L)
    if split == _VALIDATION:
        table = table or fit_acceptance(pairs, split)
        confidence = confidence or fit_confidence(*suggested, split)
    rows: tuple[Accepted, ...] = ()
    if table is not None:
        rows = table.rows
        if table.fitted_on != split:
            rows = tuple(pairs.accepted_from(row.precision, row.score) for row in rows)
    return Acceptance(
        table.fitted_on if table else None,
        table.documents if table else 0,
        rows,
        risk_coverage(pairs),
        None if confidence is None else confidence_gain(confidence, *suggested, split),
    )
