"""A strategy for invented scores and targets of few documents, with many ties."""

from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


@st.composite
def _scored_documents(draw: st.DrawFn, most: int) -> tuple[Any, Any]:
    shape = (draw(st.integers(2, most)), draw(st.integers(1, 5)))
    scores = hnp.arrays(np.float32, shape, elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
    return draw(scores), draw(hnp.arrays(bool, shape))


@pytest.fixture(scope="session")
def scored_documents() -> Any:
    """Return a function that makes strategies for scores and targets of 1 to 5 labels."""
    return _scored_documents
