"""TF-IDF of a text's words and of its character n-grams, hashed, so that no list of words need be built, kept or stored.

Character n-grams are those of scikit-learn's ``char_wb``: 2 to 5 characters of a word with a blank on either side; they
see endings, compounds and misspellings that whole words don't. Frequencies are damped (1 + ln tf) and weighted by inverse
document frequency as scikit-learn does it, ln((1 + N) / (1 + df)) + 1; what fewer than two training documents have is left
out. Words and n-grams are normalised apart and joined with fixed weights.

Hashing is arithmetic on code points, the same on every machine and in every process.

Shapes: N documents, F features (hash buckets).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from icdcli.lexical.words import words

LENGTHS = (2, 3, 4, 5)
NGRAM_BITS, WORD_BITS = 20, 18
NGRAM_FEATURES = 1 << NGRAM_BITS
FEATURES = NGRAM_FEATURES + (1 << WORD_BITS)
_LEAST_DOCUMENTS = 2
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_BLANK = 32


def counts(texts: Sequence[str]) -> sparse.csr_matrix:
    """How often each text has each feature.

    Args:
        texts: Some documents.

    Returns:
        (documents, FEATURES), float32, indices sorted; the n-grams' columns stand before the words'.
    """
    found = [_counts(text) for text in texts]
    starts = np.concatenate([[0], np.cumsum([len(columns) for columns, _ in found])])
    columns = np.concatenate([columns for columns, _ in found]) if found else np.zeros(0, np.int32)
    values = np.concatenate([values for _, values in found]) if found else np.zeros(0, np.float32)
    return sparse.csr_matrix((values, columns, starts), shape=(len(texts), FEATURES))


def inverse_frequencies(documents: int, with_feature_F: NDArray[np.integer]) -> NDArray[np.float32]:
    """The weight of each feature, 0 where it is left out.

    Args:
        documents: The training documents.
        with_feature_F: How many of them have the feature.
    """
    idf_F = np.log((1 + documents) / (1 + with_feature_F.astype(np.float64))) + 1
    return np.where(with_feature_F >= min(_LEAST_DOCUMENTS, documents), idf_F, 0).astype(np.float32)


def weighted(
    counts_NF: sparse.csr_matrix, idf_F: NDArray[np.float32], word_share: float
) -> sparse.csr_matrix:
    """TF-IDF of counted texts.

    Args:
        counts_NF: What `counts` gives.
        idf_F: What `inverse_frequencies` gives.
        word_share: The words' part of the cosine of two documents; the n-grams have the rest.

    Returns:
        (N, F), float32; the words of a row have length √word_share and its n-grams √(1 - word_share), or 0 where none is known.
    """
    known = idf_F[counts_NF.indices] > 0
    columns = counts_NF.indices[known]
    values = (1 + np.log(counts_NF.data[known])) * idf_F[columns]
    rows = np.repeat(np.arange(counts_NF.shape[0]), np.diff(counts_NF.indptr))[known]
    is_word = columns >= NGRAM_FEATURES
    for part, share in ((~is_word, 1 - word_share), (is_word, word_share)):
        length_N = np.sqrt(
            np.bincount(rows[part], values[part].astype(np.float64) ** 2, counts_NF.shape[0])
        )
        values[part] *= np.sqrt(share) / np.maximum(length_N, 1e-12)[rows[part]]
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=counts_NF.shape[0]))])
    return sparse.csr_matrix((values.astype(np.float32), columns, starts), shape=counts_NF.shape)


def _counts(text: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    known = words(text)
    if not known:
        return np.zeros(0, np.int32), np.zeros(0, np.float32)
    spaced = f" {' '.join(known)} "
    points = np.frombuffer(spaced.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(
        np.uint64
    )
    blank = points == _BLANK
    blanks_before = np.concatenate([[0], np.cumsum(blank)])
    with np.errstate(over="ignore"):
        buckets = [_ngrams(points, blanks_before, length) for length in LENGTHS]
        buckets.append(_words(points, blank))
    columns, values = np.unique(np.concatenate(buckets), return_counts=True)
    return columns.astype(np.int32), values.astype(np.float32)


def _ngrams(
    points: NDArray[np.uint64], blanks_before: NDArray[np.integer], length: int
) -> NDArray[np.uint64]:
    if len(points) < length:
        return np.zeros(0, np.uint64)
    places = len(points) - length + 1
    hashes = np.full(places, length, np.uint64)
    for offset in range(length):
        hashes = hashes * _BASE + points[offset : offset + places]
    # A blank may begin or end an n-gram, not stand within it; two characters are at least one letter so.
    within = blanks_before[length - 1 : length - 1 + places] - blanks_before[1 : 1 + places]
    return _bucket(hashes[within <= 0], NGRAM_BITS)


def _words(points: NDArray[np.uint64], blank: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Runs between blanks, by a sum over their characters, each multiplied by a power for its place in the run."""
    letters = np.flatnonzero(~blank)
    lengths = np.diff(np.flatnonzero(np.diff(letters, prepend=-1, append=letters[-1] + 2) > 1))
    place = np.arange(len(letters)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    powers = np.cumprod(np.full(int(lengths.max()), _BASE, np.uint64))
    sums = np.add.reduceat(points[letters] * powers[place], np.cumsum(lengths) - lengths)
    return _bucket(sums, WORD_BITS) + np.uint64(NGRAM_FEATURES)


def _bucket(hashes: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    hashes = (hashes ^ (hashes >> np.uint64(32))) * _MIX
    return (hashes ^ (hashes >> np.uint64(29))) * _MIX >> np.uint64(64 - bits)
