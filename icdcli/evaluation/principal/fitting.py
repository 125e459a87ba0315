"""Fit the weights of the choice of the principal diagnosis, on the validation split only.

It is a conditional logit (McFadden 1974): the log-probability of the principal diagnosis among the
codes of its document, as a function of three weights. Only the most likely codes of each document
are compared, and documents whose principal diagnosis isn't one of these are left out: in such a
model, the odds of two codes don't depend on the others. A small penalty keeps the weights near
their start if there are few documents, and none is below zero. A fit doesn't depend on earlier
ones, such as those of earlier validations of a run.

Shapes: N documents, C candidates of each, F features, L labels.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from icdcli.metrics.arrays import Floats
from icdcli.metrics.newton import newton
from icdcli.model.principal.choice import FEATURES, PrincipalChoice

_CANDIDATES = 100
_PENALTY = 1.0
_ITERATIONS, _TOLERANCE, _MOST = 30, 1e-6, 2.0
_AT_ONCE = 256  # documents


def fit_principal(
    choice: PrincipalChoice,
    scores_NL: NDArray[np.float32],
    own_NL: NDArray[np.float32],
    principal_N: NDArray[np.int64],
    split: str,
) -> PrincipalChoice:
    """Fit the weights.

    Args:
        choice: The choice; earlier weights don't matter.
        scores_NL: The fused scores of the codes.
        own_NL: The model's own logits of the principal diagnosis.
        principal_N: The label of each principal diagnosis; documents below 0 are left out.
        split: The split's name, stored with the weights.
    """
    known = np.flatnonzero(principal_N >= 0)
    features_NCF, gold_N = _candidates(choice, scores_NL, own_NL, known, principal_N[known])
    unfitted = replace(choice, weights=choice.start, tuned_on=None)
    if not len(gold_N):
        return unfitted
    start_F = np.array([choice.start[name] for name in FEATURES])
    used = np.ones(len(FEATURES), bool)
    weights_F = -np.ones(len(FEATURES))
    while used.any() and (weights_F < 0).any():
        weights_F = np.zeros(len(FEATURES))
        weights_F[used] = _fit(features_NCF[:, :, used], gold_N, start_F[used])
        used &= weights_F >= 0
    if not (weights_F > 0).any():  # nothing tells the documents' codes apart
        return unfitted
    weights = dict(zip(FEATURES, weights_F.tolist(), strict=True))
    return replace(choice, weights=weights, tuned_on=split)


def _candidates(
    choice: PrincipalChoice,
    scores_NL: NDArray[np.float32],
    own_NL: NDArray[np.float32],
    rows_N: NDArray[np.int64],
    gold_N: NDArray[np.int64],
) -> tuple[Floats, NDArray[np.int64]]:
    """Return the features of the most likely codes, and the place of the gold one among them."""
    count = min(_CANDIDATES, int(choice.possible_L.sum()))
    even = replace(choice, weights=dict.fromkeys(FEATURES, 1.0))
    blocks, golds = [np.empty((0, count, len(FEATURES)))], [np.empty(0, np.int64)]
    for start in range(0, len(rows_N), _AT_ONCE):
        rows_B = rows_N[start : start + _AT_ONCE]
        scores_BL, own_BL = scores_NL[rows_B], own_NL[rows_B]
        likely_BL = even.logits(scores_BL, own_BL)
        # Stable, so that equal scores give the same weights on every machine.
        chosen_BC = np.argsort(-likely_BL, axis=1, kind="stable")[:, :count]
        gold_BC = chosen_BC == gold_N[start : start + _AT_ONCE, None]
        kept_B = gold_BC.any(axis=1)
        found = choice.features(scores_BL, own_BL).values()
        shaped = (np.broadcast_to(values, scores_BL.shape) for values in found)
        features = [np.take_along_axis(values, chosen_BC, axis=1) for values in shaped]
        blocks.append(np.stack(features, axis=2)[kept_B])
        golds.append(gold_BC.argmax(axis=1)[kept_B])
    return np.concatenate(blocks).astype(np.float64), np.concatenate(golds)


def _fit(features_NCF: Floats, gold_N: NDArray[np.int64], start_F: Floats) -> Floats:
    gold_NF = features_NCF[np.arange(len(gold_N)), gold_N]

    def derivatives(weights_F: Floats) -> tuple[Floats, Floats]:
        logits_NC = features_NCF @ weights_F
        logits_NC -= logits_NC.max(axis=1, keepdims=True)
        shares_NC = np.exp(logits_NC)
        shares_NC /= shares_NC.sum(axis=1, keepdims=True)
        mean_NF = np.einsum("nc,ncf->nf", shares_NC, features_NCF)
        gradient_F = (mean_NF - gold_NF).sum(axis=0) + _PENALTY * (weights_F - start_F)
        hessian_FF = np.einsum(
            "nc,ncf,ncg->fg", shares_NC, features_NCF, features_NCF, optimize=True
        )
        hessian_FF += _PENALTY * np.eye(len(weights_F)) - mean_NF.T @ mean_NF
        return gradient_F, hessian_FF

    return newton(start_F, derivatives, _ITERATIONS, _TOLERANCE, _MOST)
