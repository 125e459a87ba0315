"""Fit the second stage to out-of-fold scores: it learns from scores of documents as if new.

Shapes: N documents, L labels, C candidates, X features.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icdcli.metrics.arrays import Booleans
from icdcli.model.second_stage.candidates import (
    LabelFacts,
    candidates,
    features_of,
    without_impossible,
)
from icdcli.model.second_stage.reordering import SecondStage
from icdcli.model.second_stage.trees import Trees

_OPTIONS = {
    "max_iter": 150,
    "learning_rate": 0.06,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 40,
    "l2_regularization": 10.0,
    "max_features": 0.5,
    "early_stopping": False,
    "random_state": 0,
}
_SAME = 1e-6


@dataclass(frozen=True)
class StageRows:
    """The candidates of some documents.

    Attributes:
        documents_C: The document of each.
        labels_C: Its label.
        features_CX: Its features.
    """

    documents_C: NDArray[np.int64]
    labels_C: NDArray[np.int64]
    features_CX: NDArray[np.float32]


def stage_rows(
    parts: Mapping[str, NDArray[np.float32]],
    fused_NL: NDArray[np.float32],
    possible_NL: Booleans,
    codes: tuple[str, ...],
    counts_FL: NDArray[np.int64],
    folds_N: NDArray[np.int64],
) -> StageRows:
    """Return the candidates of documents held out, with their features.

    Args:
        parts: Part to scores.
        fused_NL: The fused logits.
        possible_NL: The codes that each document's model has.
        codes: The codes of the labels.
        counts_FL: The documents outside of each fold that have each code.
        folds_N: The fold of each document.
    """
    facts = [LabelFacts(codes, counts_L) for counts_L in counts_FL]
    labels: list[NDArray[np.int64]] = []
    features: list[NDArray[np.float32]] = []
    for place, fold in enumerate(folds_N.tolist()):
        row, fused_L = without_impossible(
            {name: part[place] for name, part in parts.items()}, fused_NL[place], possible_NL[place]
        )
        found = candidates(row, fused_L)
        found = found[possible_NL[place][found]]
        labels.append(found)
        features.append(features_of(row, fused_L, found, facts[fold]))
    documents_C = np.repeat(np.arange(len(labels)), [len(found) for found in labels])
    return StageRows(documents_C, np.concatenate(labels), np.concatenate(features))


def fit_trees(features_CX: NDArray[np.float32], gold_C: Booleans) -> Trees:
    """Fit trees whose sum is the log-odds that a candidate is gold."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(**_OPTIONS).fit(features_CX, gold_C)
    trees = _arrays_of(model)
    some_CX = features_CX[:: max(len(features_CX) // 1_000, 1)]
    if np.abs(trees.sums(some_CX) - model.decision_function(some_CX)).max() > _SAME:
        raise RuntimeError("this version of scikit-learn stores its trees in another way")
    return trees


def reordered(
    trees: Trees, rows: StageRows, fused_NL: NDArray[np.float32], wanted_N: Booleans
) -> NDArray[np.float32]:
    """Return the logits of the wanted documents as `SecondStage.of_document` makes them."""
    places = np.flatnonzero(wanted_N)
    logits_NL = fused_NL[places].copy()
    for place, document in enumerate(places.tolist()):
        own_C = rows.documents_C == document
        again_C = trees.sums(rows.features_CX[own_C]).astype(np.float32)
        np.minimum(logits_NL[place], again_C.min(initial=0), out=logits_NL[place])
        logits_NL[place, rows.labels_C[own_C]] = again_C
    return logits_NL


def second_stage(
    trees: Trees, parts: tuple[str, ...], codes: tuple[str, ...], counts_L: NDArray[np.int64]
) -> SecondStage:
    """Return a second stage for models fitted to documents with these counts of codes."""
    return SecondStage(parts, LabelFacts(codes, counts_L), trees)


def _arrays_of(model: object) -> Trees:
    """Return the trees of scikit-learn's model as arrays."""
    nodes = [stage[0].nodes for stage in model._predictors]  # type: ignore[attr-defined]
    starts = np.cumsum([0, *map(len, nodes)])[:-1]
    every = np.concatenate(nodes)
    offset_D = np.repeat(starts, [len(each) for each in nodes])
    own_D = np.arange(len(every))
    leaf_D = every["is_leaf"].astype(bool)
    return Trees(
        baseline=float(np.ravel(model._baseline_prediction)[0]),  # type: ignore[attr-defined]
        roots_T=starts.astype(np.int32),
        feature_D=np.where(leaf_D, 0, every["feature_idx"]).astype(np.int32),
        threshold_D=np.where(leaf_D, 0.0, every["num_threshold"]),
        left_D=np.where(leaf_D, own_D, every["left"] + offset_D).astype(np.int32),
        right_D=np.where(leaf_D, own_D, every["right"] + offset_D).astype(np.int32),
        value_D=np.where(leaf_D, every["value"], 0.0),
        depth=int(every["depth"].max(initial=0)),
    )
