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
_COLUMNS = 1024


Products = list[NDArray[np.float64]]
"""The inner products of columns: of some rows at a time, from the diagonal on."""


def no_products(columns: int) -> Products:
    """Return the inner products of some columns without any document.

    The matrix is symmetric, so half of it is enough. `upper_half` returns all of it.
    """
    begins = range(0, columns, _COLUMNS)
    return [np.zeros((min(_COLUMNS, columns - begin), columns - begin)) for begin in begins]


def add_products(products: Products, sketch_BM: NDArray[np.float32]) -> None:
    """Add the inner products of columns. They are computed in parts: a product takes 32 MB."""
    for begin, rows in zip(range(0, sketch_BM.shape[1], _COLUMNS), products, strict=True):
        part_BM = sketch_BM[:, begin : begin + _COLUMNS]
        rows += part_BM.T @ sketch_BM[:, begin:]


def upper_half(products: Products) -> NDArray[np.float64]:
    """Return a matrix whose upper half is that of the products, which are removed meanwhile."""
    columns = products[0].shape[1]
    gram_MM = np.zeros((columns, columns))
    for begin in range(0, columns, _COLUMNS):
        gram_MM[begin : begin + _COLUMNS, begin:] = products.pop(0)
    return gram_MM


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


def factor(matrix_MM: NDArray[np.float64], penalty: float) -> NDArray[np.float64]:
    """Add the penalty to a matrix whose upper half is known, and return its Cholesky factor."""
    from scipy import linalg

    matrix_MM[np.diag_indices_from(matrix_MM)] += penalty
    # The matrix is symmetric. Its transpose is in LAPACK's column order, which avoids a copy of
    # half a gigabyte.
    factor_MM: NDArray[np.float64] = linalg.cholesky(
        matrix_MM.T, lower=True, overwrite_a=True, check_finite=False
    )
    return factor_MM


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


def solved(factor_MM: NDArray[np.float64], basis_MB: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the factor's inverse times some columns."""
    from scipy import linalg

    solved_MB: NDArray[np.float64] = linalg.solve_triangular(
        factor_MM, basis_MB, lower=True, check_finite=False
    )
    return solved_MB


def weights_of(
    factor_MM: NDArray[np.float64], moments_MP: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weights of some labels, of which the moments are known."""
    from scipy import linalg

    weights_MP: NDArray[np.float64] = linalg.cho_solve(
        (factor_MM, True), moments_MP, check_finite=False
    )
    return weights_MP


def solve_in_place(factor_MM: NDArray[np.float64], moments_LM: NDArray[np.float32]) -> None:
    """Replace the moments of each label by its weights, which take as much memory."""
    for begin in range(0, len(moments_LM), LABELS):
        part_MP = moments_LM[begin : begin + LABELS].T.astype(np.float64)
        moments_LM[begin : begin + LABELS] = weights_of(factor_MM, part_MP).T


def label_parts(targets_NL: sparse.csr_matrix) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield the targets of some labels at a time, with their places."""
    by_label = targets_NL.tocsc()
    for begin in range(0, by_label.shape[1], LABELS):
        labels = slice(begin, begin + LABELS)
        yield labels, by_label[:, labels].toarray().astype(np.float64)
