from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icdcli.metrics.influence import influences
from icdcli.metrics.metrics import evaluate

COPIES = 3000


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_influences_on_pooled_areas_are_derivatives_by_document_weights(
    scored_documents: Any, data: st.DataObject
) -> None:
    scores, targets = arrays = data.draw(scored_documents(most=6))
    found = {
        name: values
        for name, values in influences(scores, scores >= 0.5, targets).items()
        if "micro" in name
    }
    assert len(found) == 4
    # With many copies, one more copy of a document changes its weight by a small share.
    many = np.tile(scores, (COPIES, 1)), np.tile(targets, (COPIES, 1))
    before = evaluate(*many, names=list(found))
    for document in range(len(scores)):
        more = [
            np.concatenate([array, part[document : document + 1]])
            for array, part in zip(many, arrays, strict=True)
        ]
        after = evaluate(*more, names=list(found))
        for name, value in before.items():
            change = 0.0 if np.isnan(value) else (after[name] - value) * COPIES
            assert found[name][document] == pytest.approx(change, abs=0.01), name


def test_influences_sum_to_zero() -> None:
    draw = np.random.default_rng(0)
    scores, targets = draw.random((60, 20), dtype=np.float32), draw.random((60, 20)) < 0.15
    found = influences(scores, scores >= 0.5, targets)
    assert all(abs(values.sum()) < 1e-10 and values.any() for values in found.values())
    assert len(found) == 16


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    scores, targets = draw.random((40, 30), dtype=np.float32), draw.random((40, 30)) < 0.1
    at_once = influences(scores, scores >= 0.5, targets)
    monkeypatch.setattr("icdcli.metrics.arrays._BLOCK", 100)
    for name, values in influences(scores, scores >= 0.5, targets).items():
        assert values == pytest.approx(at_once[name], abs=1e-12)
