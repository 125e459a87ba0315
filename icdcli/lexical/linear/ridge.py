"""The linear algebra of ridge regression in closed form, in blocks that bound the memory.

Only fits need SciPy's linear algebra, so that models are loaded without importing it.

Shapes: B documents of a block, M columns, L labels, P labels of a part.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

LABELS = 512
"""The labels that are solved for together."""


def add_moments(
    moments_LM: NDArray[np.float32],
    targets_BL: sparse.csr_matrix,
    sketch_BM: NDArray[np.float32],
) -> None:
    """Add the columns of the documents of each label, for some labels at a time."""
    targets_LB = targets_BL.T.tocsr()
    present = np.flatnonzero(np.diff(targets_LB.indptr))
    for begin in range(0, len(present), LABELS):
        part = present[begin : begin + LABELS]
        moments_LM[part] += targets_LB[part] @ sketch_BM


class DenseFactor:
    """The Cholesky factor of a symmetric matrix with a penalty."""

    def __init__(self, matrix_MM: NDArray[np.float64], penalty: float) -> None:
        """Factor a matrix, which is overwritten."""
        from scipy import linalg

        matrix_MM[np.diag_indices_from(matrix_MM)] += penalty
        # The matrix is symmetric. Its transpose is in LAPACK's column order, which avoids a copy.
        self._factor_MM = linalg.cholesky(
            matrix_MM.T, lower=True, overwrite_a=True, check_finite=False
        )

    def solved(self, basis_MB: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the factor's inverse times some columns."""
        from scipy import linalg

        solved_MB: NDArray[np.float64] = linalg.solve_triangular(
            self._factor_MM, basis_MB, lower=True, check_finite=False
        )
        return solved_MB

    def weights(self, moments_MP: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weights of some labels, of which the moments are known."""
        from scipy import linalg

        weights_MP: NDArray[np.float64] = linalg.cho_solve(
            (self._factor_MM, True), moments_MP, check_finite=False
        )
        return weights_MP


def rounded(weights_ML: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return weights rounded to half precision, as float32."""
    return halved(weights_ML).astype(np.float32)


def halved(weights_ML: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return weights in half precision, row by row whatever their own order is."""
    halved_ML = np.empty(weights_ML.shape, np.float16)
    for begin in range(0, weights_ML.shape[1], LABELS):
        part = slice(begin, begin + LABELS)
        halved_ML[:, part] = weights_ML[:, part]
    return halved_ML


def label_parts(targets_NL: sparse.csr_matrix) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield the targets of some labels at a time, with their places."""
    by_label = targets_NL.tocsc()
    for begin in range(0, by_label.shape[1], LABELS):
        labels = slice(begin, begin + LABELS)
        yield labels, by_label[:, labels].toarray().astype(np.float64)
