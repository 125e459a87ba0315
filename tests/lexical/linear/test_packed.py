"""Packed products and their factor are those of the complete matrix."""

import numpy as np
import pytest

from icdcli.lexical.linear import packed
from icdcli.lexical.linear.packed import PackedProducts
from icdcli.lexical.linear.ridge import DenseFactor


@pytest.fixture(params=[1, 2, 3, 7, 8, 41, 64])
def sketches(request, monkeypatch) -> list[np.ndarray]:
    """Return the columns of two blocks of documents; some parts are narrower than others."""
    monkeypatch.setattr(packed, "_COLUMNS", 5)
    draw = np.random.default_rng(request.param)
    return [draw.normal(size=(rows, request.param)).astype(np.float32) for rows in (9, 4)]


def test_the_factor_is_that_of_the_complete_matrix(sketches) -> None:
    products = PackedProducts(sketches[0].shape[1])
    for sketch in sketches:
        products.add(sketch)
    factor = products.factored(0.3)
    complete = np.concatenate(sketches).astype(np.float64)
    dense = DenseFactor(complete.T @ complete, 0.3)

    basis = np.random.default_rng(0).normal(size=(complete.shape[1], 3))
    np.testing.assert_allclose(factor.solved(basis), dense.solved(basis), rtol=1e-4, atol=1e-5)
    moments = basis.T.astype(np.float32)
    factor.solve_in_place(moments)
    np.testing.assert_allclose(moments.T, dense.weights(basis), rtol=1e-4, atol=1e-5)


def test_it_takes_half_of_the_memory_of_the_complete_matrix() -> None:
    products = PackedProducts(1_000)
    assert products._rows.nbytes == 1_000 * 1_001 // 2 * 8
    rows = products._rows
    products.add(np.eye(1_000, dtype=np.float32))
    assert np.shares_memory(products.factored(0.3)._packed, rows)


def test_a_matrix_without_a_factor_is_refused() -> None:
    with pytest.raises(np.linalg.LinAlgError, match=r"row 1 .* positive definite"):
        PackedProducts(3).factored(-1.0)
