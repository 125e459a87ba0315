"""Fit boosted trees, with scikit-learn's histograms.

Shapes: C rows, X features.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icdcli.boosting.trees import Trees
from icdcli.metrics.arrays import Booleans

_SAME = 1e-6


@dataclass(frozen=True)
class TreeOptions:
    """How trees are fitted.

    Attributes:
        trees: The number of trees.
        learning_rate: How much each of them counts.
    """

    trees: int
    learning_rate: float


def fit_trees(features_CX: NDArray[np.float32], gold_C: Booleans, options: TreeOptions) -> Trees:
    """Fit trees whose sum is the log-odds that a row is gold."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=options.trees,
        learning_rate=options.learning_rate,
        max_leaf_nodes=15,
        min_samples_leaf=40,
        l2_regularization=10.0,
        max_features=0.5,
        early_stopping=False,
        random_state=0,
    ).fit(features_CX, gold_C)
    trees = _arrays_of(model)
    some_CX = features_CX[:: max(len(features_CX) // 1_000, 1)]
    if np.abs(trees.sums(some_CX) - model.decision_function(some_CX)).max() > _SAME:
        raise RuntimeError("this version of scikit-learn stores its trees in another way")
    return trees


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
