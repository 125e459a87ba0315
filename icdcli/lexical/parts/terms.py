"""The part ``terms``: the terms for codes, matched word by word (`icdcli.lexical.term_lexicon`)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.io.npz import Arrays
from icdcli.lexical.registry import PartType, TrainingDocuments, register_part
from icdcli.lexical.term_lexicon import TermLexicon

_HISTORY_OF = re.compile(r"^.*\b(?:history of|antecedentes? (?:\w+ )?de) ", re.IGNORECASE)


def _fit(documents: TrainingDocuments) -> TermLexicon | None:
    if not any(documents.descriptions):
        return None
    return TermLexicon.fit(documents.descriptions, documents.texts, documents.targets)


def _fit_history(
    _lexicon: TermLexicon, documents: TrainingDocuments, _labels: Sequence[int]
) -> TermLexicon:
    # The view has the disease, but not always the words that made it a history.
    diseases = [
        (*texts, *(_HISTORY_OF.sub("", text) for text in texts)) for texts in documents.descriptions
    ]
    return TermLexicon.fit(diseases, documents.texts, documents.targets)


def _fit_out_of_fold(
    documents: TrainingDocuments,
) -> tuple[TermLexicon, NDArray[np.float32]] | None:
    lexicon = _fit(documents)
    if lexicon is None:
        return None
    return lexicon, lexicon.out_of_fold(documents.texts, documents.targets)


def _load(arrays: Arrays, words: Mapping[str, Any], labels: int) -> TermLexicon:
    return TermLexicon.from_arrays(arrays, [term.split() for term in words["terms"]], labels)


def _words(lexicon: TermLexicon) -> dict[str, Any]:
    return {"terms": [" ".join(term) for term in lexicon.terms]}


register_part(
    PartType(
        name="terms",
        fit=_fit,
        fit_out_of_fold=_fit_out_of_fold,
        load=_load,
        words=_words,
        uses_lexicon=True,
        fit_history=_fit_history,
    )
)
