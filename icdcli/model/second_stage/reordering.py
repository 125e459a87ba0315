"""The second stage itself: trees that score a document's best codes again.

Shapes: B documents of a block, L labels, C candidates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.boosting.trees import Trees
from icdcli.model.second_stage.candidates import (
    CANDIDATE_NUMBERS,
    EARLIER_CANDIDATE_NUMBERS,
    CandidateNumbers,
    LabelFacts,
    Row,
    candidates,
    features_of,
)


@dataclass(frozen=True)
class SecondStage:
    """A second stage.

    Attributes:
        parts: The parts whose scores it reads, in this order.
        facts: What it knows about the codes.
        trees: The trees, whose sum is a code's logit.
        numbers: How many codes of a document are candidates.
    """

    parts: tuple[str, ...]
    facts: LabelFacts
    trees: Trees
    numbers: CandidateNumbers = CANDIDATE_NUMBERS

    def again(
        self, parts_BL: Mapping[str, NDArray[np.float32]], fused_BL: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the logits_BL of documents after the second stage.

        Args:
            parts_BL: Part to scores.
            fused_BL: The fused logits.
        """
        logits_BL = np.empty_like(fused_BL)
        for place, fused_L in enumerate(fused_BL):
            row = {name: parts_BL[name][place] for name in self.parts}
            logits_BL[place] = self.of_document(row, fused_L)
        return logits_BL

    def of_document(self, row: Row, fused_L: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits_L of one document; codes that are no candidates stay behind."""
        labels_C = candidates(row, fused_L, self.numbers)
        features_CX = features_of(row, fused_L, labels_C, self.facts)
        again_C = self.trees.sums(features_CX).astype(np.float32)
        logits_L: NDArray[np.float32] = np.minimum(fused_L, again_C.min(initial=0))
        logits_L[labels_C] = again_C
        return logits_L

    def to_json(self) -> dict[str, Any]:
        """Return the content of a checkpoint, as `from_json` reads it."""
        return {
            "parts": list(self.parts),
            "codes": list(self.facts.codes),
            "counts": self.facts.counts_L.tolist(),
            "trees": self.trees.to_json(),
            "candidates": list(self.numbers),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SecondStage":
        """Return the second stage of a checkpoint.

        Raises:
            ValueError: If its numbers don't belong together.
        """
        facts = LabelFacts(tuple(content["codes"]), np.array(content["counts"], np.int64))
        if len(facts.codes) != len(facts.counts_L):
            raise ValueError("the codes and the counts of the second stage don't belong together")
        numbers = CandidateNumbers(*content.get("candidates", EARLIER_CANDIDATE_NUMBERS))
        return cls(tuple(content["parts"]), facts, Trees.from_json(content["trees"]), numbers)
