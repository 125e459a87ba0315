"""Half of a symmetric matrix in as much memory as it needs, and its Cholesky factor in its place.

The format is LAPACK's rectangular full packed format (Gustavson et al. 2010,
doi:10.1145/1731022.1731028), whose routines are as fast as those for complete matrices: the rows of
the first half from the diagonal on, with the lower triangle of the second half before them.

Shapes: B documents of a block, M columns, H the first half of them, L labels, P labels of a part.
"""

import numpy as np
from numpy.typing import NDArray

from icdcli.lexical.linear.ridge import LABELS

_COLUMNS = 1024
_FORMAT = {"transr": "N", "uplo": "L"}


class PackedProducts:
    """The inner products of columns, summed over documents."""

    def __init__(self, columns: int) -> None:
        """Begin without any document.

        Args:
            columns: M.
        """
        self._columns, self._first = columns, -(-columns // 2)
        self._odd = columns % 2
        self._rows = np.zeros((self._first, columns + 1 - self._odd))

    def add(self, sketch_BM: NDArray[np.float32]) -> None:
        """Add those of some documents. They are computed in parts: a product takes 32 MB."""
        for begin in range(0, self._first, _COLUMNS):
            end = min(begin + _COLUMNS, self._first)
            products = sketch_BM[:, begin:end].T @ sketch_BM[:, begin:]
            rows = self._rows[begin:end, 1 - self._odd :]
            rows[:, begin:end] += np.triu(products[:, : end - begin])
            rows[:, end:] += products[:, end - begin :]
        second_BM = sketch_BM[:, self._first :]
        for begin in range(0, second_BM.shape[1], _COLUMNS):
            end = min(begin + _COLUMNS, second_BM.shape[1])
            products = second_BM[:, begin:end].T @ second_BM[:, :end]
            rows = self._rows[self._odd :][begin:end]
            rows[:, :begin] += products[:, :begin]
            rows[:, begin:end] += np.tril(products[:, begin:])

    def factored(self, penalty: float) -> "PackedFactor":
        """Return the Cholesky factor of the products and a penalty; it takes their memory."""
        from scipy.linalg import lapack

        first, second = np.arange(self._first), np.arange(self._columns - self._first)
        self._rows[first, first + 1 - self._odd] += penalty
        self._rows[second + self._odd, second] += penalty
        packed, info = lapack.dpftrf(self._columns, self._rows.ravel(), overwrite_a=True, **_FORMAT)
        if info:
            raise np.linalg.LinAlgError(f"row {info} of the products isn't positive definite")
        return PackedFactor(packed, self._columns)


class PackedFactor:
    """A Cholesky factor."""

    def __init__(self, packed: NDArray[np.float64], columns: int) -> None:
        """Keep what `PackedProducts.factored` has computed."""
        self._packed, self._columns = packed, columns

    def solved(self, basis_MB: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the factor's inverse times some columns."""
        from scipy.linalg import lapack

        solved_MB: NDArray[np.float64] = lapack.dtfsm(
            1.0, self._packed, basis_MB, side="L", trans="N", diag="N", **_FORMAT
        )
        return solved_MB

    def solve_in_place(self, moments_LM: NDArray[np.float32]) -> None:
        """Replace the moments of each label by its weights, which take as much memory."""
        from scipy.linalg import lapack

        for begin in range(0, len(moments_LM), LABELS):
            part_MP = moments_LM[begin : begin + LABELS].T.astype(np.float64)
            weights_MP, _ = lapack.dpftrs(
                self._columns, self._packed, part_MP, overwrite_b=True, **_FORMAT
            )
            moments_LM[begin : begin + LABELS] = weights_MP.T
