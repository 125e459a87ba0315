"""An estimate of the curvature of a linear support vector machine's objective.

Shapes: F features and the intercept, B labels, K singular vectors, A shares of documents.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats32 = NDArray[np.float32]

_SHARES, _PER_HALVING = 24, 2
_FEWER = 0.4
"""Steps are for a smaller share of documents than counts: found by trial. This saves half a step of
six on made-up notes, and half of seven on CodiEsp."""


@dataclass(frozen=True)
class Curvature:
    """An estimate of the curvature of the objective if a share of the documents counts.

    It is the identity, and a share of the features' products: the large singular vectors, and the
    diagonal of the rest.

    Attributes:
        vectors_FK: The singular vectors.
        rest_F: The diagonal of the rest.
        cores_AKK: The small matrix of Woodbury's formula, for each share of `_doubled`.
    """

    vectors_FK: Floats32
    rest_F: Floats32
    cores_AKK: Floats32

    @classmethod
    def of(
        cls, vectors_FK: Floats32, squares_K: NDArray[np.float64], squares_F: NDArray[np.float64]
    ) -> "Curvature":
        """Prepare the estimate for all shares.

        Args:
            vectors_FK: The singular vectors.
            squares_K: The squares of their singular values.
            squares_F: The sum of each feature's squares.
        """
        rest_F = np.maximum(0, squares_F - vectors_FK**2 @ squares_K).astype(np.float32)
        cores = []
        for share in _doubled(np.arange(_SHARES)):
            inner_KK = vectors_FK.T @ (vectors_FK / (1 + share * rest_F)[:, None])
            inner_KK = inner_KK.astype(np.float64)
            inner_KK[np.diag_indices_from(inner_KK)] += 1 / np.maximum(share * squares_K, 1e-9)
            cores.append(np.linalg.inv(inner_KK).astype(np.float32))
        return cls(vectors_FK, rest_F, np.stack(cores))

    def solved(self, gradient_FB: Floats32, active_B: NDArray[np.float64]) -> Floats32:
        """Return the inverse of the curvature times a gradient.

        Args:
            gradient_FB: The gradient.
            active_B: The share of documents that the objective counts, of each label.
        """
        halvings_B = -np.log2(np.maximum(_FEWER * active_B, 1e-9))
        places_B = np.clip(np.rint(_PER_HALVING * halvings_B), 0, _SHARES - 1).astype(np.int64)
        scale_FB = np.reciprocal(1 + self.rest_F[:, None] * _doubled(places_B))
        solved_FB: Floats32 = scale_FB * gradient_FB
        along_KB = self.vectors_FK.T @ solved_FB
        cores_BKK = self.cores_AKK[places_B]
        along_KB = np.ascontiguousarray(np.matmul(cores_BKK, along_KB.T[:, :, None])[:, :, 0].T)
        scale_FB *= self.vectors_FK @ along_KB
        solved_FB -= scale_FB
        return solved_FB


def _doubled(places_A: NDArray[np.int64]) -> Floats32:
    """Return twice the shares at some places: the second derivative of max(0, s)² is 2."""
    doubled_A: Floats32 = (2 * 0.5 ** (places_A / _PER_HALVING)).astype(np.float32)
    return doubled_A
