"""Hashed TF-IDF features of a text: its words and its character n-grams, without a vocabulary.

Character n-grams are those of scikit-learn's ``char_wb``: 2 to 5 characters of a word with a blank
on either side. They capture endings, compounds and misspellings, which words as a unit don't.
Frequencies are damped (1 + ln tf) and weighted by inverse document frequency as in scikit-learn,
ln((1 + N) / (1 + df)) + 1. Features that fewer than two training documents have are left out. Words
and n-grams are normalized separately and combined with fixed weights.

Words that aren't affirmed, in a view that marks them, have features of their own
(`icdcli.lexical.normalization.marked_words`).

The hash is arithmetic on code points, the same on every machine and in every process.

Shapes: N documents, B documents of a block, F features (hash buckets), M columns.
"""

from collections.abc import Iterable, Iterator, Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from icdcli.lexical.normalization.marked_words import without_marks
from icdcli.lexical.words import MARK, words

LENGTHS = (2, 3, 4, 5)
NGRAM_BITS, WORD_BITS = 20, 18
NGRAM_FEATURES = 1 << NGRAM_BITS
FEATURES = NGRAM_FEATURES + (1 << WORD_BITS)
_LEAST_DOCUMENTS = 2
_SHORT = 0.01
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_BLANK = 32
_FEW_BITS = 32 - (FEATURES - 1).bit_length()
_MOST_BUCKETS = 1 << 22
"""The buckets of words that are remembered, 16 MB: those of about a hundred thousand words."""
_AFFIRMED, _NOT_AFFIRMED = np.uint64(0), np.uint64(1 << 32)


def counts(texts: Sequence[str]) -> sparse.csr_matrix:
    """Count the features of each text.

    Args:
        texts: Some documents.

    Returns:
        (documents, FEATURES), float32, with sorted indices; first the n-grams, then the words.
    """
    found = [_KNOWN.counts(words(text)) for text in texts]
    starts = np.concatenate([[0], np.cumsum([len(columns) for columns, _ in found])])
    columns = np.concatenate([columns for columns, _ in found]) if found else np.zeros(0, np.int32)
    values = np.concatenate([values for _, values in found]) if found else np.zeros(0, np.float32)
    return sparse.csr_matrix((values, columns, starts), shape=(len(texts), FEATURES))


class BlockCounts(NamedTuple):
    """The features of some documents.

    Attributes:
        documents: B.
        features: Those that any document has.
        times: The number of documents with each.
        counts_BF: How often each document has each feature, if it is kept.
    """

    documents: int
    features: NDArray[np.int32]
    times: NDArray[np.int32]
    counts_BF: sparse.csr_matrix | None


def block_counts(texts: Sequence[str], *, keep: bool) -> BlockCounts:
    """Count in how many documents each feature is.

    Args:
        texts: Some documents.
        keep: Whether to keep the counts.
    """
    counts_BF = counts(texts)
    times_F = np.bincount(counts_BF.indices, minlength=FEATURES).astype(np.int32)
    features = np.flatnonzero(times_F).astype(np.int32)
    return BlockCounts(len(texts), features, times_F[features], counts_BF if keep else None)


def inverse_frequencies(documents: int, with_feature_F: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return the weight of each feature, 0 if it is left out.

    Args:
        documents: The number of training documents.
        with_feature_F: The number of training documents with each feature.
    """
    idf_F = np.log((1 + documents) / (1 + with_feature_F.astype(np.float64))) + 1
    return np.where(with_feature_F >= min(_LEAST_DOCUMENTS, documents), idf_F, 0).astype(np.float32)


class Lengths(NamedTuple):
    """The lengths of a document's TF-IDF vectors.

    Attributes:
        ngrams: That of its n-grams.
        words: That of its words.
    """

    ngrams: float
    words: float


NO_LEAST = Lengths(0.0, 0.0)
"""No document counts as longer than it is."""


def short_lengths(blocks: Iterable[sparse.csr_matrix], idf_F: NDArray[np.float32]) -> Lengths:
    """Return the lengths that all but a hundredth of the documents have, for `weighted`.

    Args:
        blocks: The result of `counts` for some documents at a time.
        idf_F: The result of `inverse_frequencies`.
    """
    lengths_N2 = np.concatenate([_known(counts_BF, idf_F).lengths_N2 for counts_BF in blocks])
    ngrams, words = (float(np.quantile(lengths_N, _SHORT)) for lengths_N in lengths_N2.T)
    return Lengths(ngrams, words)


class _Known(NamedTuple):
    """The counts of known features.

    Attributes:
        columns: The feature of each.
        values: Its damped and weighted value.
        vectors: Which vector it belongs to: that of a document's n-grams, or of its words.
        lengths_N2: The length of each vector.
    """

    columns: NDArray[np.int32]
    values: NDArray[np.float32]
    vectors: NDArray[np.int64]
    lengths_N2: NDArray[np.float64]


def _known(counts_NF: sparse.csr_matrix, idf_F: NDArray[np.float32]) -> _Known:
    weights = idf_F[counts_NF.indices]
    known = weights > 0
    columns = counts_NF.indices[known]
    values = (1 + np.log(counts_NF.data[known])) * weights[known]
    documents = counts_NF.shape[0]
    vectors = 2 * np.repeat(np.arange(documents), np.diff(counts_NF.indptr))[known]
    vectors += columns >= NGRAM_FEATURES
    squares = np.bincount(vectors, values.astype(np.float64) ** 2, 2 * documents)
    return _Known(columns, values, vectors, np.sqrt(squares).reshape(-1, 2))


def weighted(
    counts_NF: sparse.csr_matrix,
    idf_F: NDArray[np.float32],
    word_share: float,
    least: Lengths = NO_LEAST,
) -> sparse.csr_matrix:
    """Turn counts into TF-IDF.

    Args:
        counts_NF: The result of `counts`.
        idf_F: The result of `inverse_frequencies`.
        word_share: The share of words in the cosine of two documents; n-grams have the rest.
        least: The least lengths to divide by. Without them, a word of a short note counts several
            times as much as the same word of a training document, so that one more sentence
            changes the codes.

    Returns:
        (N, F), float32. The words of a row have norm √word_share and its n-grams √(1 - word_share),
        less if they are shorter than the least, or 0 if none is known.
    """
    columns, values, vectors, lengths_N2 = _known(counts_NF, idf_F)
    scale_N2 = np.sqrt([1 - word_share, word_share]) / lengths_N2.clip(np.maximum(least, 1e-12))
    values *= scale_N2.ravel()[vectors]
    in_vector = np.bincount(vectors, minlength=lengths_N2.size).reshape(-1, 2)
    starts = np.concatenate([[0], np.cumsum(in_vector.sum(axis=1))])
    return sparse.csr_matrix((values, columns, starts), shape=counts_NF.shape)


def bucket(hashes: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    """Return the buckets of hashes, mixed, among two to the power of some bits."""
    hashes = (hashes ^ (hashes >> np.uint64(32))) * _MIX
    return (hashes ^ (hashes >> np.uint64(29))) * _MIX >> np.uint64(64 - bits)


class Sketch:
    """Features in fewer columns: some have one of their own, the others share the rest."""

    def __init__(self, own_words: NDArray[np.int32], columns: int) -> None:
        """Give each feature its column, and its sign.

        Args:
            own_words: The features with a column of their own, in column order.
            columns: The number of columns, M.
        """
        own, features = len(own_words), np.arange(FEATURES, dtype=np.uint64)
        with np.errstate(over="ignore"):
            hashes = (features + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
            hashes = (hashes ^ (hashes >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
        self._columns, self._column_F = columns, np.empty(FEATURES, np.int32)
        self._column_F[:] = own + (hashes >> np.uint64(16)) % np.uint64(columns - own)
        self._column_F[own_words] = np.arange(own)
        self._sign_F = np.where(hashes >> np.uint64(63) == 1, np.int8(-1), np.int8(1))
        self._sign_F[own_words] = 1

    def of(self, features_BF: sparse.csr_matrix) -> NDArray[np.float32]:
        """Return the columns of some documents, (B, M), of the result of `weighted`."""
        columns = self._column_F[features_BF.indices]
        values = features_BF.data * self._sign_F[features_BF.indices]
        signed = sparse.csr_matrix(
            (values, columns, features_BF.indptr), shape=(features_BF.shape[0], self._columns)
        )
        sums_BM: NDArray[np.float32] = signed.toarray()
        return sums_BM


class _KnownWords:
    """The buckets of words that were counted before: texts share most of their words.

    No n-gram spans two words, so the counts of a text are sums over its words.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._forget()

    def counts(self, words: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the columns of a text with some words, sorted, and how often it has them."""
        with self._lock:
            try:
                return self._counts(words)
            except KeyError:  # a word is new
                if self._passed_over > len(self._places):
                    self._forget()
                new = [*{word for word in words if word not in self._places}]
                self._add(new)
                found = self._counts(words)
                if self._starts[len(self._places)] > _MOST_BUCKETS:
                    self._pass_over(new)
                return found

    def _pass_over(self, new: Sequence[str]) -> None:
        """Forget words again: those that came first are the most frequent, unless texts change."""
        self._passed_over += len(new)
        for word in new:
            del self._places[word]

    def _forget(self) -> None:
        self._passed_over = 0
        self._places: dict[str, int] = {MARK: 0}
        self._flat = np.zeros(1 << 16, np.int32)
        self._starts = np.zeros(1 << 12, np.int64)

    def _add(self, new: Sequence[str]) -> None:
        plain, marked = without_marks(new)
        for known, start, before in ((plain, _AFFIRMED, ""), (marked, _NOT_AFFIRMED, MARK)):
            if known:
                flat, lengths = _buckets(known, start)
                first = len(self._places)
                used = self._starts[first]
                self._flat = _with(self._flat, used, flat)
                self._starts = _with(self._starts, first + 1, used + np.cumsum(lengths))
                numbered = enumerate(known, start=first)
                self._places.update((before + word, place) for place, word in numbered)

    def _counts(self, words: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        each = np.fromiter(map(self._places.__getitem__, words), np.int64, len(words))
        places, often = np.unique(each, return_counts=True)
        starts = self._starts[places]
        lengths = self._starts[places + 1] - starts
        ends = np.cumsum(lengths)
        if not lengths.any():
            return np.zeros(0, np.int32), np.zeros(0, np.float32)
        flat = self._flat[np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1])]
        # Bucket and times in one number: sorting numbers takes a fraction of the time of sorting
        # places, and numbers of 32 bits half of it.
        kind, bits = (np.uint32, _FEW_BITS) if often.max() < 1 << _FEW_BITS else (np.int64, 32)
        both = (flat.astype(kind) << kind(bits)) + np.repeat(often.astype(kind), lengths)
        both.sort()
        columns = (both >> kind(bits)).astype(np.int32)
        differ = np.empty(len(columns), np.bool_)
        differ[0] = True
        np.not_equal(columns[1:], columns[:-1], out=differ[1:])
        first = np.flatnonzero(differ)
        values = np.add.reduceat(both & kind((1 << bits) - 1), first)
        return columns[first], values.astype(np.float32)


_KNOWN = _KnownWords()


def _with(array: NDArray[Any], begin: int, values: NDArray[Any]) -> NDArray[Any]:
    """Return an array with values from a place on, longer if necessary."""
    end = begin + len(values)
    if end > len(array):
        array = np.concatenate([array, np.zeros(max(end - len(array), len(array)), array.dtype)])
    array[begin:end] = values
    return array


def _buckets(known: Sequence[str], start: np.uint64) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the buckets of words, one word after another, and how many each has.

    Args:
        known: The words.
        start: What their hashes have in common.
    """
    spaced = f" {' '.join(known)} "
    points = np.frombuffer(spaced.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(
        np.uint64
    )
    blank = points == _BLANK
    blanks_before = np.concatenate([[0], np.cumsum(blank)])
    with np.errstate(over="ignore"):
        found = [*_ngrams(points, blanks_before, start)]
        found.append((_words(points, blank, start), np.arange(len(known))))
    of_word = np.concatenate([words for _, words in found])
    flat = np.concatenate([buckets for buckets, _ in found]).astype(np.int32)
    return flat[np.argsort(of_word, kind="stable")], np.bincount(of_word, minlength=len(known))


def _ngrams(
    points: NDArray[np.uint64], blanks_before: NDArray[np.int64], start: np.uint64
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """Yield the buckets of the n-grams of each length, and the word of each.

    The hash of n characters after h is h · base + character for each: h · baseⁿ plus a sum, which
    that of the next length goes on with.
    """
    sums, power = np.zeros(len(points), np.uint64), np.uint64(1)
    for length in range(1, LENGTHS[-1] + 1):
        places = len(points) - length + 1
        if places < 1:
            return
        sums = sums[:places] * _BASE + points[length - 1 :]
        power = power * _BASE
        if length in LENGTHS:
            # A blank may begin or end an n-gram but not be inside, so two characters have a letter.
            after = blanks_before[1 : 1 + places]
            within = blanks_before[length - 1 : length - 1 + places] <= after
            hashes = sums[within] + (start + np.uint64(length)) * power
            yield bucket(hashes, NGRAM_BITS), after[within] - 1


def _words(
    points: NDArray[np.uint64], blank: NDArray[np.bool_], start: np.uint64
) -> NDArray[np.uint64]:
    """Hash the runs between blanks: the sum of characters, each times a power for its position."""
    letters = np.flatnonzero(~blank)
    lengths = np.diff(np.flatnonzero(np.diff(letters, prepend=-1, append=letters[-1] + 2) > 1))
    place = np.arange(len(letters)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    powers = np.cumprod(np.full(int(lengths.max()), _BASE, np.uint64))
    sums = np.add.reduceat(points[letters] * powers[place], np.cumsum(lengths) - lengths)
    return bucket(sums + start, WORD_BITS) + np.uint64(NGRAM_FEATURES)
