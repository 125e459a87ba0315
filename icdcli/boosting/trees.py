"""Boosted regression trees as plain arrays, so that a checkpoint has no pickled objects.

Shapes: C rows, X features, T trees, D nodes of all trees.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.io.npz import Arrays


@dataclass(frozen=True)
class Trees:
    """Regression trees whose values are added up.

    Attributes:
        baseline: The number that they start from.
        roots_T: The first node of each tree.
        feature_D: The feature that a node asks; 0 for a leaf, which has no threshold.
        threshold_D: The largest value of it that leads to the left.
        left_D: The next node to the left; of a leaf, the leaf itself.
        right_D: The next node to the right; of a leaf, the leaf itself.
        value_D: The value of a leaf.
        depth: The longest way from a root to a leaf.
    """

    baseline: float
    roots_T: NDArray[np.int32]
    feature_D: NDArray[np.int32]
    threshold_D: NDArray[np.float64]
    left_D: NDArray[np.int32]
    right_D: NDArray[np.int32]
    value_D: NDArray[np.float64]
    depth: int

    def sums(self, features_CX: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the sum of the values of each row, (C)."""
        rows = np.arange(len(features_CX))[:, None]
        node_CT = np.tile(self.roots_T, (len(features_CX), 1))
        for _ in range(self.depth):
            asked_CT = self.feature_D[node_CT]
            to_left_CT = features_CX[rows, asked_CT] <= self.threshold_D[node_CT]
            node_CT = np.where(to_left_CT, self.left_D[node_CT], self.right_D[node_CT])
        sums_C: NDArray[np.float64] = self.baseline + self.value_D[node_CT].sum(axis=1)
        return sums_C

    def to_json(self) -> dict[str, Any]:
        """Return the content of a checkpoint, as `from_json` reads it."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
        }

    def arrays(self) -> Arrays:
        """Return the arrays that `from_arrays` reads."""
        return {name: np.atleast_1d(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Trees":
        """Return the trees of arrays.

        Raises:
            ValueError: If they don't belong together.
            KeyError: If one is missing.
        """
        numbers = {"baseline": float(arrays["baseline"][0]), "depth": int(arrays["depth"][0])}
        return cls.from_json({**arrays, **numbers})

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Trees":
        """Return the trees of a checkpoint.

        Raises:
            ValueError: If the arrays don't belong together.
        """
        trees = cls(
            baseline=content["baseline"],
            roots_T=np.array(content["roots_T"], np.int32),
            feature_D=np.array(content["feature_D"], np.int32),
            threshold_D=np.array(content["threshold_D"], np.float64),
            left_D=np.array(content["left_D"], np.int32),
            right_D=np.array(content["right_D"], np.int32),
            value_D=np.array(content["value_D"], np.float64),
            depth=content["depth"],
        )
        nodes = len(trees.value_D)
        links = np.concatenate([trees.roots_T, trees.left_D, trees.right_D])
        arrays = (trees.feature_D, trees.threshold_D, trees.left_D, trees.right_D)
        outside = nodes and not 0 <= links.min() <= links.max() < nodes
        if {len(array) for array in arrays} != {nodes} or outside:
            raise ValueError("the trees don't belong together")
        return trees
