"""The overlap of a document with the codes' descriptions, which also scores codes never seen.

Each title or other term of a code is a phrase (`icdcli.lexical.phrases`), and a code's score is
that of its best phrase. The weight of a word is ln((N + 1) / (d + 1)) · ln((L + 1) / (l + 1))^1.5,
if d of N sample documents and l of L labels contain it. The sum over a phrase is divided by its
largest possible value to the power of .7, so that a long phrase that is found completely counts
more than a short one. The mean of each code over the sample is subtracted: an overlap with any
document says nothing about this one.

The powers, the window of `WINDOW` words and the mean were chosen on CodiEsp's dev split. Titles and
inclusion terms alone reach MAP .35 there in English. In Spanish the same English phrases still
reach .27, through the words that the two languages share (`icdcli.lexical.words.spelling`). A
language or script without shared words gets zeros.

Shapes: N documents, V words of the phrases, P phrases, L labels, K requested labels, W words of a
document.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from icdcli.data.processes import in_blocks
from icdcli.data.relabeling import Relabeling
from icdcli.io.npz import Arrays
from icdcli.lexical.descriptions import Descriptions
from icdcli.lexical.phrases import Phrases
from icdcli.lexical.words import words

WINDOW = 10
_LABEL_POWER, _LENGTH_POWER = 1.5, 0.7
_BLOCK, _LEAST_DOCUMENTS = 32, 256


@dataclass(frozen=True)
class DescriptionOverlap:
    """Descriptions of codes, with word weights for one kind of documents.

    Attributes:
        descriptions: The descriptions of each label, possibly none.
        weight_V: The weight of each word, in the order of ``Phrases.vocabulary``.
        mean_L: The mean score of each label over the sample documents.
        phrases: The descriptions of all labels in one sequence.
        labels_P: The label of each phrase.
    """

    descriptions: Descriptions
    weight_V: NDArray[np.float32]
    mean_L: NDArray[np.float32]
    phrases: Phrases
    labels_P: NDArray[np.int32]

    @classmethod
    def fit(cls, descriptions: Descriptions, sample: Iterable[str]) -> "DescriptionOverlap":
        """Fit the word weights and means to a sample of training documents, without their labels.

        Args:
            descriptions: The titles and terms of each label.
            sample: Some training documents; a thousand are enough.
        """
        phrases, labels_P = _phrases(descriptions)
        documents = [words(text) for text in sample]
        in_documents_V = phrases.document_frequencies(documents)
        rare_V = np.log((len(documents) + 1) / (in_documents_V + 1)).clip(0.05)
        of_label_LP = sparse.csr_matrix(
            (np.ones(len(labels_P), np.float32), (labels_P, np.arange(len(labels_P)))),
            shape=(len(descriptions), len(labels_P)),
        )
        in_labels_V = np.bincount(
            (of_label_LP @ phrases.weights_PV).indices, minlength=len(phrases.vocabulary)
        )
        weight_V = (rare_V * _specific(len(descriptions), in_labels_V)).astype(np.float32)
        phrases.weigh(weight_V, _LENGTH_POWER)
        plain = cls._without_mean(descriptions, weight_V, phrases, labels_P)
        blocks = in_blocks(plain._scores_of_words, documents, _BLOCK, _LEAST_DOCUMENTS)
        return plain._beyond_the_mean(chain.from_iterable(blocks))

    def only(self, labels: Sequence[int], sample: Iterable[str]) -> "DescriptionOverlap":
        """Return the overlap with some labels in other documents; words keep their weights.

        Args:
            labels: The labels.
            sample: Some of these documents; the mean over them is subtracted.
        """
        descriptions = [self.descriptions[label] for label in labels]
        phrases, labels_P = _phrases(descriptions)
        place = {word: number for number, word in enumerate(self.phrases.vocabulary)}
        weight_V = self.weight_V[[place[word] for word in phrases.vocabulary]]
        phrases.weigh(weight_V, _LENGTH_POWER)
        plain = self._without_mean(descriptions, weight_V, phrases, labels_P)
        return plain._beyond_the_mean(plain._score(words(text)) for text in sample)

    def relabeled(self, relabeling: Relabeling) -> "DescriptionOverlap":
        """Return the overlap with the descriptions of another label space.

        Words keep their weights. A word that no description had counts as one that no training
        document has. Labels that aren't kept have the mean of their source, or else of a label.
        """
        descriptions = relabeling.texts_of(self.descriptions)
        phrases, labels_P = _phrases(descriptions)
        known = dict(zip(self.phrases.vocabulary, self.weight_V.tolist(), strict=True))
        in_labels: dict[str, set[int]] = {}
        for label in relabeling.changed:
            for word in (word for text in descriptions[label] for word in words(text)):
                if word not in known:
                    in_labels.setdefault(word, set()).add(label)
        rarest = self._rarest()
        for word, labels in in_labels.items():
            known[word] = rarest * _specific(len(self.descriptions), len(labels))
        weight_V = np.array([known[word] for word in phrases.vocabulary], np.float32)
        phrases.weigh(weight_V, _LENGTH_POWER)
        mean_L = relabeling.rows(self.mean_L, np.median(self.mean_L) if len(self.mean_L) else 0)
        return DescriptionOverlap(descriptions, weight_V, mean_L, phrases, labels_P)

    def _rarest(self) -> float:
        """Return how rare the rarest word is in documents, by what its weight is made of."""
        in_labels = Counter(
            word
            for texts in self.descriptions
            for word in {word for text in texts for word in words(text)}
        )
        return max(
            (
                weight / specific
                for word, weight in zip(self.phrases.vocabulary, self.weight_V, strict=True)
                if (specific := _specific(len(self.descriptions), in_labels[word])) > 0
            ),
            default=1.0,
        )

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return scores_NL, around 0 and unbounded; always 0 for a label without a description."""
        scores_NL = np.empty((len(texts), len(self.descriptions)), np.float32)
        for row, text in enumerate(texts):
            scores_NL[row] = self._score(words(text))
        return scores_NL

    def by_word(self, document: Sequence[str], labels: Sequence[int]) -> NDArray[np.float32]:
        """Return how much each folded word of a document adds to some labels' best phrases, (K, W).

        The mean isn't subtracted.
        """
        found_KW = np.zeros((len(labels), len(document)), np.float32)
        for row, label in enumerate(labels):
            found_PW = self.phrases.found(
                document, np.flatnonzero(self.labels_P == label).tolist(), WINDOW
            )
            if len(found_PW):
                found_KW[row] = found_PW[found_PW.sum(axis=1).argmax()]
        return found_KW

    def arrays(self) -> Arrays:
        """Return the arrays that `from_arrays` needs besides the descriptions."""
        return {"weights": self.weight_V, "means": self.mean_L}

    @classmethod
    def from_arrays(
        cls, arrays: Arrays, descriptions: Descriptions, number_of_labels: int
    ) -> "DescriptionOverlap":
        """Make it from its arrays and the descriptions.

        Raises:
            ValueError: If they don't fit together.
            KeyError: If one is missing.
        """
        phrases, labels_P = _phrases(descriptions)
        weight_V, mean_L = arrays["weights"].astype(np.float32), arrays["means"].astype(np.float32)
        if (
            weight_V.shape != (len(phrases.vocabulary),)
            or not len(mean_L) == len(descriptions) == number_of_labels
        ):
            raise ValueError(
                f"weights of shapes {weight_V.shape} and {mean_L.shape} "
                f"for {number_of_labels} labels"
            )
        phrases.weigh(weight_V, _LENGTH_POWER)
        return cls(descriptions, weight_V, mean_L, phrases, labels_P)

    @classmethod
    def _without_mean(
        cls,
        descriptions: Descriptions,
        weight_V: NDArray[np.float32],
        phrases: Phrases,
        labels_P: NDArray[np.int32],
    ) -> "DescriptionOverlap":
        return cls(
            descriptions, weight_V, np.zeros(len(descriptions), np.float32), phrases, labels_P
        )

    def _beyond_the_mean(self, scores: Iterable[NDArray[np.float32]]) -> "DescriptionOverlap":
        """Return the overlap beyond the mean of the scores_L of some documents."""
        sums_L, documents = np.zeros(len(self.descriptions), np.float64), 0
        for scores_L in scores:
            sums_L += scores_L
            documents += 1
        return replace(self, mean_L=(sums_L / max(documents, 1)).astype(np.float32))

    def _scores_of_words(self, documents: Sequence[Sequence[str]]) -> list[NDArray[np.float32]]:
        return [self._score(document) for document in documents]

    def _score(self, document: Sequence[str]) -> NDArray[np.float32]:
        best_L = np.zeros(len(self.descriptions), np.float32)
        np.maximum.at(best_L, self.labels_P, self.phrases.coverage(document, WINDOW))
        return best_L - self.mean_L


def _specific(labels: int, in_labels: NDArray[np.int64] | int) -> NDArray[np.float64]:
    """Return how much a word says by being in the descriptions of so many labels."""
    specific: NDArray[np.float64] = (
        np.log((labels + 1) / (np.asarray(in_labels) + 1)).clip(0) ** _LABEL_POWER
    )
    return specific


def _phrases(descriptions: Descriptions) -> tuple[Phrases, NDArray[np.int32]]:
    labels = [label for label, texts in enumerate(descriptions) for _ in texts]
    return Phrases([words(text) for texts in descriptions for text in texts]), np.array(
        labels, np.int32
    )
