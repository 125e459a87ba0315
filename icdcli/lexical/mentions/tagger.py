"""A tagger: the words of a document that annotators would mark, and the mentions that they form.

Two logistic regressions on hashed features of a word and its neighbors
(`icdcli.lexical.mentions.word_features`) give the probabilities that it is inside a mention, and
that it begins one. Mentions are runs of words whose probability is above one of several levels, so
that a likely word alone and a longer run around it can both be mentions.

Shapes: W words of a document, F features, M mentions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from icdcli.io.npz import Arrays
from icdcli.lexical.mentions.marked_words import Marks
from icdcli.lexical.mentions.word_features import BITS, word_features

_LEVELS = (0.15, 0.3, 0.5, 0.7)
_LONGEST = 10
_BEGINS = 0.5
_MOST_WORDS = 1 << 21
_EPOCHS, _PENALTY, _CERTAIN = 6, 5e-6, 20


class TaggedMention(NamedTuple):
    """A stretch of words that is probably a mention.

    Attributes:
        begin: Its first word.
        end: The word after its last one.
        mean: The mean probability that its words are inside a mention.
        least: The smallest of these.
        starts: The probability that its first word begins a mention.
        stops: The probability that the next word isn't inside one.
    """

    begin: int
    end: int
    mean: float
    least: float
    starts: float
    stops: float


@dataclass(frozen=True)
class Tagger:
    """The two regressions.

    Attributes:
        weights_F2: The weight of each feature for a word inside a mention, and for its first.
        bias_2: The constants.
    """

    weights_F2: NDArray[np.float32]
    bias_2: NDArray[np.float32]

    @classmethod
    def fit(cls, documents: Iterable[tuple[Sequence[str], Marks]]) -> "Tagger":
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

    def mentions(self, document: Sequence[str]) -> list[TaggedMention]:
        """Return the stretches that are probably mentions, in order."""
        inside_W, begin_W = self.probabilities(document).T
        found = {
            stretch for level in _LEVELS for stretch in _runs(inside_W > level, begin_W > _BEGINS)
        }
        return [
            TaggedMention(
                begin,
                end,
                float(inside_W[begin:end].mean()),
                float(inside_W[begin:end].min()),
                float(begin_W[begin]),
                1 - float(inside_W[end]) if end < len(document) else 1.0,
            )
            for begin, end in sorted(found)
        ]

    def arrays(self) -> Arrays:
        """Return the arrays that `from_arrays` needs."""
        known = np.flatnonzero(self.weights_F2.any(axis=1)).astype(np.int32)
        return {"known": known, "weights": self.weights_F2[known], "bias": self.bias_2}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Tagger":
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


def _runs(likely_W: NDArray[np.bool_], begins_W: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the runs of likely words, divided where a mention begins and if they are long."""
    runs: list[tuple[int, int]] = []
    for place in np.flatnonzero(likely_W).tolist():
        begin, end = runs[-1] if runs else (-1, -1)
        if place == end and not begins_W[place] and end - begin < _LONGEST:
            runs[-1] = (begin, place + 1)
        else:
            runs.append((place, place + 1))
    return runs
