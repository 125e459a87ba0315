"""Late fusion: the network's logits and the lexical model's scores become one score per code.

A code's fused logit is a weighted sum of the scores of the parts. All codes share the weights: so
few numbers can be fitted on a validation split without overfitting it. The weights belong to the
model, like its threshold. `icdcli.evaluation.fusion_fitting` fits them.

Pairs of a document and a code in which a lexicon of annotated evidence has found something can have
weights of their own (`FoundWeights`). So do codes that training has never seen (`UnseenWeights`).

Shapes: N documents, L labels, X pairs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from icdcli.metrics.arrays import row_blocks
from icdcli.model.second_stage.reordering import SecondStage

NETWORK = "network"
"""The part that consists of the network's logits."""

PRIOR = "prior"
"""The description prior, which is already included in the network's logits."""

Parts = Mapping[str, NDArray[np.floating]]
"""Part to scores_NL: the network's logits, and any scores that rise with a code's probability."""

Array = TypeVar("Array", bound=NDArray[np.floating])

_BLOCK = 1 << 21
"""Scores that are worked on at a time; bounds the memory beyond the parts themselves."""

LEAST = 0.01
"""A lexicon of annotated evidence has found something if its score is above this: what it holds for
less likely counts as nothing."""


@dataclass(frozen=True)
class FoundWeights:
    """The weights for pairs in which a lexicon of annotated evidence has found something.

    What the parts are worth depends on it. The lexicon has learned how notes write the codes. If it
    finds nothing, a similar description counts for more than otherwise. If it finds something, its
    score is a probability, and a similar description adds little.

    On CodiEsp in Spanish, the lexical model has a dev MAP of .708 and micro-F1 of .723 with these
    weights, and .683 and .713 without; with weights and threshold from the training documents,
    scored out of fold, .706 and .719, and .682 and .713.

    Attributes:
        part: The lexicon.
        weights: Part to weight, including the network's.
        bias: The number that is added to every logit.
    """

    part: str
    weights: Mapping[str, float]
    bias: float


UNKNOWN = -25.0
"""The network's logit of a code that training has never seen, about which it knows nothing. Without
fusion, such a code has a score of next to nothing."""


@dataclass(frozen=True)
class UnseenWeights:
    """The weights for codes that training has never seen.

    Only their descriptions and terms are known. Most parts have no scores for them, and a similar
    description means less than for a code that is known to occur.

    Attributes:
        weights: Part to weight.
        bias: The number that is added to every logit.
    """

    weights: Mapping[str, float]
    bias: float


@dataclass(frozen=True)
class Fusion:
    """The weights of the parts.

    Attributes:
        weights: Part to weight, including the network's.
        bias: The number that is added to every logit.
        tuned_on: The split that they were fitted on.
        found: The weights for pairs with evidence; None: they have the same.
        second_stage: Scores the best codes of each document again; None: nothing does. What a part
            adds to a code's logit is the same.
        unseen: The weights for codes never seen; None: there are none, or they have the same.
    """

    weights: Mapping[str, float]
    bias: float
    tuned_on: str
    found: FoundWeights | None = None
    second_stage: SecondStage | None = None
    unseen: UnseenWeights | None = None

    def logits(self, parts: Parts, rows: slice) -> NDArray[np.float32]:
        """Return the fused logits_BL of some documents.

        Raises:
            KeyError: If a part with a weight is missing.
        """
        sums_BL = np.full(_first(parts)[rows].shape, self.bias, np.float32)
        for part, weight in self.weights.items():
            sums_BL += np.float32(weight) * parts[part][rows]
        if (found := self.found) is not None:
            found_BL = parts[found.part][rows] > LEAST
            sums_X = np.full(np.count_nonzero(found_BL), found.bias, np.float32)
            for part, weight in found.weights.items():
                sums_X += np.float32(weight) * parts[part][rows][found_BL]
            sums_BL[found_BL] = sums_X
        if (unseen := self.unseen) is not None:
            unseen_BL = parts[NETWORK][rows] == UNKNOWN
            sums_X = np.full(np.count_nonzero(unseen_BL), unseen.bias, np.float32)
            for part, weight in unseen.weights.items():
                sums_X += np.float32(weight) * parts[part][rows][unseen_BL]
            sums_BL[unseen_BL] = sums_X
        if self.second_stage is None:
            return sums_BL
        return self.second_stage.again({name: parts[name][rows] for name in parts}, sums_BL)

    def added(self, part: str, parts: Parts) -> NDArray[np.floating]:
        """Return what a part adds to the fused logits beyond the bias, (N, L).

        A part that has found evidence also adds what sets the bias of such pairs apart.
        """
        added_NL: NDArray[np.floating] = self.weights[part] * parts[part]
        if (found := self.found) is not None:
            found_NL = parts[found.part] > LEAST
            more = (found.bias - self.bias) * (part == found.part)
            added_NL[found_NL] = found.weights[part] * parts[part][found_NL] + more
        if (unseen := self.unseen) is not None:
            unseen_NL = parts[NETWORK] == UNKNOWN
            added_NL[unseen_NL] = unseen.weights.get(part, 0.0) * parts[part][unseen_NL]
        return added_NL

    def to_json(self) -> dict[str, Any]:
        """Return the content of a checkpoint, as `from_json` reads it."""
        kept = asdict(replace(self, second_stage=None))
        if self.second_stage is not None:
            kept["second_stage"] = self.second_stage.to_json()
        return {name: value for name, value in kept.items() if value is not None}

    @classmethod
    def from_json(cls, content: dict[str, Any] | None) -> "Fusion | None":
        """Return the fusion of a checkpoint; None if it has none."""
        if content is None:
            return None
        found, unseen = content.get("found"), content.get("unseen")
        second = content.get("second_stage")
        return cls(
            **content
            | {"found": None if found is None else FoundWeights(**found)}
            | {"unseen": None if unseen is None else UnseenWeights(**unseen)}
            | {"second_stage": None if second is None else SecondStage.from_json(second)}
        )


def is_evidence(part: str) -> bool:
    """Return whether a part is a lexicon of annotated evidence, in any view."""
    return part.split("_")[-1] == "evidence"


def document_blocks(parts: Parts) -> Iterator[slice]:
    """Return slices of documents; working on one at a time bounds the memory."""
    documents, labels = _first(parts).shape
    return row_blocks(documents, labels, _BLOCK)


def probabilities(
    parts: Mapping[str, NDArray[np.float32]], fusion: Fusion | None
) -> NDArray[np.float32]:
    """Turn the network's logits into scores in [0, 1], in place.

    Args:
        parts: The network's logits, which are overwritten, and the scores to fuse them with. An
            ensemble has the logits of its members instead, and the first of them is overwritten.
        fusion: The weights; None: use the network's logits alone.

    Returns:
        scores_NL: the array that held the logits.
    """
    scores_NL = _first(parts)
    for rows in document_blocks(parts):
        logits_BL = scores_NL[rows] if fusion is None else fusion.logits(parts, rows)
        # exp of a large number is infinite, and the score is then 0, which is right.
        with np.errstate(over="ignore"):
            scores_NL[rows] = 1 / (1 + np.exp(-logits_BL))
    return scores_NL


def fused_logits(
    parts: Mapping[str, NDArray[np.float32]], fusion: Fusion | None
) -> NDArray[np.float32]:
    """Return what `probabilities` turns into scores, in place of the network's logits as well."""
    logits_NL = _first(parts)
    if fusion is not None:
        for rows in document_blocks(parts):
            logits_NL[rows] = fusion.logits(parts, rows)
    return logits_NL


def _first(parts: Mapping[str, Array]) -> Array:
    """Return the network's logits, or those of an ensemble's first member."""
    return next(iter(parts.values()))
