"""Attention in bfloat16 on a CPU."""

import pytest
import torch
from torch.nn import functional

from icdcli.model.batch import Segments
from icdcli.model.packing import by_document
from icdcli.model.packing.by_document import attention_by_document
from icdcli.model.packing.by_products import attention_by_products, suits_products


def states(documents, length, dtype=torch.bfloat16, heads=6):
    torch.manual_seed(0)
    return [torch.randn(documents, heads, length, 8).to(dtype) for _ in range(3)]


@pytest.mark.parametrize("scaling", [None, 0.5])
@pytest.mark.parametrize(("documents", "length"), [(3, 7), (2, 300), (1, 900)])
def test_it_is_torch_attention_within_rounding(documents, length, scaling):
    parts = states(documents, length)
    exact = functional.scaled_dot_product_attention(
        *(part.float() for part in parts), scale=scaling
    )
    found = attention_by_products(*parts, scaling)
    assert found.dtype == torch.bfloat16
    difference = (found.float() - exact).norm() / exact.norm()
    theirs = functional.scaled_dot_product_attention(*parts, scale=scaling).float() - exact
    assert difference < max(3 * float(theirs.norm() / exact.norm()), 0.01)


def test_a_document_has_the_same_result_among_others():
    parts = states(4, 300)
    together = attention_by_products(*parts, None)
    for row in range(4):
        alone = attention_by_products(*(part[row : row + 1] for part in parts), None)
        torch.testing.assert_close(alone[0], together[row], rtol=0, atol=0.01)


def test_it_is_used_for_bfloat16_without_mask_and_gradient(monkeypatch):
    used = []
    monkeypatch.setattr(
        by_document, "attention_by_products",
        lambda *parts: used.append(parts[0].dtype) or attention_by_products(*parts),
    )  # fmt: skip
    query, key, value = (part.transpose(0, 1).flatten(1, 2)[None] for part in states(2, 9))
    segments = Segments.of([9, 9])

    def attend(**changes):
        options = {"causal": False, "window": None, "scaling": None, "dropout": 0.0, **changes}
        return attention_by_document(query, key, value, segments, **options)

    with torch.no_grad():
        attend()
        assert used == [torch.bfloat16]
        for changes in ({"causal": True}, {"window": 3}, {"dropout": 0.5}):
            attend(**changes)
        assert len(used) == 1
    assert not suits_products(*(part.float() for part in states(1, 9)))
    assert not suits_products(*states(1, 2000))
    with_gradient = [part.requires_grad_() for part in states(1, 9)]
    assert not suits_products(*with_gradient)
    with torch.inference_mode():
        assert suits_products(*with_gradient)
