"""The lexical model: its parts fitted together, applied together, and saved with a checkpoint.

Each part gives one matrix of scores that rise with how likely a code is, on a scale of its own;
`icdcli.model.fusion` combines them. The files are private (0600), because they contain words of the
training documents:

    lexical.json        the parts, and their words: descriptions, annotated strings
    <part>.npz          the arrays of one part

Shapes: N documents, L labels, K requested labels, W words of a document.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.reader import Corpus
from icdcli.errors import ResumeError
from icdcli.io.files import private_folder, write_json
from icdcli.io.npz import read_arrays, write_arrays
from icdcli.lexical.descriptions import Descriptions, descriptions_of
from icdcli.lexical.names import part_names
from icdcli.lexical.registry import LexicalPart, PartType, TrainingDocuments, part_type
from icdcli.lexical.targets import Annotations, Targets
from icdcli.lexical.words import placed_words

FORMAT = 1
_ABOUT = "lexical.json"

Scores = dict[str, NDArray[np.float32]]
"""Part to scores_NL."""


@dataclass(frozen=True)
class LexicalModel:
    """A lexical model: its fitted parts.

    Attributes:
        number_of_labels: L.
        fitted: Name to part, in the order of `part_names`.
    """

    number_of_labels: int
    fitted: Mapping[str, LexicalPart]

    @classmethod
    def of(cls, corpus: Corpus, parts: Sequence[str] | None = None) -> "LexicalModel":
        """Fit to the training documents of a corpus.

        Args:
            corpus: A prepared corpus with a training split.
            parts: The parts to fit; None: all. Parts for which the corpus has no annotations or
                descriptions are left out.

        Raises:
            ConfigError: If the corpus has no training documents.
            DataError: If its files can't be read.
        """
        targets, texts = corpus.documents("train").targets, _Texts(corpus)
        annotations = None
        annotated = any(kind.uses_annotations for kind in _types(parts))
        if annotated and len(evidence := corpus.evidence("train")):
            annotations = [evidence.surfaces(row, text) for row, text in enumerate(texts)]
        descriptions = descriptions_of(corpus.labels, corpus.system)
        return cls.fit(texts, targets, descriptions, annotations, parts)

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        targets: Targets,
        descriptions: Descriptions,
        annotations: Annotations | None = None,
        parts: Sequence[str] | None = None,
    ) -> "LexicalModel":
        """Fit to training documents.

        Args:
            texts: The documents; read several times.
            targets: The labels of each document.
            descriptions: The descriptions of each label.
            annotations: The annotations of each document, empty for a document that nobody
                annotated; None if there are none at all.
            parts: The parts to fit; None: all. Those without the input they need are left out.

        Raises:
            ValueError: If there is no document, or the numbers of documents differ.
        """
        documents = TrainingDocuments(texts, targets, descriptions, annotations)
        fitted = {kind.name: kind.fit(documents) for kind in _types(parts)}
        present = {name: part for name, part in fitted.items() if part is not None}
        return cls(documents.number_of_labels, present)

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the names of the fitted parts."""
        return tuple(self.fitted)

    def scores(self, texts: Sequence[str]) -> Scores:
        """Return the scores_NL of each part for new documents.

        Args:
            texts: The documents; few enough that (N, L) of every part fits into memory.
        """
        return {name: part.scores(texts) for name, part in self.fitted.items()}

    def by_word(self, text: str, labels: Sequence[int]) -> tuple[NDArray[np.int64], Scores]:
        """Return how much each word of a document adds to the scores of some labels.

        Returns:
            The begin and end of each word in the text, (W, 2), and the contributions by part, (K,
            W).
        """
        document, spans_W2 = placed_words(text)
        parts = {name: part.by_word(document, labels) for name, part in self.fitted.items()}
        return spans_W2, parts

    def save(self, folder: Path) -> None:
        """Write it into a folder, which is made if necessary."""
        private_folder(folder)
        words: dict[str, Any] = {}
        for name, part in self.fitted.items():
            words |= part_type(name).words(part)
            write_arrays(folder / f"{name}.npz", part.arrays())
        about = {"format": FORMAT, "parts": self.parts, "labels": self.number_of_labels}
        write_json(folder / _ABOUT, about | words)

    @classmethod
    def load(cls, folder: Path, number_of_labels: int) -> "LexicalModel":
        """Load what `save` wrote.

        Args:
            folder: The folder.
            number_of_labels: The number of labels that it must be for.

        Raises:
            ResumeError: If a file is missing or damaged, or the files don't belong together.
        """
        try:
            about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
            if about["format"] != FORMAT or about["labels"] != number_of_labels:
                raise ValueError(
                    f"format {about['format']} for {about['labels']} labels, "
                    f"not {FORMAT} for {number_of_labels}"
                )
            arrays = {name: read_arrays(folder / f"{name}.npz") for name in about["parts"]}
            fitted = {
                kind.name: kind.load(arrays[kind.name], about, number_of_labels)
                for kind in _types(about["parts"])
            }
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise ResumeError(
                f"{folder}: the lexical model can't be read ({error}). Take another checkpoint, or "
                "train again"
            ) from error
        return cls(number_of_labels, fitted)


def fit_out_of_fold(
    texts: Sequence[str],
    targets: Targets,
    descriptions: Descriptions,
    annotations: Annotations | None = None,
    parts: Sequence[str] | None = None,
) -> tuple[LexicalModel, Scores]:
    """Fit, and score the training documents as if they were new.

    No document's scores depend on its own labels or annotations. The arguments are those of
    `LexicalModel.fit`.

    Returns:
        The same model as `LexicalModel.fit`, and the scores.
    """
    documents = TrainingDocuments(texts, targets, descriptions, annotations)
    fitted: dict[str, LexicalPart] = {}
    scores: Scores = {}
    for kind in _types(parts):
        if (result := kind.fit_out_of_fold(documents)) is not None:
            fitted[kind.name], scores[kind.name] = result
    return LexicalModel(documents.number_of_labels, fitted), scores


def _types(parts: Sequence[str] | None) -> Iterator[PartType[Any]]:
    """Yield the requested parts in the order of `part_names`, or all for None.

    Raises:
        ValueError: If there is no such part.
    """
    names = part_names()
    for name in parts or ():
        if name not in names:
            raise ValueError(f"unknown part {name!r}")
    return (part_type(name) for name in names if parts is None or name in parts)


class _Texts:
    """The training texts of a corpus, which can be iterated over any number of times."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus

    def __iter__(self) -> Iterator[str]:
        return self._corpus.texts("train")
