"""Vectors of short strings, whose product is their similarity.

The features of a string are its words, stemmed and respelled (`icdcli.lexical.words`), and their
character trigrams. They are hashed, so that a vector contains no words. Each counts once, by its
inverse document frequency, and the vector has length 1.

Shapes: S strings, H features (hash buckets).
"""

import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from icdcli.lexical.words import spelling, stem

BITS = 16
_LENGTH = 3


def string_frequencies(strings: Iterable[Sequence[str]]) -> NDArray[np.float32]:
    """Return the weight of each feature by the strings that have it, (H,)."""
    with_feature_H, number = np.zeros(1 << BITS, np.int64), 0
    for string in strings:
        with_feature_H[_features(string)] += 1
        number += 1
    return (np.log((1 + number) / (1 + with_feature_H)) + 1).astype(np.float32)


def string_vectors(
    strings: Iterable[Sequence[str]], idf_H: NDArray[np.float32]
) -> sparse.csr_matrix:
    """Return the vectors of strings, given as folded words, (S, H)."""
    columns = [_features(string) for string in strings]
    joined = np.concatenate([*columns, np.zeros(0, np.int32)])
    return vectors_of(joined, np.cumsum([0, *map(len, columns)]), idf_H)


def vectors_of(
    columns: NDArray[np.int32], starts: NDArray[np.int64], idf_H: NDArray[np.float32]
) -> sparse.csr_matrix:
    """Return vectors with some features, in the order of compressed rows, (S, H)."""
    number, values = len(starts) - 1, idf_H[columns].astype(np.float64)
    row_X = np.repeat(np.arange(number), np.diff(starts))
    squares_S = np.bincount(row_X, values**2, number)
    values /= np.sqrt(squares_S)[row_X]
    return sparse.csr_matrix(
        (values.astype(np.float32), columns, starts), shape=(number, 1 << BITS)
    )


def _features(string: Sequence[str]) -> NDArray[np.int32]:
    found = {bucket for word in string for bucket in _features_of_word(word)}
    return np.array(sorted(found), np.int32)


@lru_cache(maxsize=1 << 16)
def _features_of_word(word: str) -> tuple[int, ...]:
    written = f" {spelling(stem(word))} "
    parts = [written, *(written[at : at + _LENGTH] for at in range(len(written) - _LENGTH + 1))]
    return tuple(zlib.crc32(part.encode("utf-8", "surrogatepass")) % (1 << BITS) for part in parts)
