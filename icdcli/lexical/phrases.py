"""Fuzzy matching of phrases: inflected, misspelled, reordered, split, or in a related language.

The coverage of a phrase in a window of a text is the sum of the weights of its words, each times
the similarity of the most similar word of the window; the best window of the text counts. The
similarity of two words is the cosine of the character n-grams (2 to 4) of their spellings, with
more weight for longer n-grams, and 0 below `MIN_SIMILARITY`. So ``hepatic abscesses`` is found in
``abscess of the liver (hepatic)`` and ``pyelonephritis`` in Spanish ``pielonefritis``. The
similarity of two words doesn't depend on the other phrases, so no score depends on the documents
behind them. (Weighting n-grams by their rarity instead changed CodiEsp's MAP by less than .004, up
or down.)

Shapes: P phrases, V distinct words of the phrases, C words of a phrase, T words of a text, S
windows, W words of a window, G n-grams.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from zlib import crc32

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import sparse

from icdcli.lexical.words import places_of, spelling

MIN_SIMILARITY = 0.65
_SAME_WORD = 0.7
_GRAM_LENGTHS = (2, 3, 4)
_GRAMS = 1 << 20
_KNOWN_WORDS = 100_000
_NEW_WORDS = 1_000
_WINDOWS = 1_000
_TOGETHER = 8_192


class Phrases:
    """Phrases, the weights of their words, and a cache of word similarities.

    Attributes:
        vocabulary: The words of the phrases, sorted.
        weights_PV: The weight of each word in each phrase, float32.
    """

    def __init__(self, phrases: Sequence[Sequence[str]]) -> None:
        """Index the phrases; every word has weight 1 until `weigh` is called.

        Args:
            phrases: The words of each phrase; a repeated word counts once.
        """
        self.vocabulary = sorted({word for phrase in phrases for word in phrase})
        place = {word: column for column, word in enumerate(self.vocabulary)}
        columns = [sorted({place[word] for word in phrase}) for phrase in phrases]
        starts = np.cumsum([0, *map(len, columns)])
        flat = np.array([column for phrase in columns for column in phrase], dtype=np.int32)
        shape = (len(phrases), len(self.vocabulary))
        self.weights_PV = sparse.csr_matrix(
            (np.ones(len(flat), np.float32), flat, starts), shape=shape
        )
        self._known: dict[str, int] = {}
        self._similarity = sparse.csr_matrix((0, len(self.vocabulary)), dtype=np.float32)

    def weigh(self, weight_V: NDArray[np.floating], power: float) -> NDArray[np.float64]:
        """Set each word's weight, divided by a power of the sum over its phrase.

        Args:
            weight_V: The weight of each word, in the vocabulary's order.
            power: With 1, coverage is a share; with less, long or rare phrases count more.

        Returns:
            The sum over each phrase, (P).
        """
        sums_P = np.asarray((self.weights_PV != 0) @ weight_V, dtype=np.float64)
        scale_P = np.where(sums_P > 0, np.maximum(sums_P, 1e-9) ** -power, 0)
        rows = np.repeat(np.arange(len(sums_P)), np.diff(self.weights_PV.indptr))
        self.weights_PV.data = (weight_V[self.weights_PV.indices] * scale_P[rows]).astype(
            np.float32
        )
        return sums_P

    def document_frequencies(self, texts: Iterable[Sequence[str]]) -> NDArray[np.int64]:
        """Return the number of texts with each word of the vocabulary or a similar one, (V)."""
        frequency_V = np.zeros(len(self.vocabulary), np.int64)
        for words in texts:
            similarity = self._similarity_of(sorted(set(words)))
            frequency_V[np.unique(similarity.indices[similarity.data >= _SAME_WORD])] += 1
        return frequency_V

    def coverage(self, words: Sequence[str], window: int, least: float = 0) -> NDArray[np.float32]:
        """Return the coverage of each phrase in a text.

        Args:
            words: The words of the text.
            window: The length of a window in words. In a text of thousands of words, windows begin
                only at every second or third word, so that there are about a thousand.
            least: Phrases with a lower coverage in the complete text get 0 without a closer look.

        Returns:
            The coverages, (P), float32.
        """
        different = sorted(set(words))
        similarity = self._similarity_of(different)
        columns = np.unique(similarity.indices)
        if not len(columns):
            return np.zeros(self.weights_PV.shape[0], np.float32)
        place = {word: row for row, word in enumerate(different)}
        best_TC = similarity[:, columns].toarray()[[place[word] for word in words]]
        reach = 1
        while reach < min(window, len(words)):
            step = min(reach, window - reach)
            np.maximum(best_TC[:-step], best_TC[step:], out=best_TC[:-step])
            reach += step
        best_TC = best_TC[:: -(-len(words) // _WINDOWS)]
        weights_PC = self.weights_PV[:, columns]
        possible_P = weights_PC @ best_TC.max(axis=0)
        concerned = np.flatnonzero((possible_P > 0) & (possible_P >= least))
        found_P = np.zeros(self.weights_PV.shape[0], np.float32)
        for first in range(0, len(concerned), _TOGETHER):
            part = concerned[first : first + _TOGETHER]
            found_P[part] = (weights_PC[part] @ best_TC.T).max(axis=1)
        return found_P

    def found(
        self, words: Sequence[str], phrases: Sequence[int], window: int
    ) -> NDArray[np.float32]:
        """Return how much each word of a text contributes to the coverage of some phrases.

        Args:
            words: The words of the text.
            phrases: The indices of the phrases.
            window: As in `coverage`.

        Returns:
            (phrases, T), float32. Nonzero are the words of the phrase's best window (the first of
            equal ones) that are most similar to its words; the sum of a row is the coverage.
        """
        found_PT = np.zeros((len(phrases), len(words)), np.float32)
        if not len(words) or not len(phrases):
            return found_PT
        different, place_T = places_of(words)
        similarity = self._similarity_of(different)
        step = -(-len(words) // _WINDOWS)
        for row, phrase in enumerate(phrases):
            of_phrase = self.weights_PV[[phrase]]
            weighed_TC = similarity[:, of_phrase.indices].toarray()[place_T] * of_phrase.data
            after = np.zeros((min(window, len(words)) - 1, weighed_TC.shape[1]), np.float32)
            windows_SCW = sliding_window_view(
                np.concatenate([weighed_TC, after]), len(after) + 1, axis=0
            )[::step]
            start = int(windows_SCW.max(axis=-1).sum(axis=-1).argmax()) * step
            best_C = start + weighed_TC[start : start + window].argmax(axis=0)
            np.add.at(found_PT[row], best_C, weighed_TC[best_C, np.arange(len(best_C))])
        return found_PT

    def _similarity_of(self, words: Sequence[str]) -> sparse.csr_matrix:
        """Return the similarity of each word to the vocabulary, (words, V).

        Results are cached, because texts share most of their words.
        """
        if len(self._known) > _KNOWN_WORDS:
            self._known.clear()
            self._similarity = self._similarity[:0]
        new = [word for word in words if word not in self._known]
        if new:
            self._known |= {word: len(self._known) + number for number, word in enumerate(new)}
            parts = [
                self._compare(new[first : first + _NEW_WORDS])
                for first in range(0, len(new), _NEW_WORDS)
            ]
            self._similarity = sparse.vstack([self._similarity, *parts], format="csr")
        return self._similarity[[self._known[word] for word in words]]

    def _compare(self, words: Sequence[str]) -> sparse.csr_matrix:
        similarity = _unit_vectors(words) @ self._vocabulary_GV
        similarity.data[similarity.data < MIN_SIMILARITY] = 0
        similarity.eliminate_zeros()
        return similarity

    @cached_property
    def _vocabulary_GV(self) -> sparse.csr_matrix:
        return _unit_vectors(self.vocabulary).T.tocsr()


def _unit_vectors(words: Sequence[str]) -> sparse.csr_matrix:
    rows = [_grams_of(word) for word in words]
    columns = np.array(
        [crc32(gram.encode()) % _GRAMS for row in rows for gram in row], dtype=np.int64
    )
    weights = np.array([len(gram) for row in rows for gram in row], dtype=np.float64)
    sizes = np.array([len(row) for row in rows], dtype=np.int64)
    owner = np.repeat(np.arange(len(rows)), sizes)
    lengths = np.sqrt(np.bincount(owner, weights**2, len(rows)))
    values = (weights / lengths[owner]).astype(np.float32)
    return sparse.csr_matrix((values, columns, np.cumsum([0, *sizes])), shape=(len(rows), _GRAMS))


def _grams_of(word: str) -> list[str]:
    spelled = f" {spelling(word)} "
    return sorted(
        {
            spelled[at : at + length]
            for length in _GRAM_LENGTHS
            for at in range(len(spelled) - length + 1)
        }
    )
