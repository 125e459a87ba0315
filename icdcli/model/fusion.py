"""The network's logits and the scores of words alone, made into one score a code.

A late fusion: a code's logit is a weighted sum of what the parts say, with weights that all codes share; so few numbers can be
fitted on a validation split without learning it by heart. They belong to the coder, as its threshold does. How they are fitted
stands in `icdcli.evaluation.fusion_fitting`.

Shapes: N documents, L labels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.metrics.arrays import row_blocks

NETWORK = "network"
"""The part that is the network's logits."""

PRIOR = "prior"
"""The description prior: the only part that is already within the network's logits."""

Parts = Mapping[str, NDArray[np.floating]]
"""Part to scores_NL: the network's logits, and any scores that rise with how likely a code is."""

_BLOCK = 1 << 21
"""Scores that are worked on at a time; bounds the memory beyond the parts themselves."""


@dataclass(frozen=True)
class Fusion:
    """How much each part counts.

    Attributes:
        weights: Part to weight, the network's among them.
        bias: What is added to every code's logit.
        tuned_on: The split that they were fitted on.
    """

    weights: Mapping[str, float]
    bias: float
    tuned_on: str

    def logits(self, parts: Parts, rows: slice) -> NDArray[np.float32]:
        """The fused logits_BL of some documents.

        Raises:
            KeyError: When a part is missing that has a weight.
        """
        sums_BL = np.full(parts[NETWORK][rows].shape, self.bias, np.float32)
        for part, weight in self.weights.items():
            sums_BL += np.float32(weight) * parts[part][rows]
        return sums_BL

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any] | None) -> "Fusion | None":
        """A fusion as a checkpoint holds it; None where there is none."""
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
        parts: The network's logits, which are overwritten, and what they are fused with.
        fusion: How; None: the network alone.

    Returns:
        scores_NL: the array that held the logits.
    """
    scores_NL = parts[NETWORK]
    for rows in document_blocks(parts):
        logits_BL = scores_NL[rows] if fusion is None else fusion.logits(parts, rows)
        with np.errstate(
            over="ignore"
        ):  # exp of a large number is infinite, and the score then zero, as it should be
            scores_NL[rows] = 1 / (1 + np.exp(-logits_BL))
    return scores_NL
