"""Fit the weights of the fusion, on the validation split only.

It is a logistic regression over all pairs of a document and a code, with one weight per part and
one bias: a handful of numbers from hundreds of thousands of pairs. On CodiEsp the MAP was within
.001 of that of weights from a search for the best MAP, and unlike those these weights keep the
scores calibrated.

Pairs in which annotated evidence was found are fitted apart, if there are enough of them
(`icdcli.model.fusion.FoundWeights`).

Shapes: N documents, L labels, X pairs of a block, P parts and a bias.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from icdcli.lexical.registry import type_of, view_of
from icdcli.metrics.arrays import Booleans, Floats
from icdcli.metrics.newton import newton
from icdcli.model.fusion import (
    LEAST,
    NETWORK,
    UNKNOWN,
    FoundWeights,
    Fusion,
    Parts,
    UnseenWeights,
    document_blocks,
    is_evidence,
)

_MOST_ITERATIONS = 30
_TOLERANCE = 1e-6
_MAX_CHANGE = 5.0
_DAMPING = 1e-7
"""Ridge penalty on the mean square that a part adds to the logits, in units of the loss per pair: a
part that carries no information keeps a weight of zero."""


_CERTAIN = 3.0
"""The standard errors by which the complete text must be better."""

_KEPT = 1 << 26
"""The most numbers, of 8 bytes each, that a fit keeps in memory instead of gathering them again in
each iteration."""

_SAMPLED = 1 << 18
"""The pairs of a sample in which a fit to more than four times as many begins."""

_PAIRS_PER_WEIGHT = 10
"""The least pairs of a gold code, and of another, per weight that is fitted to them (Peduzzi et al.
1996)."""


def fit_fusion(
    parts: Parts,
    targets_NL: Booleans,
    split: str,
    *,
    by_evidence: bool = False,
    before: UnseenWeights | None = None,
) -> Fusion:
    """Fit the weights, none of them below zero: a part with a negative weight is left out.

    Of lexical parts that read both the complete text and what it affirms, those of the complete
    text count only if the documents show with certainty that mentions are coded. With few
    documents, or with little gain, facts are coded.

    Args:
        parts: Part to its scores_NL on the split.
        targets_NL: The gold codes.
        split: The split's name.
        by_evidence: Whether pairs in which annotated evidence was found have their own weights.
        before: The weights for codes that training has never seen, from an earlier fit to the same
            scores; None: fit them if there are such codes.
    """
    unseen_NL = parts[NETWORK] == UNKNOWN if NETWORK in parts else None
    if unseen_NL is not None and unseen_NL.any():
        seen_L = ~unseen_NL.all(axis=0)
        if (unseen_NL == ~seen_L).all():  # the same codes in all documents: columns are faster
            seen = {name: part[:, seen_L] for name, part in parts.items()}
            others = _fit_known(seen, targets_NL[:, seen_L], split, by_evidence)
        else:
            others = _fit_known(parts, targets_NL, split, by_evidence, ~unseen_NL)
        weights = before or _fit_unseen(parts, targets_NL, others, unseen_NL)
        return replace(others, unseen=weights)
    return _fit_known(parts, targets_NL, split, by_evidence)


def _fit_known(
    parts: Parts,
    targets_NL: Booleans,
    split: str,
    by_evidence: bool,
    pairs_NL: Booleans | None = None,
) -> Fusion:
    """Fit the weights for all pairs or some of them."""
    fusion = _fit(parts, list(parts), targets_NL, split, by_evidence, pairs_NL)
    if NETWORK not in parts:  # members of an ensemble, which have any names
        return fusion
    known = {type_of(name).name for name in parts if view_of(name) != "all"}
    of_facts = [name for name in parts if name not in known]
    if known.isdisjoint(_counting(fusion)):
        return fusion
    facts = _fit(parts, of_facts, targets_NL, split, by_evidence, pairs_NL)
    gain_N = _losses(parts, facts, targets_NL, pairs_NL) - _losses(
        parts, fusion, targets_NL, pairs_NL
    )
    error = gain_N.std(ddof=1) / np.sqrt(len(gain_N)) if len(gain_N) > 1 else np.inf
    return fusion if gain_N.mean() > _CERTAIN * error else facts


def _fit_unseen(
    parts: Parts, targets_NL: Booleans, known: Fusion, unseen_NL: Booleans
) -> UnseenWeights:
    """Fit the weights for codes that training has never seen.

    They are fitted to the documents' codes that training hasn't seen. If these are too few, the
    parts have the weights of other codes, and the bias is that at which the scores of all pairs sum
    up to the number of gold ones, at least one.

    Args:
        parts: Part to its scores_NL.
        targets_NL: The gold codes.
        known: The fusion of the other codes, whose parts are used.
        unseen_NL: The pairs with a code that training has never seen.
    """
    own = {name: parts[name][unseen_NL][:, None] for name in parts if name in _counting(known)}
    own = {name: part for name, part in own.items() if name != NETWORK and np.ptp(part) > 0}
    gold = targets_NL[unseen_NL][:, None]
    if own and _enough(np.ones_like(gold), gold, len(own)):
        return UnseenWeights(*_not_negative(own, list(own), gold))
    weights = {name: known.weights[name] for name in own}
    scores = np.zeros(gold.shape)
    for name, weight in weights.items():
        scores += weight * own[name]
    expected = max(1, int(np.count_nonzero(gold)))
    return UnseenWeights(weights, float(np.log(expected) - logsumexp(scores)))


def _counting(fusion: Fusion) -> set[str]:
    """Return the parts that a fusion counts or asks."""
    found = fusion.found
    weights = [*fusion.weights.items(), *(found.weights.items() if found else ())]
    return {name for name, weight in weights if weight > 0} | ({found.part} if found else set())


def _fit(
    parts: Parts,
    names: Sequence[str],
    targets_NL: Booleans,
    split: str,
    by_evidence: bool,
    pairs_NL: Booleans | None,
) -> Fusion:
    """Fit the weights of some parts; the others get none."""
    evidence = next((name for name in names if is_evidence(name)), None)
    if by_evidence and evidence is not None:
        found_NL = parts[evidence] > LEAST
        others_NL = ~found_NL
        if pairs_NL is not None:
            found_NL, others_NL = found_NL & pairs_NL, others_NL & pairs_NL
        if _enough(found_NL, targets_NL, len(names)) and _enough(others_NL, targets_NL, len(names)):
            others, bias = _not_negative(parts, names, targets_NL, others_NL)
            weights, own_bias = _not_negative(parts, names, targets_NL, found_NL)
            return Fusion(others, bias, split, FoundWeights(evidence, weights, own_bias))
    weights, bias = _not_negative(parts, names, targets_NL, pairs_NL)
    return Fusion(weights, bias, split)


def _enough(pairs_NL: Booleans, targets_NL: Booleans, parts: int) -> bool:
    """Return whether there are enough pairs to fit a bias and a weight for each part."""
    gold = int(np.count_nonzero(pairs_NL & targets_NL))
    others = int(np.count_nonzero(pairs_NL)) - gold
    return min(gold, others) >= _PAIRS_PER_WEIGHT * (parts + 1)


def _not_negative(
    parts: Parts, names: Sequence[str], targets_NL: Booleans, pairs_NL: Booleans | None = None
) -> tuple[dict[str, float], float]:
    """Fit weights of at least zero to all pairs or some, and return one for each part."""
    names = list(names)
    while True:
        weights, bias = _logistic(parts, names, targets_NL, pairs_NL)
        worst = min(names, key=lambda name: weights[names.index(name)])
        if weights[names.index(worst)] >= 0 or len(names) == 1:
            found = dict(zip(names, (float(weight) for weight in weights), strict=True))
            return {name: max(found.get(name, 0.0), 0.0) for name in parts}, bias
        names.remove(worst)


def _losses(
    parts: Parts, fusion: Fusion, targets_NL: Booleans, pairs_NL: Booleans | None
) -> Floats:
    """Return the cross-entropy of each document over all of its pairs or some."""
    losses_N = np.empty(len(targets_NL))
    for rows in document_blocks(parts):
        logits_BL = fusion.logits(parts, rows).astype(np.float64)
        losses_BL = np.logaddexp(0, logits_BL) - targets_NL[rows] * logits_BL
        if pairs_NL is not None:
            losses_BL *= pairs_NL[rows]
        losses_N[rows] = losses_BL.sum(axis=1)
    return losses_N


def _logistic(
    parts: Parts, names: Sequence[str], targets_NL: Booleans, pairs_NL: Booleans | None
) -> tuple[Floats, float]:
    """Fit weights and bias by Newton's method.

    A few iterations over all pairs are enough if it starts from the weights of a sample: all gold
    codes, and some of the other pairs. These have the bias of all pairs less the logarithm of the
    share of other pairs that are in the sample (King & Zeng 2001).
    """
    pairs = targets_NL.size if pairs_NL is None else int(np.count_nonzero(pairs_NL))
    if pairs > 4 * _SAMPLED:
        share = _SAMPLED / pairs
        sample_NL = _sample(parts, targets_NL, pairs_NL, share)
        weights, bias = _logistic(parts, names, targets_NL, sample_NL)
        start_P = np.array([*weights, bias + np.log(share)])
    else:  # from the network's logits alone, or from the mean of the members of an ensemble
        equal = 0.0 if NETWORK in parts else 1 / len(names)
        start_P = np.array([float(name == NETWORK) or equal for name in names] + [0.0])
    squares = (_squares(parts[name], pairs_NL) for name in names)
    damping_P = _DAMPING * np.array([*squares, 0.0]) + 1e-12

    kept: list[tuple[Booleans, Floats]] = []  # gathering some of the pairs takes half of the time
    if pairs * len(start_P) <= _KEPT:
        kept += _gathered(parts, names, targets_NL, pairs_NL)

    def derivatives(weights_P: Floats) -> tuple[Floats, Floats]:
        gradient_P, hessian_PP = damping_P * weights_P, np.diag(damping_P)
        for gold_X, features_XP in kept or _gathered(parts, names, targets_NL, pairs_NL):
            chance_X = 1 / (1 + np.exp(-np.clip(features_XP @ weights_P, -30, 30)))
            gradient_P += features_XP.T @ (chance_X - gold_X)
            hessian_PP += features_XP.T @ (features_XP * (chance_X * (1 - chance_X))[:, None])
        return gradient_P, hessian_PP

    # A full step can overshoot if nearly all pairs are certain, hence the limit.
    weights_P = newton(start_P, derivatives, _MOST_ITERATIONS, _TOLERANCE, _MAX_CHANGE)
    return weights_P[:-1], float(weights_P[-1])


def _sample(
    parts: Parts, targets_NL: Booleans, pairs_NL: Booleans | None, share: float
) -> Booleans:
    """Draw a share of all pairs or some, and add all gold codes among them."""
    generator, sample_NL = np.random.default_rng(0), targets_NL.copy()
    for rows in document_blocks(parts):
        sample_NL[rows] |= generator.random(sample_NL[rows].shape, np.float32) < share
    return sample_NL if pairs_NL is None else sample_NL & pairs_NL


def _gathered(
    parts: Parts, names: Sequence[str], targets_NL: Booleans, pairs_NL: Booleans | None
) -> Iterator[tuple[Booleans, Floats]]:
    """Yield the gold_X and the features_XP of each block of documents."""
    for rows in document_blocks(parts):
        gold_X = _pairs(targets_NL, rows, pairs_NL)
        features = (_pairs(parts[name], rows, pairs_NL) for name in names)
        yield gold_X, np.stack([*features, np.ones(gold_X.size)], axis=1)


def _pairs(values_NL: NDArray[Any], rows: slice, pairs_NL: Booleans | None) -> NDArray[Any]:
    """Return the values of a block's pairs, all or some."""
    values_BL = values_NL[rows]
    return values_BL.ravel() if pairs_NL is None else values_BL[pairs_NL[rows]]


def _squares(part_NL: NDArray[np.floating], pairs_NL: Booleans | None) -> float:
    """Return the sum of the squares of a part's scores."""
    return float(
        sum(
            np.square(_pairs(part_NL, rows, pairs_NL), dtype=np.float64).sum()
            for rows in document_blocks({NETWORK: part_NL})
        )
    )
