"""The part ``ngrams``: ridge regression from n-grams to codes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from icdcli.lexical.ngram_ridge import NgramRidge
from icdcli.lexical.registry import PartType, TrainingDocuments, register_part

_HISTORY_COLUMNS = 2048
"""The columns of a sketch of what notes say of a history: few words, for few labels."""
_HISTORY_PENALTY = 1.0
"""One document with a few words in common shows little. On CodiEsp's dev split, less penalty gives
confident scores to wrong codes, and loses average precision."""


def _fit(documents: TrainingDocuments) -> NgramRidge:
    return _fit_ridge(documents, lean=True)


def _fit_ridge(documents: TrainingDocuments, lean: bool = False) -> NgramRidge:
    return NgramRidge.fit(
        documents.texts,
        documents.targets,
        documents.number_of_labels,
        bounded=documents.with_lexicon,
        lean=lean,
    )


def _fit_out_of_fold(documents: TrainingDocuments) -> tuple[NgramRidge, NDArray[np.float32]]:
    ridge = _fit_ridge(documents)
    return ridge.lean(), ridge.out_of_fold(list(documents.texts), documents.targets)


def _fit_history(
    _ridge: NgramRidge, documents: TrainingDocuments, _labels: Sequence[int]
) -> NgramRidge:
    return NgramRidge.fit(
        documents.texts,
        documents.targets,
        documents.number_of_labels,
        columns=_HISTORY_COLUMNS,
        penalty=_HISTORY_PENALTY,
        lean=True,
    )


register_part(
    PartType(
        name="ngrams",
        fit=_fit,
        fit_out_of_fold=_fit_out_of_fold,
        load=lambda arrays, _words, labels: NgramRidge.from_arrays(arrays, labels),
        fit_history=_fit_history,
        reads_marks=True,
    )
)
