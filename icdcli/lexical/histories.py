"""The parts for codes that mean a history: a relative's disease, or one that the patient once had.

Notes word such a history like the disease itself, so a part that reads a complete note, or what it
affirms, can't tell them apart. For these codes a part is fitted once more, to what notes say of
relatives, or of the past, and to nothing else (`icdcli.lexical.views`). For a family history only
this score counts: what a note affirms shows that there is one, but not of what. For a personal
history the higher of both scores counts, since notes say much of it without a cue ("former
smoker"). So fusion, which gives each part one weight, needs no more of them; a label space rarely
has enough such codes to fit some.

Shapes: N documents, L labels, H labels that mean one kind of history, K requested labels, W words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.reader import Labels
from icdcli.data.relabeling import Relabeling
from icdcli.icd.codes import System
from icdcli.icd.history import History, history_of
from icdcli.icd.lexicon.history_terms import diseases_of, history_terms
from icdcli.io.npz import read_arrays, write_arrays
from icdcli.lexical.registry import LexicalPart, TrainingDocuments, part_type

Histories = Mapping[History, Mapping[int, Sequence[str]]]
"""Kind of history to the labels that mean it, each with the terms for its diseases."""


@dataclass(frozen=True)
class HistoryParts:
    """The parts that read one kind of history.

    Attributes:
        history: The kind, which is also the view.
        labels: The labels that mean it, ascending.
        fitted: Part to its fit for these labels, whose own labels are their positions.
    """

    history: History
    labels: tuple[int, ...]
    fitted: Mapping[str, LexicalPart]

    @classmethod
    def fit(
        cls,
        history: History,
        terms: Mapping[int, Sequence[str]],
        documents: TrainingDocuments,
        affirmed: Mapping[str, LexicalPart],
    ) -> "HistoryParts":
        """Fit to what documents say of a history.

        Args:
            history: The kind.
            terms: The labels that mean it, with the terms for their diseases.
            documents: The training documents, with all their labels, as the history's view has
                them.
            affirmed: The parts that read what the documents affirm.
        """
        labels = sorted(terms)
        place = {label: number for number, label in enumerate(labels)}
        targets = [
            np.array([place[label] for label in row if label in place], np.int32)
            for row in documents.targets
        ]
        descriptions = [(*documents.descriptions[label], *terms[label]) for label in labels]
        some = replace(documents, targets=targets, descriptions=descriptions, annotations=None)
        again = {
            name: fit(part, some, labels)
            for name, part in affirmed.items()
            if (fit := part_type(name).fit_history) is not None
        }
        return cls(history, tuple(labels), again)

    def relabeled(
        self, relabeling: Relabeling, terms: Mapping[int, Sequence[str]]
    ) -> "HistoryParts":
        """Return the parts of another label space.

        Args:
            relabeling: What becomes of all labels.
            terms: The labels that mean this history, with the terms for their diseases.
        """
        followers = relabeling.followers()
        new = {label for label in terms if not relabeling.kept_L[label]}
        labels = sorted({*new, *(label for own in self.labels for label in followers[own])})
        described = [
            (*texts, *terms.get(label, ())) for label, texts in enumerate(relabeling.descriptions)
        ]
        some = replace(relabeling, descriptions=described).among(self.labels, labels)
        fitted = {name: part.relabeled(some) for name, part in self.fitted.items()}
        return HistoryParts(self.history, tuple(labels), fitted)

    def put_scores(self, name: str, scores_NL: NDArray[np.float32], texts: Sequence[str]) -> None:
        """Put the scores of documents in its view among those of the affirmed text, in place."""
        labels = list(self.labels)
        own_NH = self.fitted[name].scores(texts)
        if self.history == "personal":
            own_NH = np.maximum(scores_NL[:, labels], own_NH)
        scores_NL[:, labels] = own_NH

    def counts(
        self,
        labels: Sequence[int],
        of_affirmed_K: NDArray[np.floating],
        own_K: NDArray[np.floating],
    ) -> NDArray[np.bool_]:
        """Return which labels' own scores count instead of those of the affirmed text, (K)."""
        counts_K = np.isin(labels, self.labels)
        if self.history == "personal":
            counts_K &= own_K > of_affirmed_K
        return counts_K

    def by_word(
        self, name: str, document: Sequence[str], labels: Sequence[int]
    ) -> NDArray[np.float32]:
        """Return how much each word of a document in its view adds to some labels, (K, W)."""
        place = {label: number for number, label in enumerate(self.labels)}
        rows = [row for row, label in enumerate(labels) if label in place]
        found_KW = np.zeros((len(labels), len(document)), np.float32)
        if rows:
            found_KW[rows] = self.fitted[name].by_word(
                document, [place[labels[row]] for row in rows]
            )
        return found_KW

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the arrays into a folder, and return what `load` needs besides them."""
        about: dict[str, Any] = {"labels": self.labels, "parts": tuple(self.fitted)}
        for name, part in self.fitted.items():
            about |= part_type(name).words(part)
            write_arrays(folder / f"{self.history}_{name}.npz", part.arrays())
        return about

    @classmethod
    def load(cls, folder: Path, history: History, about: Mapping[str, Any]) -> "HistoryParts":
        """Load what `save` wrote.

        Raises:
            ValueError: If the files don't belong together; also KeyError, TypeError or IndexError.
            OSError: If a file can't be read.
        """
        labels = tuple(about["labels"])
        fitted = {
            name: part_type(name).load(
                read_arrays(folder / f"{history}_{name}.npz"), about, len(labels)
            )
            for name in about["parts"]
        }
        return cls(history, labels, fitted)


def history_labels(
    labels: Labels, system: System | None, synonyms_in: str | None = None
) -> Histories:
    """Return the labels that mean each kind of history, if there are any.

    What notes say of the past is no evidence of a history of smoking or of radiotherapy, or of what
    lasts anyway. Such codes of no certain disease are left to what the notes affirm.

    Args:
        labels: The label space.
        system: The coding system; None: unknown, so that no label is known to mean a history.
        synonyms_in: Add the terms for their diseases, with the synonyms of this language; None: add
            none.
    """
    found: dict[History, dict[int, tuple[str, ...]]] = {}
    if system is not None:
        for label, (code, kind) in enumerate(zip(labels.codes, labels.kinds, strict=True)):
            history = history_of(code, kind, system)
            if history == "family" or (history is not None and diseases_of(code, system)):
                terms = history_terms(code, system, synonyms_in) if synonyms_in else ()
                found.setdefault(history, {})[label] = terms
    return found
