"""The risk-coverage curve: of the codes that are accepted from a score on, how many are wrong.

Shapes: P pairs of a document and a predicted code, Q points.
"""

import csv
import io
from typing import NamedTuple

import numpy as np

from icdcli.metrics.acceptance import FEWEST, PredictedPairs

_POINTS = 200


class RiskPoint(NamedTuple):
    """What is accepted from a score on.

    Attributes:
        score: The lowest score that is accepted.
        codes: The share of predicted codes that are accepted.
        notes: The share of notes that have predicted codes, all of which are accepted.
        precision: The share of accepted codes that are gold.
        low: The lower end of its 95 % interval.
        high: The upper end.
    """

    score: float
    codes: float
    notes: float
    precision: float
    low: float
    high: float


class RiskCoverage(NamedTuple):
    """The risk-coverage curve of a split.

    Attributes:
        points: Its points, from the highest score to the lowest; the first accepts as many codes
            as a table demands at least.
        area: The mean risk (1 − precision) over all coverages; NaN: nothing is predicted.
    """

    points: list[RiskPoint]
    area: float

    def to_csv(self) -> str:
        """Return the points as a table."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(RiskPoint._fields)
        writer.writerows([f"{value:.6f}" for value in point] for point in self.points)
        return text.getvalue()


def risk_coverage(pairs: PredictedPairs) -> RiskCoverage:
    """Return the risk-coverage curve of predicted codes, at up to 200 scores."""
    predicted = len(pairs.scores_P)
    if not predicted:
        return RiskCoverage([], float("nan"))
    order = np.argsort(-pairs.scores_P, kind="stable")
    scores_P, gold_P = pairs.scores_P[order], pairs.gold_P[order]
    # Codes with equal scores are accepted together.
    ends = np.flatnonzero(np.append(scores_P[1:] != scores_P[:-1], True))
    risks = 1 - np.cumsum(gold_P)[ends] / (ends + 1)
    area = float((risks * np.diff(ends, prepend=-1)).sum() / predicted)
    shown = ends[ends + 1 >= min(FEWEST, predicted)]
    places = np.unique(np.linspace(0, len(shown) - 1, _POINTS).round().astype(int))
    points = []
    for end in shown[places]:
        row = pairs.accepted_from(0, float(scores_P[end]))
        low, high = row.interval or (0.0, 1.0)
        points.append(
            RiskPoint(row.score or 0.0, row.codes, row.notes, row.observed or 0.0, low, high)
        )
    return RiskCoverage(points, area)
