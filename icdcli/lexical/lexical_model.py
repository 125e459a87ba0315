"""The parts that score words alone, fitted together, applied together, and kept with a checkpoint.

Each part gives one matrix of scores that rise with how likely a code is, on a scale of its own; `icdcli.model.fusion` makes
one score of them. What lies on disk, private (0600), for it holds words of the training documents:

    lexical.json        the parts, and their words: descriptions, annotated strings
    <part>.npz          its numbers

Shapes: N documents, L labels, K labels that are asked for, W words of a document.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.reader import Corpus
from icdcli.errors import ResumeError
from icdcli.io.files import private_folder, write_json
from icdcli.io.npz import read_arrays, write_arrays
from icdcli.lexical.description_overlap import DescriptionOverlap
from icdcli.lexical.descriptions import Descriptions, descriptions_of
from icdcli.lexical.evidence_fit import Annotations, fit_evidence, fit_evidence_out_of_fold
from icdcli.lexical.evidence_lexicon import EvidenceLexicon
from icdcli.lexical.ngram_ridge import NgramRidge, Targets
from icdcli.lexical.words import placed_words

PARTS = ("ngrams", "descriptions", "evidence")
FORMAT = 1
_ABOUT = "lexical.json"
_SAMPLE = 1_000

Scores = dict[str, NDArray[np.float32]]
"""Part to scores_NL."""


@dataclass(frozen=True)
class Lexical:
    """The parts that are on.

    Attributes:
        number_of_labels: L.
        ngrams: Ridge regression on n-grams.
        descriptions: Overlap with the codes' descriptions.
        evidence: The lexicon of annotated evidence.
    """

    number_of_labels: int
    ngrams: NgramRidge | None = None
    descriptions: DescriptionOverlap | None = None
    evidence: EvidenceLexicon | None = None

    @classmethod
    def of(cls, corpus: Corpus, parts: Sequence[str] = PARTS) -> "Lexical":
        """Fit to a corpus' training documents.

        Args:
            corpus: A prepared corpus with a training split.
            parts: Which parts; those that the corpus has nothing for, annotations or descriptions, are left off.

        Raises:
            ConfigError: When the corpus has no training documents.
            DataError: When its files can't be read.
        """
        targets, texts = corpus.documents("train").targets, _Texts(corpus)
        annotations = None
        if "evidence" in parts and len(evidence := corpus.evidence("train")):
            annotations = [evidence.surfaces(row, text) for row, text in enumerate(texts)]
        return cls.fit(
            texts, targets, descriptions_of(corpus.labels, corpus.system), annotations, parts
        )

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        targets: Targets,
        descriptions: Descriptions,
        annotations: Annotations | None = None,
        parts: Sequence[str] = PARTS,
    ) -> "Lexical":
        """Fit to training documents.

        Args:
            texts: The documents; gone through several times.
            targets: Each document's labels.
            descriptions: What is said about each label.
            annotations: What annotators marked in each document, empty for one that nobody annotated; None: nobody did.
            parts: Which parts; those that there is nothing for are left off.

        Raises:
            ValueError: Where there is no document, or the numbers of documents differ.
        """
        labels, marked = len(descriptions), _marked(annotations, parts)
        return cls(
            labels,
            NgramRidge.fit(texts, targets, labels).lean() if "ngrams" in parts else None,
            _overlap(texts, targets, descriptions, parts),
            fit_evidence(texts, targets, marked, labels) if marked is not None else None,
        )

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are on."""
        return tuple(part for part in PARTS if getattr(self, part) is not None)

    def scores(self, texts: Sequence[str]) -> Scores:
        """Score new documents.

        Args:
            texts: The documents, so many at a time as (N, L) of each part may take memory.
        """
        return {part: getattr(self, part).scores(texts) for part in self.parts}

    def by_word(self, text: str, labels: Sequence[int]) -> tuple[NDArray[np.int64], Scores]:
        """Where each word of a document begins and ends, (W, 2), and how much it says for some labels: part to (K, W)."""
        document, places = placed_words(text)
        return places, {part: getattr(self, part).by_word(document, labels) for part in self.parts}

    def save(self, folder: Path) -> None:
        """Write it into a folder, which is made where missing."""
        private_folder(folder)
        words: dict[str, Any] = {}
        if self.descriptions is not None:
            words["descriptions"] = [list(texts) for texts in self.descriptions.descriptions]
        if self.evidence is not None:
            words["strings"] = [" ".join(string) for string in self.evidence.strings]
            words["little_words"] = sorted(self.evidence.little_words)
        for part in self.parts:
            write_arrays(folder / f"{part}.npz", getattr(self, part).arrays())
        write_json(
            folder / _ABOUT,
            {"format": FORMAT, "parts": self.parts, "labels": self.number_of_labels, **words},
        )

    @classmethod
    def load(cls, folder: Path, number_of_labels: int) -> "Lexical":
        """Read it back.

        Args:
            folder: Where it was saved.
            number_of_labels: How many labels it must be for.

        Raises:
            ResumeError: When a file is missing or damaged, or the files don't belong together.
        """
        try:
            about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
            if about["format"] != FORMAT or about["labels"] != number_of_labels:
                raise ValueError(
                    f"format {about['format']} for {about['labels']} labels, not {FORMAT} for {number_of_labels}"
                )
            arrays = {part: read_arrays(folder / f"{part}.npz") for part in about["parts"]}
            ngrams = descriptions = evidence = None
            if "ngrams" in arrays:
                ngrams = NgramRidge.from_arrays(arrays["ngrams"], number_of_labels)
            if "descriptions" in arrays:
                descriptions = DescriptionOverlap.from_arrays(
                    arrays["descriptions"], about["descriptions"], number_of_labels
                )
            if "evidence" in arrays:
                strings = [string.split() for string in about["strings"]]
                evidence = EvidenceLexicon.from_arrays(
                    arrays["evidence"], strings, about["little_words"], number_of_labels
                )
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise ResumeError(
                f"{folder}: the scores of words alone can't be read ({error}); take another checkpoint, or train anew"
            ) from error
        return cls(number_of_labels, ngrams, descriptions, evidence)


def fit_out_of_fold(
    texts: Sequence[str],
    targets: Targets,
    descriptions: Descriptions,
    annotations: Annotations | None = None,
    parts: Sequence[str] = PARTS,
) -> tuple[Lexical, Scores]:
    """Fit, and score the training documents as if they were new: no document's score saw its own labels or annotations.

    Args:
        texts: The training documents.
        targets: Each document's labels.
        descriptions: What is said about each label.
        annotations: As in `Lexical.fit`.
        parts: As in `Lexical.fit`.

    Returns:
        What `Lexical.fit` gives, and the scores.
    """
    fitted = Lexical.fit(
        texts, targets, descriptions, None, [part for part in parts if part != "ngrams"]
    )
    scores: Scores = {}
    if "ngrams" in parts:
        ridge = NgramRidge.fit(texts, targets, len(descriptions))
        scores["ngrams"] = ridge.out_of_fold(texts, targets)
        fitted = replace(fitted, ngrams=ridge.lean())
    if fitted.descriptions is not None:
        scores["descriptions"] = fitted.descriptions.scores(texts)  # which never looks at labels
    marked = _marked(annotations, parts)
    if marked is None:
        return fitted, scores
    evidence, scores["evidence"] = fit_evidence_out_of_fold(
        texts, targets, marked, len(descriptions)
    )
    for row, mine in enumerate(marked):
        if not mine:
            scores["evidence"][row] = evidence.scores([texts[row]])[0]
    return replace(fitted, evidence=evidence), scores


class _Texts:
    """The training texts of a corpus, to be gone through as often as one likes."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus

    def __iter__(self) -> Iterator[str]:
        return self._corpus.texts("train")


def _overlap(
    texts: Iterable[str], targets: Targets, descriptions: Descriptions, parts: Sequence[str]
) -> DescriptionOverlap | None:
    if "descriptions" not in parts or not any(descriptions):
        return None
    every = -(-len(targets) // _SAMPLE)
    return DescriptionOverlap.fit(descriptions, islice(texts, 0, None, max(every, 1)))


def _marked(annotations: Annotations | None, parts: Sequence[str]) -> Annotations | None:
    """The annotations, where there are any and the part is on."""
    return (
        annotations
        if "evidence" in parts and annotations is not None and any(annotations)
        else None
    )
