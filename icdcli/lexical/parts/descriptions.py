"""The part ``descriptions``: the overlap of a document with the codes' descriptions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.io.npz import Arrays
from icdcli.lexical.description_overlap import DescriptionOverlap
from icdcli.lexical.registry import PartType, TrainingDocuments, register_part


def _fit(documents: TrainingDocuments) -> DescriptionOverlap | None:
    if not any(documents.descriptions):
        return None
    return DescriptionOverlap.fit(documents.descriptions, documents.sample())


def _fit_history(
    overlap: DescriptionOverlap, documents: TrainingDocuments, labels: Sequence[int]
) -> DescriptionOverlap:
    # What words are worth doesn't depend on the view, so that scores can be compared.
    return overlap.only(labels, documents.sample())


def _fit_out_of_fold(
    documents: TrainingDocuments,
) -> tuple[DescriptionOverlap, NDArray[np.float32]] | None:
    overlap = _fit(documents)
    if overlap is None:
        return None
    return overlap, overlap.scores(list(documents.texts))  # the fit doesn't use labels anyway


def _load(arrays: Arrays, words: Mapping[str, Any], labels: int) -> DescriptionOverlap:
    return DescriptionOverlap.from_arrays(arrays, words["descriptions"], labels)


def _words(overlap: DescriptionOverlap) -> dict[str, Any]:
    return {"descriptions": [list(texts) for texts in overlap.descriptions]}


register_part(
    PartType(
        name="descriptions",
        fit=_fit,
        fit_out_of_fold=_fit_out_of_fold,
        load=_load,
        words=_words,
        fit_history=_fit_history,
        reads_sample=True,
    )
)
