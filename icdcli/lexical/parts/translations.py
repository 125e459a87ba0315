"""The part ``translations``: overlap with translated descriptions.

The titles and inclusion terms of codes are in English. In a language that has a table of
translations (`icdcli.icd.lexicon.translation`), this part compares them with notes after
translating them word by word. Descriptions in the language itself stay as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.data.relabeling import Relabeling
from icdcli.icd.lexicon.translation import TRANSLATED
from icdcli.io.npz import Arrays
from icdcli.lexical.description_overlap import DescriptionOverlap
from icdcli.lexical.descriptions import translated
from icdcli.lexical.registry import PartType, TrainingDocuments, register_part


@dataclass(frozen=True)
class TranslatedOverlap:
    """The overlap with translated descriptions.

    Attributes:
        overlap: The overlap, which has the translations.
        language: Their language.
    """

    overlap: DescriptionOverlap
    language: str

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return scores_NL; see `DescriptionOverlap.scores`."""
        return self.overlap.scores(texts)

    def by_word(self, document: Sequence[str], labels: Sequence[int]) -> NDArray[np.float32]:
        """Return how much each word adds to some labels' best phrases, (K, W)."""
        return self.overlap.by_word(document, labels)

    def relabeled(self, relabeling: Relabeling) -> "TranslatedOverlap":
        """Return the overlap with the translated descriptions of another label space."""
        own = translated(relabeling.descriptions, self.language)
        return replace(self, overlap=self.overlap.relabeled(replace(relabeling, descriptions=own)))

    def arrays(self) -> Arrays:
        """Return the arrays that `DescriptionOverlap.from_arrays` needs."""
        return self.overlap.arrays()


def _fit(documents: TrainingDocuments) -> TranslatedOverlap | None:
    language = documents.language
    if language not in TRANSLATED or not any(documents.descriptions):
        return None
    own = translated(documents.descriptions, language)
    return TranslatedOverlap(DescriptionOverlap.fit(own, documents.sample()), language)


def _fit_out_of_fold(
    documents: TrainingDocuments,
) -> tuple[TranslatedOverlap, NDArray[np.float32]] | None:
    overlap = _fit(documents)
    if overlap is None:
        return None
    return overlap, overlap.scores(list(documents.texts))  # the fit doesn't use labels


def _load(arrays: Arrays, words: Mapping[str, Any], labels: int) -> TranslatedOverlap:
    kept = words["translations"]
    overlap = DescriptionOverlap.from_arrays(arrays, kept["descriptions"], labels)
    return TranslatedOverlap(overlap, kept["language"])


def _words(part: TranslatedOverlap) -> dict[str, Any]:
    descriptions = [list(texts) for texts in part.overlap.descriptions]
    return {"translations": {"language": part.language, "descriptions": descriptions}}


register_part(
    PartType(
        name="translations",
        fit=_fit,
        fit_out_of_fold=_fit_out_of_fold,
        load=_load,
        words=_words,
        uses_lexicon=True,
        reads_sample=True,
    )
)
