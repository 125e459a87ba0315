"""Late fusion: the network's logits and the lexical model's scores become one score per code.

A code's fused logit is a weighted sum of the scores of the parts. All codes share the weights: so
few numbers can be fitted on a validation split without overfitting it. The weights belong to the
model, like its threshold. `icdcli.evaluation.fusion_fitting` fits them.

Shapes: N documents, L labels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.metrics.arrays import row_blocks

NETWORK = "network"
"""The part that consists of the network's logits."""

PRIOR = "prior"
"""The description prior, which is already included in the network's logits."""

Parts = Mapping[str, NDArray[np.floating]]
"""Part to scores_NL: the network's logits, and any scores that rise with a code's probability."""

_BLOCK = 1 << 21
"""Scores that are worked on at a time; bounds the memory beyond the parts themselves."""


@dataclass(frozen=True)
class Fusion:
    """The weights of the parts.

    Attributes:
        weights: Part to weight, including the network's.
        bias: The number that is added to every logit.
        tuned_on: The split that they were fitted on.
    """

    weights: Mapping[str, float]
    bias: float
    tuned_on: str

    def logits(self, parts: Parts, rows: slice) -> NDArray[np.float32]:
        """Return the fused logits_BL of some documents.

        Raises:
            KeyError: If a part with a weight is missing.
        """
        sums_BL = np.full(parts[NETWORK][rows].shape, self.bias, np.float32)
        for part, weight in self.weights.items():
            sums_BL += np.float32(weight) * parts[part][rows]
        return sums_BL

    def to_json(self) -> dict[str, Any]:
        """Return the content of a checkpoint, as `from_json` reads it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any] | None) -> "Fusion | None":
        """Return the fusion of a checkpoint; None if it has none."""
        return None if content is None else cls(**content)


def document_blocks(parts: Parts) -> Iterator[slice]:
    """Return slices of documents; working on one at a time bounds the memory."""
    documents, labels = parts[NETWORK].shape
    return row_blocks(documents, labels, _BLOCK)


def probabilities(
    parts: dict[str, NDArray[np.float32]], fusion: Fusion | None
) -> NDArray[np.float32]:
    """Turn the network's logits into scores in [0, 1], in place.

    Args:
        parts: The network's logits, which are overwritten, and the scores to fuse them with.
        fusion: The weights; None: use the network's logits alone.

    Returns:
        scores_NL: the array that held the logits.
    """
    scores_NL = parts[NETWORK]
    for rows in document_blocks(parts):
        logits_BL = scores_NL[rows] if fusion is None else fusion.logits(parts, rows)
        # exp of a large number is infinite, and the score is then 0, which is right.
        with np.errstate(over="ignore"):
            scores_NL[rows] = 1 / (1 + np.exp(-logits_BL))
    return scores_NL
