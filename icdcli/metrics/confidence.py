"""Confidence: the share of gold codes that reviewers can expect among codes with a score.

A score of 0.7 doesn't mean that seven in ten such codes are right. `fit_confidence` learns on the
validation split what scores mean there: from the pairs of a document and a code that would be
suggested (the highest scores of a document, and what reaches the threshold), it fits a function
that never falls, by two methods. *Platt* (1999) is a straight line on the scale of log-odds, for
little data; *isotonic* (Zadrozny and Elkan 2002) is the best function that never falls, smoothed
between the means of its levels. Of the two, it takes the one with the lower log loss on documents
that it wasn't fitted on, or neither if the scores themselves are best.

Shapes: N documents, L labels, P pairs, G groups of pairs with similar scores, K points.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from icdcli.metrics.arrays import Booleans, Floats, Integers, Scores, row_blocks
from icdcli.metrics.newton import newton

SUGGESTED = 20
"""The highest-scored codes of a document that are fitted on, besides all predicted ones."""

_FOLDS = 5
_FEWEST = 20  # pairs of each outcome; fewer say too little
_GROUPS = 1000
_PENALTY = 1e-3  # keeps the line finite if scores separate right from wrong
_CLOSEST = 1e-6  # scores are written with six digits

ConfidenceMethod = Literal["platt", "isotonic", "score"]
Points = tuple[tuple[float, float], ...]
"""Log-odds of scores, and of the shares that they mean."""


@dataclass(frozen=True)
class Confidence:
    """A function from scores to the share of gold codes among codes with such scores.

    Attributes:
        method: How it was fitted; ``score``: the score itself.
        points: Log-odds of scores and of shares; linear in between, and level outside of them.
        fitted_on: The split that it was fitted on; None: it wasn't.
        log_loss: The log loss on documents that it wasn't fitted on; None: unknown.
        log_loss_of_score: The same of the score itself.
    """

    method: ConfidenceMethod = "score"
    points: Points = ()
    fitted_on: str | None = None
    log_loss: float | None = None
    log_loss_of_score: float | None = None

    def of(self, scores: npt.ArrayLike) -> Floats:
        """Return the confidence of scores of any shape."""
        scores = np.asarray(scores, np.float64)
        if not self.points:
            return scores
        places, values = np.array(self.points).T
        return _share(np.interp(_log_odds(scores), places, values))

    def to_json(self) -> dict[str, Any]:
        """Return the content of a checkpoint, as `from_json` reads it."""
        return {
            "method": self.method,
            "points": [list(point) for point in self.points],
            "fitted_on": self.fitted_on,
            "log_loss": self.log_loss,
            "log_loss_of_score": self.log_loss_of_score,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any] | None) -> "Confidence | None":
        """Return the confidence of a checkpoint; None: it has none."""
        if content is None:
            return None
        points = tuple((float(place), float(value)) for place, value in content["points"])
        return cls(**{**content, "points": points})


def suggested_pairs(
    scores_NL: Scores, targets_NL: Booleans, threshold_L: Scores
) -> tuple[Floats, Booleans, Integers]:
    """Return the pairs of a document and a code that would be suggested.

    Args:
        scores_NL: The scores of a split.
        targets_NL: Its gold codes.
        threshold_L: The threshold of each label.

    Returns:
        scores_P, whether each code is gold (P,), and the place of its document (P,).
    """
    documents, labels = scores_NL.shape
    scores, gold, rows = [], [], []
    for block in row_blocks(documents, labels):
        scores_BL = scores_NL[block]
        chosen_BL = scores_BL >= threshold_L
        if labels > SUGGESTED:
            lowest_B1 = np.partition(scores_BL, labels - SUGGESTED, axis=1)[
                :, labels - SUGGESTED, None
            ]
            chosen_BL |= scores_BL >= lowest_B1
        else:
            chosen_BL[:] = True
        scores.append(scores_BL[chosen_BL])
        gold.append(targets_NL[block][chosen_BL])
        rows.append(np.nonzero(chosen_BL)[0] + block.start)
    return np.concatenate(scores).astype(np.float64), np.concatenate(gold), np.concatenate(rows)


def fit_confidence(
    scores_P: npt.ArrayLike, gold_P: npt.ArrayLike, documents_P: npt.ArrayLike, split: str
) -> Confidence | None:
    """Fit the confidence to pairs of a document and a code.

    Args:
        scores_P: The scores.
        gold_P: Whether each code is gold.
        documents_P: The document of each pair, as numbers: whole documents are left out to choose
            the method.
        split: The split's name, which is stored.

    Returns:
        The function; None: there are too few pairs.
    """
    odds_P, gold_P = _log_odds(scores_P), np.asarray(gold_P, bool)
    right = int(gold_P.sum())
    if min(right, len(gold_P) - right) < _FEWEST:
        return None
    methods: tuple[ConfidenceMethod, ...] = ("score", *_FITS)
    losses = {
        method: _log_loss(held_out_shares(method, scores_P, gold_P, documents_P), gold_P)
        for method in methods
    }
    best = min(losses, key=lambda method: losses[method])
    points = _FITS[best](odds_P, gold_P) if best in _FITS else ()
    return Confidence(best, points, split, round(losses[best], 6), round(losses["score"], 6))


def held_out_shares(
    method: ConfidenceMethod,
    scores_P: npt.ArrayLike,
    gold_P: npt.ArrayLike,
    documents_P: npt.ArrayLike,
) -> Floats:
    """Return the confidence of each pair by a fit to four fifths of the documents, without its own.

    Args:
        method: How the confidence is fitted.
        scores_P: The scores.
        gold_P: Whether each code is gold.
        documents_P: The document of each pair, as numbers.
    """
    odds_P, gold_P = _log_odds(scores_P), np.asarray(gold_P, bool)
    if method not in _FITS:
        return _share(odds_P)
    folds_P = np.unique(np.asarray(documents_P), return_inverse=True)[1] % _FOLDS
    shares_P = np.empty(len(odds_P))
    for fold in range(_FOLDS):
        inside_P = folds_P == fold
        fitted = Confidence(method, _FITS[method](odds_P[~inside_P], gold_P[~inside_P]))
        shares_P[inside_P] = fitted.of(_share(odds_P[inside_P]))
    return shares_P


def _platt(odds_P: Floats, gold_P: Booleans) -> Points:
    """Return two points of the line with the highest likelihood."""
    design_P2 = np.stack([np.ones_like(odds_P), odds_P], axis=1)
    prior_2 = np.array([0.0, 1.0])  # the score itself

    def derivatives(line_2: Floats) -> tuple[Floats, Floats]:
        share_P = _share(design_P2 @ line_2)
        weight_P = share_P * (1 - share_P)
        gradient_2 = design_P2.T @ (share_P - gold_P) + _PENALTY * (line_2 - prior_2)
        hessian_22 = (design_P2 * weight_P[:, None]).T @ design_P2 + _PENALTY * np.eye(2)
        return gradient_2, hessian_22

    below, slope = newton(prior_2, derivatives, 100, 1e-9, max_change=1.0)
    if slope < 0:  # higher scores are worse: all that is known is the share of all
        below, slope = float(_log_odds(gold_P.mean())), 0.0
    ends = (float(_log_odds(0)), float(_log_odds(1)))
    return tuple((end, float(below + slope * end)) for end in ends)


def _isotonic(odds_P: Floats, gold_P: Booleans) -> Points:
    """Return the mean score and the share of each level of the best function that never falls."""
    order = np.argsort(odds_P, kind="stable")
    odds_P, gold_P = odds_P[order], gold_P[order]
    # Groups of equal size, but pairs with the same score are in the same group.
    first_P = np.searchsorted(odds_P, odds_P, side="left")
    starts = np.unique(first_P * _GROUPS // len(odds_P), return_index=True)[1]
    counts_G = np.diff(np.append(starts, len(odds_P))).astype(float)
    levels = pooled(np.add.reduceat(gold_P.astype(float), starts) / counts_G, counts_G)
    means_G = np.add.reduceat(odds_P, starts) / counts_G
    closest = 0.5 / (len(odds_P) + 1)  # nothing is certain
    points = []
    for begin, end, share in levels:
        weights_G = counts_G[begin:end]
        place = float((means_G[begin:end] * weights_G).sum() / weights_G.sum())
        value = float(_log_odds(min(max(share, closest), 1 - closest)))
        points.append((round(place, 6), round(value, 6)))
    return tuple(points)


def pooled(shares_G: Floats, weights_G: Floats) -> list[tuple[int, int, float]]:
    """Return the levels of the closest values that never fall, by pooling adjacent violators.

    Returns:
        For each level the first group, the group after the last one, and the value.
    """
    levels: list[tuple[int, int, float, float]] = []
    for group, (share, weight) in enumerate(
        zip(shares_G.tolist(), weights_G.tolist(), strict=True)
    ):
        begin = group
        while levels and levels[-1][2] >= share:
            begin, _, before, its_weight = levels.pop()
            share = (before * its_weight + share * weight) / (its_weight + weight)
            weight += its_weight
        levels.append((begin, group + 1, share, weight))
    return [(begin, end, share) for begin, end, share, _ in levels]


_FITS: dict[ConfidenceMethod, Callable[[Floats, Booleans], Points]] = {
    "platt": _platt,
    "isotonic": _isotonic,
}


def _log_odds(share: npt.ArrayLike) -> Floats:
    clipped = np.clip(np.asarray(share, np.float64), _CLOSEST, 1 - _CLOSEST)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _share(log_odds: npt.ArrayLike) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.asarray(log_odds, np.float64))))


def _log_loss(shares_P: Floats, gold_P: Booleans) -> float:
    right_P = np.clip(np.where(gold_P, shares_P, 1 - shares_P), 1e-12, 1)
    return float(-np.log(right_P).mean())
