"""A tagger of single words: which of them annotators would mark, by their features alone.

Two logistic regressions on hashed features of a word and its neighbors
(`icdcli.lexical.mentions.word_features`) give the probabilities that it is inside a mention, and
that it begins one.

Shapes: W words of a document, F features.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from icdcli.io.npz import Arrays
from icdcli.lexical.mentions.marked_words import Marks
from icdcli.lexical.mentions.word_features import BITS, word_features

_MOST_WORDS = 1 << 21
_EPOCHS, _PENALTY, _CERTAIN = 6, 5e-6, 20


@dataclass(frozen=True)
class WordTagger:
    """A fitted tagger of words.

    Attributes:
        weights_F2: The weight of each feature for a word inside a mention, and for its first.
        bias_2: The constants.
    """

    weights_F2: NDArray[np.float32]
    bias_2: NDArray[np.float32]

    @classmethod
    def fit(cls, documents: Iterable[tuple[Sequence[str], Marks]]) -> "WordTagger":
        """Fit to the words of documents, of which the first two million count."""
        from sklearn.linear_model import SGDClassifier

        features, inside, begins, room = [], [], [], _MOST_WORDS
        for document, marks in documents:
            if room <= 0:
                break
            features.append(word_features(document))
            inside.append(marks.inside_W)
            begins.append(marks.begins_W)
            room -= len(document)
        buckets = np.concatenate([*features, word_features([])])
        starts = np.arange(len(buckets) + 1) * buckets.shape[1]
        ones = np.ones(buckets.size, np.float32)
        rows = sparse.csr_matrix((ones, buckets.ravel(), starts), shape=(len(buckets), 1 << BITS))
        weights_F2, bias_2 = np.zeros((1 << BITS, 2), np.float32), np.zeros(2, np.float32)
        for column, marked in enumerate((inside, begins)):
            gold = np.concatenate([*marked, np.zeros(0, bool)])
            if gold.all() or not gold.any():  # nothing to learn
                bias_2[column] = _CERTAIN if len(gold) and gold.all() else -_CERTAIN
                continue
            model = SGDClassifier(
                loss="log_loss",
                alpha=_PENALTY,
                max_iter=_EPOCHS,
                tol=None,
                average=True,
                random_state=0,
            ).fit(rows, gold)
            weights_F2[:, column], bias_2[column] = model.coef_[0], model.intercept_[0]
        return cls(weights_F2, bias_2)

    def probabilities(self, document: Sequence[str]) -> NDArray[np.float64]:
        """Return the probabilities that each word is inside a mention and begins one, (W, 2)."""
        sums_W2 = self.weights_F2[word_features(document)].sum(axis=1, dtype=np.float64)
        likely_W2: NDArray[np.float64] = expit(sums_W2 + self.bias_2)
        return likely_W2

    def arrays(self) -> Arrays:
        """Return the arrays that `from_arrays` needs."""
        known = np.flatnonzero(self.weights_F2.any(axis=1)).astype(np.int32)
        return {"known": known, "weights": self.weights_F2[known], "bias": self.bias_2}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "WordTagger":
        """Make the tagger from its arrays.

        Raises:
            ValueError: If they don't fit together.
            KeyError: If one is missing.
            IndexError: If a feature is out of range.
        """
        weights_F2 = np.zeros((1 << BITS, 2), np.float32)
        weights_F2[arrays["known"]] = arrays["weights"]
        if arrays["bias"].shape != (2,):
            raise ValueError("the tagger of mentions has other constants")
        return cls(weights_F2, arrays["bias"])
