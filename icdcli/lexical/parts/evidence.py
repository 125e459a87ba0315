"""The part ``evidence``: the lexicon of annotated evidence."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.io.npz import Arrays
from icdcli.lexical.evidence_fit import fit_evidence, fit_evidence_out_of_fold
from icdcli.lexical.evidence_lexicon import EvidenceLexicon
from icdcli.lexical.registry import PartType, TrainingDocuments, register_part


def _fit(documents: TrainingDocuments) -> EvidenceLexicon | None:
    annotations = documents.annotations
    if annotations is None or not any(annotations):
        return None
    return fit_evidence(documents.texts, documents.targets, annotations, documents.number_of_labels)


def _fit_out_of_fold(
    documents: TrainingDocuments,
) -> tuple[EvidenceLexicon, NDArray[np.float32]] | None:
    annotations = documents.annotations
    if annotations is None or not any(annotations):
        return None
    lexicon, scores_NL = fit_evidence_out_of_fold(
        documents.texts, documents.targets, annotations, documents.number_of_labels
    )
    for row, text in enumerate(documents.texts):
        if not annotations[row]:  # the lexicon has learnt nothing from it
            scores_NL[row] = lexicon.scores([text])[0]
    return lexicon, scores_NL


def _load(arrays: Arrays, words: Mapping[str, Any], labels: int) -> EvidenceLexicon:
    strings = [string.split() for string in words["strings"]]
    return EvidenceLexicon.from_arrays(arrays, strings, words["little_words"], labels)


def _words(lexicon: EvidenceLexicon) -> dict[str, Any]:
    return {
        "strings": [" ".join(string) for string in lexicon.strings],
        "little_words": sorted(lexicon.stop_words),
    }


register_part(
    PartType(
        name="evidence",
        fit=_fit,
        fit_out_of_fold=_fit_out_of_fold,
        load=_load,
        words=_words,
        uses_annotations=True,
    )
)
