"""Acceptance: the scores from which codes can be accepted without review, at a precision.

`fit_acceptance` chooses, for each precision of `PRECISIONS`, the score from which so many of the
predicted codes are gold. The lowest score whose accepted codes reach the precision on some
documents is lucky there: on other documents, the same score gives a little less. So each score is
chosen by cross-fitting. Of ten folds of the documents, nine choose a score by a demand and the
tenth counts what that score accepts; the demand rises until the ten counts together reach the
precision. The score is then chosen on all documents by the same demand, and its bounds are those of
the ten counts. If no demand is enough, no score reaches the precision.

Shapes: N documents, L labels, P pairs of a document and a predicted code, F folds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from icdcli.metrics.arrays import Booleans, Floats, Integers, Scores, row_blocks
from icdcli.metrics.proportions import clustered_interval

PRECISIONS = tuple(round(0.8 + step / 100, 2) for step in range(20))
"""The precisions that a table has a row for: .80, .81 … .99."""

FEWEST = 30
"""The fewest codes that a score must accept, in the folds that it is chosen on."""

_FOLDS = 10
_DIGITS = 6  # of scores in predictions
_MORE = 12  # steps by which a demand rises
_NOTHING = 2.0  # a score that accepts nothing


class Accepted(NamedTuple):
    """What a score accepts.

    Attributes:
        precision: The precision that it is for.
        score: The lowest score that is accepted; None: no score reaches the precision.
        codes: The share of predicted codes that it accepts.
        notes: The share of notes that have predicted codes, all of which it accepts.
        accepted: The accepted codes that were counted for the observed precision.
        right: The number of them that are gold.
        interval: The 95 % interval of the observed precision; None: nothing was accepted.
    """

    precision: float
    score: float | None
    codes: float = 0.0
    notes: float = 0.0
    accepted: int = 0
    right: int = 0
    interval: tuple[float, float] | None = None

    @property
    def observed(self) -> float | None:
        """Return the observed precision; None: nothing was accepted."""
        return self.right / self.accepted if self.accepted else None

    def to_json(self) -> dict[str, Any]:
        """Return the values as they are stored and printed."""
        interval = None if self.interval is None else [round(end, 6) for end in self.interval]
        observed = None if self.observed is None else round(self.observed, 6)
        shares = {"codes": round(self.codes, 6), "notes": round(self.notes, 6)}
        return self._asdict() | shares | {"observed": observed, "interval": interval}


@dataclass(frozen=True)
class AcceptanceTable:
    """The scores from which codes can be accepted without review.

    Attributes:
        fitted_on: The documents that it was chosen on, such as ``validation``.
        documents: Their number.
        rows: A row for each of `PRECISIONS`.
    """

    fitted_on: str
    documents: int
    rows: tuple[Accepted, ...]

    def row(self, precision: float) -> Accepted | None:
        """Return the row of a precision; None: the table has none."""
        return next((row for row in self.rows if abs(row.precision - precision) < 1e-9), None)

    def to_json(self) -> dict[str, Any]:
        """Return the content of a checkpoint, as `from_json` reads it."""
        rows = [row.to_json() for row in self.rows]
        return {"fitted_on": self.fitted_on, "documents": self.documents, "rows": rows}

    @classmethod
    def from_json(cls, content: Mapping[str, Any] | None) -> "AcceptanceTable | None":
        """Return the table of a checkpoint; None: it has none."""
        if content is None:
            return None
        rows = []
        for row in content["rows"]:
            values = {name: row[name] for name in Accepted._fields}
            if values["interval"] is not None:
                values["interval"] = tuple(values["interval"])
            rows.append(Accepted(**values))
        return cls(content["fitted_on"], content["documents"], tuple(rows))


@dataclass(frozen=True)
class PredictedPairs:
    """The pairs of a document and a code that is predicted for it.

    Attributes:
        scores_P: The scores, rounded as predictions are.
        gold_P: Whether each code is gold.
        rows_P: The place of its document.
        documents: The number of documents, with those for which nothing is predicted.
    """

    scores_P: Floats
    gold_P: Booleans
    rows_P: Integers
    documents: int

    @classmethod
    def of_split(
        cls, scores_NL: Scores, targets_NL: Booleans, threshold_L: Scores
    ) -> "PredictedPairs":
        """Find the pairs of a split by the threshold of each label."""
        scores, gold, rows = [], [], []
        for block in row_blocks(*scores_NL.shape):
            predicted_BL = scores_NL[block] >= threshold_L
            scores.append(scores_NL[block][predicted_BL])
            gold.append(targets_NL[block][predicted_BL])
            rows.append(np.nonzero(predicted_BL)[0] + block.start)
        return cls.of(
            np.concatenate(scores), np.concatenate(gold), np.concatenate(rows), len(scores_NL)
        )

    @classmethod
    def of(
        cls,
        scores_P: npt.ArrayLike,
        gold_P: npt.ArrayLike,
        rows_P: npt.ArrayLike,
        documents: int,
    ) -> "PredictedPairs":
        """Make the pairs of values of any type."""
        rounded_P: Floats = np.asarray(scores_P, np.float64).round(_DIGITS)
        return cls(rounded_P, np.asarray(gold_P, bool), np.asarray(rows_P, np.int64), documents)

    def accepted_from(self, precision: float, score: float | None) -> Accepted:
        """Return what a score accepts of these pairs, and how much of it is gold.

        Args:
            precision: The precision that the score is for.
            score: The lowest score that is accepted; None: nothing is.
        """
        if score is None:
            return Accepted(precision, None)
        return self.counted(precision, score, self.scores_P >= score)

    def counted(self, precision: float, score: float, inside_P: Booleans) -> Accepted:
        """Return what a score accepts, with a precision that is observed on some of the pairs.

        Args:
            precision: The precision that the score is for.
            score: The lowest score that is accepted.
            inside_P: The pairs to count.
        """
        accepted_P = self.scores_P >= score
        notes = len(np.setdiff1d(self.rows_P, self.rows_P[~accepted_P]))
        gold_P, rows_P = self.gold_P[inside_P], self.rows_P[inside_P]
        return Accepted(
            precision,
            score,
            float(accepted_P.mean()) if len(accepted_P) else 0.0,
            notes / self.documents if self.documents else 0.0,
            int(inside_P.sum()),
            int(gold_P.sum()),
            clustered_interval(gold_P, rows_P),
        )


def fit_acceptance(pairs: PredictedPairs, fitted_on: str) -> AcceptanceTable | None:
    """Choose the scores from which codes can be accepted.

    Args:
        pairs: The predicted codes of documents that the model wasn't trained on.
        fitted_on: What these documents are, such as ``validation``.

    Returns:
        The table; None: fewer than `FEWEST` codes are predicted.
    """
    if len(pairs.scores_P) < FEWEST:
        return None
    folds_P = np.unique(pairs.rows_P, return_inverse=True)[1] % _FOLDS
    choosers = [_Chooser(pairs, folds_P != fold) for fold in range(_FOLDS)]
    of_all = _Chooser(pairs, np.ones(len(folds_P), bool))
    rows = []
    for precision in PRECISIONS:
        row = Accepted(precision, None)
        for demand in _demands(precision):
            score = of_all.lowest(demand)
            if score == _NOTHING:
                break
            scores_F = np.array([chooser.lowest(demand) for chooser in choosers])
            inside_P = pairs.scores_P >= scores_F[folds_P]
            if inside_P.sum() >= FEWEST and pairs.gold_P[inside_P].mean() >= precision:
                row = pairs.counted(precision, score, inside_P)
                break
        rows.append(row)
    return AcceptanceTable(fitted_on, pairs.documents, _rising(rows))


def _demands(precision: float) -> Iterator[float]:
    """Yield the precisions that are demanded of the documents that choose a score."""
    for step in range(_MORE + 1):
        yield precision + (1 - precision) * step / (_MORE + 1)


def _rising(rows: list[Accepted]) -> tuple[Accepted, ...]:
    """Return the rows with scores that never fall: a higher precision never accepts more."""
    kept: list[Accepted] = []
    for row in reversed(rows):
        higher = kept[-1] if kept else row
        if higher.score is not None and (row.score is None or row.score > higher.score):
            row = higher._replace(precision=row.precision)
        kept.append(row)
    return tuple(kept[::-1])


class _Chooser:
    """Chooses the lowest score whose accepted codes have a precision."""

    def __init__(self, pairs: PredictedPairs, used_P: Booleans) -> None:
        order = np.argsort(-pairs.scores_P[used_P], kind="stable")
        scores_P, gold_P = pairs.scores_P[used_P][order], pairs.gold_P[used_P][order]
        numbers_P = np.arange(1, len(scores_P) + 1)
        # Codes with equal scores are accepted together.
        last_P = np.append(scores_P[1:] != scores_P[:-1], True) & (numbers_P >= FEWEST)
        self._scores = scores_P[last_P]
        precisions = (np.cumsum(gold_P) / numbers_P)[last_P]
        # The highest precision of this score and of all lower ones: it never rises on the way down.
        self._highest = np.maximum.accumulate(precisions[::-1])[::-1]

    def lowest(self, precision: float) -> float:
        """Return the score; `_NOTHING` if no score reaches the precision."""
        reaching = int(np.searchsorted(-self._highest, -precision, "right"))
        return float(self._scores[reaching - 1]) if reaching else _NOTHING
