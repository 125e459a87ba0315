"""How much of what is said about a code stands in a document: a score that needs no document with the code.

Each title or other term of a code is a phrase (`icdcli.lexical.phrases`), and a code's score is that of its best. A word
weighs ln((N + 1) / (d + 1)) · ln((L + 1) / (l + 1))^1.5, with d of N sample documents and l of L labels that have it, and the
sum over a phrase is divided by its greatest possible value to the power of .7, so that a long one found whole counts more
than a short one. From each code's score its mean over the sample is taken off: what is about as much in any document says
nothing of this one.

The powers, the window of `WINDOW` words and the mean were chosen on CodiEsp's dev split. Titles and inclusion terms alone reach
MAP .35 there in English; in Spanish the same English phrases still reach .27, through the words that the two languages share
(`icdcli.lexical.words.spelling`). A language or script that shares none gets zeros.

Shapes: N documents, V words of the phrases, P phrases, L labels, K labels that are asked for, W words of a document.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from icdcli.io.npz import Arrays
from icdcli.lexical.descriptions import Descriptions
from icdcli.lexical.phrases import Phrases
from icdcli.lexical.words import words

WINDOW = 10
_LABEL_POWER, _LENGTH_POWER = 1.5, 0.7


@dataclass(frozen=True)
class DescriptionOverlap:
    """Descriptions of codes, weighted for a kind of documents.

    Attributes:
        descriptions: Each label's; a label may have none.
        weight_V: Each word's weight, in the order of ``Phrases.vocabulary``.
        mean_L: Each label's mean over the sample documents.
        phrases: All descriptions in one line.
        labels_P: The label of each.
    """

    descriptions: Descriptions
    weight_V: NDArray[np.float32]
    mean_L: NDArray[np.float32]
    phrases: Phrases
    labels_P: NDArray[np.int32]

    @classmethod
    def fit(cls, descriptions: Descriptions, sample: Iterable[str]) -> "DescriptionOverlap":
        """Weigh the words by what a sample of training documents has; no document's label is looked at.

        Args:
            descriptions: Each label's titles and terms.
            sample: Some training documents; a thousand are plenty.
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
        telling_V = np.log((len(descriptions) + 1) / (in_labels_V + 1)).clip(0)
        weight_V = (rare_V * telling_V**_LABEL_POWER).astype(np.float32)
        phrases.weigh(weight_V, _LENGTH_POWER)
        plain = cls(
            descriptions, weight_V, np.zeros(len(descriptions), np.float32), phrases, labels_P
        )
        sums_L = np.zeros(len(descriptions), np.float64)
        for document in documents:
            sums_L += plain._score(document)
        mean_L = (sums_L / max(len(documents), 1)).astype(np.float32)
        return cls(descriptions, weight_V, mean_L, phrases, labels_P)

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Score documents, as (N, L): around 0 and without bounds; always 0 for a label without a description."""
        scores_NL = np.empty((len(texts), len(self.descriptions)), np.float32)
        for row, text in enumerate(texts):
            scores_NL[row] = self._score(words(text))
        return scores_NL

    def by_word(self, document: Sequence[str], labels: Sequence[int]) -> NDArray[np.float32]:
        """What each word of a document, folded, gives some labels' best descriptions, as (K, W); the mean isn't taken off."""
        found_KW = np.zeros((len(labels), len(document)), np.float32)
        for row, label in enumerate(labels):
            found_PW = self.phrases.found(
                document, np.flatnonzero(self.labels_P == label).tolist(), WINDOW
            )
            if len(found_PW):
                found_KW[row] = found_PW[found_PW.sum(axis=1).argmax()]
        return found_KW

    def arrays(self) -> Arrays:
        """What `from_arrays` makes it of, besides the descriptions."""
        return {"weights": self.weight_V, "means": self.mean_L}

    @classmethod
    def from_arrays(
        cls, arrays: Arrays, descriptions: Descriptions, number_of_labels: int
    ) -> "DescriptionOverlap":
        """Make it of its arrays and the descriptions.

        Raises:
            ValueError: Where they don't fit together.
            KeyError: Where one is missing.
        """
        phrases, labels_P = _phrases(descriptions)
        weight_V, mean_L = arrays["weights"].astype(np.float32), arrays["means"].astype(np.float32)
        if (
            weight_V.shape != (len(phrases.vocabulary),)
            or not len(mean_L) == len(descriptions) == number_of_labels
        ):
            raise ValueError(
                f"weights of shapes {weight_V.shape} and {mean_L.shape} for {number_of_labels} labels"
            )
        phrases.weigh(weight_V, _LENGTH_POWER)
        return cls(descriptions, weight_V, mean_L, phrases, labels_P)

    def _score(self, document: Sequence[str]) -> NDArray[np.float32]:
        best_L = np.zeros(len(self.descriptions), np.float32)
        np.maximum.at(best_L, self.labels_P, self.phrases.coverage(document, WINDOW))
        return best_L - self.mean_L


def _phrases(descriptions: Descriptions) -> tuple[Phrases, NDArray[np.int32]]:
    labels = [label for label, texts in enumerate(descriptions) for _ in texts]
    return Phrases([words(text) for texts in descriptions for text in texts]), np.array(
        labels, np.int32
    )
