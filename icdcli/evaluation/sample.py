"""A few documents with what a coder says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icdcli.explain.spans import EvidenceSpans, Find


@dataclass(frozen=True, slots=True)
class SamplePrediction:
    """Gold and predicted codes of one document.

    Attributes:
        id: The document's id.
        gold: Its codes.
        predicted: The codes at or above the threshold, highest score first.
        scores: Code to score in [0, 1], for every gold or predicted code.
    """

    id: str
    gold: tuple[str, ...]
    predicted: tuple[str, ...]
    scores: dict[str, float]


def sample_rows(documents: int, number: int, seed: int) -> list[int]:
    """Positions of a few documents; the same ones for the same seed."""
    order: list[int] = (
        np.random.Generator(np.random.PCG64(seed)).permutation(documents)[:number].tolist()
    )
    return order


def sample_prediction(
    document: str,
    codes: Sequence[str],
    scores_L: NDArray[np.float32],
    gold: NDArray[np.int32],
    threshold_L: NDArray[np.float32],
) -> SamplePrediction:
    """What a document's scores come to."""
    order = np.argsort(-scores_L, kind="stable")
    predicted: list[int] = order[(scores_L >= threshold_L)[order]].tolist()
    shown = sorted({*predicted, *gold.tolist()})
    return SamplePrediction(
        document,
        tuple(codes[label] for label in gold.tolist()),
        tuple(codes[label] for label in predicted),
        {codes[label]: float(scores_L[label]) for label in shown},
    )


def evidence_of_sample(
    find: Find, text: str, codes: Sequence[str], index: Mapping[str, int]
) -> dict[str, EvidenceSpans]:
    """The words of a document that each of some codes was chosen by.

    Args:
        find: Finds them.
        text: The document's text.
        codes: The codes.
        index: Code to label.
    """
    return dict(zip(codes, find(text, [index[code] for code in codes]), strict=True))
