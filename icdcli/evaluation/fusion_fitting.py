"""Fit the weights of the fusion, on the validation split only.

It is a logistic regression over all pairs of a document and a code, with one weight per part and
one bias: a handful of numbers from hundreds of thousands of pairs. On CodiEsp the MAP was within
.001 of that of weights from a search for the best MAP, and unlike those these weights keep the
scores calibrated.

Shapes: N documents, L labels, X pairs of a block, P parts and a bias.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from icdcli.lexical.registry import type_of, view_of
from icdcli.metrics.arrays import Booleans, Floats
from icdcli.metrics.newton import newton
from icdcli.model.fusion import NETWORK, Fusion, Parts, document_blocks

_MOST_ITERATIONS = 30
_TOLERANCE = 1e-6
_MAX_CHANGE = 5.0
_DAMPING = 1e-7
"""Ridge penalty on the mean square that a part adds to the logits, in units of the loss per pair: a
part that carries no information keeps a weight of zero."""


_CERTAIN = 3.0
"""The standard errors by which the complete text must be better."""


def fit_fusion(parts: Parts, targets_NL: Booleans, split: str) -> Fusion:
    """Fit the weights, none of them below zero: a part with a negative weight is left out.

    Of lexical parts that read both the complete text and what it affirms, those of the complete
    text count only if the documents show with certainty that mentions are coded. With few
    documents, or with little gain, facts are coded.

    Args:
        parts: Part to its scores_NL on the split.
        targets_NL: The gold codes.
        split: The split's name.
    """
    fusion = _fit(parts, list(parts), targets_NL, split)
    known = {type_of(name).name for name in parts if view_of(name) != "all"}
    of_facts = [name for name in parts if name not in known]
    if all(fusion.weights[name] == 0 for name in known & set(parts)):
        return fusion
    facts = _fit(parts, of_facts, targets_NL, split)
    gain_N = _losses(parts, facts, targets_NL) - _losses(parts, fusion, targets_NL)
    error = gain_N.std(ddof=1) / np.sqrt(len(gain_N)) if len(gain_N) > 1 else np.inf
    return fusion if gain_N.mean() > _CERTAIN * error else facts


def _fit(parts: Parts, names: list[str], targets_NL: Booleans, split: str) -> Fusion:
    """Fit the weights of some parts; the others get none."""
    names = list(names)
    while True:
        weights, bias = _logistic(parts, names, targets_NL)
        worst = min(names, key=lambda name: weights[names.index(name)])
        if weights[names.index(worst)] >= 0 or len(names) == 1:
            found = dict(zip(names, (float(weight) for weight in weights), strict=True))
            return Fusion({name: max(found.get(name, 0.0), 0.0) for name in parts}, bias, split)
        names.remove(worst)


def _losses(parts: Parts, fusion: Fusion, targets_NL: Booleans) -> Floats:
    """Return the cross-entropy of each document."""
    losses_N = np.empty(len(targets_NL))
    for rows in document_blocks(parts):
        logits_BL = fusion.logits(parts, rows).astype(np.float64)
        losses_N[rows] = (np.logaddexp(0, logits_BL) - targets_NL[rows] * logits_BL).sum(axis=1)
    return losses_N


def _logistic(parts: Parts, names: Sequence[str], targets_NL: Booleans) -> tuple[Floats, float]:
    """Fit weights and bias by Newton's method, starting from the network's logits alone."""
    start_P = np.array([float(name == NETWORK) for name in names] + [0.0])
    damping_P = _DAMPING * np.array([*(_squares(parts[name]) for name in names), 0.0]) + 1e-12

    def derivatives(weights_P: Floats) -> tuple[Floats, Floats]:
        gradient_P, hessian_PP = damping_P * weights_P, np.diag(damping_P)
        for rows in document_blocks(parts):
            features_XP = np.stack(
                [*(parts[name][rows].ravel() for name in names), np.ones(targets_NL[rows].size)],
                axis=1,
            )
            chance_X = 1 / (1 + np.exp(-np.clip(features_XP @ weights_P, -30, 30)))
            gradient_P += features_XP.T @ (chance_X - targets_NL[rows].ravel())
            hessian_PP += features_XP.T @ (features_XP * (chance_X * (1 - chance_X))[:, None])
        return gradient_P, hessian_PP

    # A full step can overshoot if nearly all pairs are certain, hence the limit.
    weights_P = newton(start_P, derivatives, _MOST_ITERATIONS, _TOLERANCE, _MAX_CHANGE)
    return weights_P[:-1], float(weights_P[-1])


def _squares(part_NL: NDArray[np.floating]) -> float:
    """Return the sum of the squares of a part's scores."""
    return float(
        sum(
            np.square(part_NL[rows], dtype=np.float64).sum()
            for rows in document_blocks({NETWORK: part_NL})
        )
    )
