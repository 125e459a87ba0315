"""The part ``mentions``: what annotators would mark, and for which codes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.io.npz import Arrays
from icdcli.lexical.mentions.fitting import fit_mentions
from icdcli.lexical.mentions.mention_model import MentionModel
from icdcli.lexical.registry import PartType, TrainingDocuments, register_part
from icdcli.lexical.targets import Annotations

_FOLDS = 5


def _fit(documents: TrainingDocuments) -> MentionModel | None:
    annotations = documents.annotations
    if annotations is None or not any(annotations):
        return None
    language = documents.language if documents.with_lexicon else None
    return fit_mentions(documents.texts, annotations, documents.descriptions, language)


def _fit_out_of_fold(
    documents: TrainingDocuments,
) -> tuple[MentionModel, NDArray[np.float32]] | None:
    """Fit, and score each fold of the annotated documents with a model of the others."""
    model = _fit(documents)
    if model is None or documents.annotations is None:
        return None
    texts, annotations = list(documents.texts), documents.annotations
    scores_NL = np.zeros((len(texts), documents.number_of_labels), np.float32)
    annotated = [row for row, marked in enumerate(annotations) if marked]
    for fold in range(_FOLDS):
        left_out = set(annotated[fold::_FOLDS])
        others = _fit(replace(documents, annotations=_without(annotations, left_out)))
        if others is not None:
            for row in left_out:
                scores_NL[row] = others.scores([texts[row]])[0]
    for row, text in enumerate(texts):
        if not annotations[row]:  # the model has learned nothing from it
            scores_NL[row] = model.scores([text])[0]
    return model, scores_NL


def _without(annotations: Annotations, rows: set[int]) -> Annotations:
    return [() if row in rows else marked for row, marked in enumerate(annotations)]


def _load(arrays: Arrays, words: Mapping[str, Any], labels: int) -> MentionModel:
    return MentionModel.from_arrays(arrays, labels, words["mentions"]["language"])


def _words(model: MentionModel) -> dict[str, Any]:
    return {"mentions": {"language": model.language}}


register_part(
    PartType(
        name="mentions",
        fit=_fit,
        fit_out_of_fold=_fit_out_of_fold,
        load=_load,
        words=_words,
        uses_annotations=True,
    )
)
