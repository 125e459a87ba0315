"""The labels and annotations of training documents, as the fits of this package take them.

Shapes: N documents, L labels.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

Targets = Sequence[NDArray[np.int32]]
"""The labels of each document."""

Annotations = Sequence[Sequence[tuple[int, str]]]
"""The annotations of each document: a label and the marked words, fragments joined by a blank
(``Evidence.surfaces``)."""


def target_matrix(targets: Targets, number_of_labels: int, dtype: DTypeLike) -> sparse.csr_matrix:
    """Return targets_NL as a sparse matrix of ones."""
    starts = np.concatenate([[0], np.cumsum([len(labels) for labels in targets])])
    columns = np.concatenate([*targets, np.zeros(0, np.int32)]).astype(np.int32, copy=False)
    shape = (len(targets), number_of_labels)
    return sparse.csr_matrix((np.ones(len(columns), dtype), columns, starts), shape=shape)
