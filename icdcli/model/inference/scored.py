"""The scores of documents, those of their windows at first.

Shapes: N documents, W windows of them, L labels, B documents of a batch, M descriptions of labels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icdcli.data.encoded_documents import Windows
from icdcli.model.inference.room import zeros

_POOLED_AT_ONCE = 256  # documents


@dataclass
class Scored:
    """The results of scoring, filled in batch by batch.

    Attributes:
        logits_NL: The logit of each code, float32; at first of each window.
        losses_N: The loss of each document, the mean over the labels; at first of each window.
        cosine_NM: The similarity of each description of the prior to each window, if the network
            computes it; None: not wanted.
        principal_NL: The logits of the principal diagnosis, as those of the codes; None: the
            network has no such output.
    """

    logits_NL: NDArray[np.float32]
    losses_N: NDArray[np.float64]
    cosine_NM: NDArray[np.float16] | None = None
    principal_NL: NDArray[np.float32] | None = None

    @classmethod
    def empty(
        cls, documents: int, labels: int, descriptions: int | None = None, principal: bool = False
    ) -> "Scored":
        """Return space for the results, in memory or in a temporary file."""
        return cls(
            zeros(documents, labels, np.float32),
            np.zeros(documents, np.float64),
            None if descriptions is None else zeros(documents, descriptions, np.float16),
            zeros(documents, labels, np.float32) if principal else None,
        )


def highest_logits(logits_WL: NDArray[np.float32], windows: Windows) -> NDArray[np.float32]:
    """Return the highest logit of each code over all windows of each document: logits_NL."""
    logits_NL = zeros(len(windows.firsts_N), logits_WL.shape[1], np.float32)
    for rows, logits_BL in pooled_blocks(logits_WL, windows):
        logits_NL[rows] = logits_BL
    return logits_NL


def pooled_blocks(
    logits_WL: NDArray[np.float32], windows: Windows
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield the highest logits of a few documents at a time, with their rows."""
    starts = np.append(windows.firsts_N, len(windows))
    for row in range(0, len(starts) - 1, _POOLED_AT_ONCE):
        own = starts[row : row + _POOLED_AT_ONCE + 1]
        part_WL = np.asarray(logits_WL[own[0] : own[-1]])
        logits_BL = np.maximum.reduceat(part_WL, own[:-1] - own[0], axis=0)
        yield slice(row, row + len(logits_BL)), logits_BL
