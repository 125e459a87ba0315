from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icdcli.metrics.jackknife import areas_without_each, decisions_without_each
from icdcli.metrics.metrics import evaluate


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_the_metrics_are_those_of_the_other_documents(
    scored_documents: Any, data: st.DataObject
) -> None:
    scores, targets = arrays = data.draw(scored_documents(most=8))
    found = areas_without_each(scores, targets) | decisions_without_each(scores >= 0.5, targets)
    assert len(found) == 9
    for document in range(len(scores)):
        others = evaluate(
            *(np.delete(array, document, axis=0) for array in arrays), 0.5, names=list(found)
        )
        for name, value in others.items():
            assert found[name][document] == pytest.approx(value, abs=1e-12, nan_ok=True), name


def test_codes_without_scores_add_no_precision() -> None:
    draw = np.random.default_rng(0)
    scores, targets = draw.random((20, 6), dtype=np.float32), draw.random((20, 6)) < 0.3
    unscored = np.broadcast_to(np.arange(6) >= 4, scores.shape)
    scores[unscored] = 0
    found = areas_without_each(scores, targets, unscored)
    for document in range(20):
        others = [np.delete(array, document, axis=0) for array in (scores, targets, unscored)]
        areas = evaluate(*others[:2], names=list(found), unscored_NL=others[2])
        for name, value in areas.items():
            assert found[name][document] == pytest.approx(value, abs=1e-12), name


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    scores, targets = draw.random((40, 30), dtype=np.float32), draw.random((40, 30)) < 0.1
    at_once = areas_without_each(scores, targets)
    monkeypatch.setattr("icdcli.metrics.arrays._BLOCK", 100)
    for name, values in areas_without_each(scores, targets).items():
        assert values == pytest.approx(at_once[name], abs=1e-12)
