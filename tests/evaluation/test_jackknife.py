from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from icdcli.evaluation.jackknife import areas_without_each, decisions_without_each
from icdcli.evaluation.metrics import evaluate

Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@st.composite
def documents(draw: st.DrawFn) -> Arrays:
    shape = (draw(st.integers(2, 8)), draw(st.integers(1, 5)))
    scores = hnp.arrays(np.float32, shape, elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
    return draw(scores), draw(hnp.arrays(bool, shape))


@settings(max_examples=200, deadline=None)
@given(documents())
def test_they_are_the_metrics_of_the_other_documents(arrays: Arrays) -> None:
    scores, targets = arrays
    found = areas_without_each(scores, targets) | decisions_without_each(scores >= 0.5, targets)
    assert len(found) == 9
    for document in range(len(scores)):
        others = evaluate(*(np.delete(array, document, axis=0) for array in arrays), 0.5, names=list(found))
        for name, value in others.items():
            assert found[name][document] == pytest.approx(value, abs=1e-12, nan_ok=True), name


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    scores, targets = draw.random((40, 30), dtype=np.float32), draw.random((40, 30)) < 0.1
    at_once = areas_without_each(scores, targets)
    monkeypatch.setattr("icdcli.evaluation.ranking._BLOCK", 100)
    for name, values in areas_without_each(scores, targets).items():
        assert values == pytest.approx(at_once[name], abs=1e-12)
