"""Hashed features of the words of a document, from which a tagger learns what annotators mark.

The features of a word are the word itself, its stem, the beginning and endings, its form, and the
stems of the words around it, alone and with their neighbors. Only folded words count, as other
lexical parts read them: line breaks, punctuation and capitals are no features.

Shapes: W words of a document, F features of a word, D distinct words.
"""

import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from icdcli.lexical.ngram_features import bucket
from icdcli.lexical.words import places_of, stem

BITS = 18
FEATURES_OF_WORD = 19
_AROUND = 3
_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


def word_features(document: Sequence[str]) -> NDArray[np.int32]:
    """Return the buckets of the features of each folded word, (W, F)."""
    number = len(document)
    if number == 0:
        return np.zeros((0, FEATURES_OF_WORD), np.int32)
    distinct, place_W = places_of(document)
    own_D = np.array([_hashes(word) for word in distinct], np.uint64)
    word_W, stem_W, begin_W, three_W, five_W, form_W = own_D[place_W].T
    stems = np.concatenate([np.zeros(_AROUND, np.uint64), stem_W, np.zeros(_AROUND, np.uint64)])
    endings = np.concatenate([[np.uint64(0)], three_W, [np.uint64(0)]])

    def at(offset: int) -> NDArray[np.uint64]:
        return stems[_AROUND + offset : _AROUND + offset + number]

    with np.errstate(over="ignore"):

        def pair(left: int, right: int) -> NDArray[np.uint64]:
            return at(left) * _FIRST + at(right)

        columns = [
            *(word_W, stem_W, begin_W, three_W, five_W, form_W),
            *(at(offset) for offset in (-3, -2, -1, 1, 2, 3)),
            *(endings[:-2], endings[2:]),
            *(pair(-1, 0), pair(0, 1), pair(-2, -1), pair(1, 2)),
            pair(-1, 0) * _FIRST + at(1),
        ]
        # Each kind of feature has hashes of its own.
        kinds = np.arange(1, len(columns) + 1, dtype=np.uint64) * _SECOND
        return bucket(np.stack(columns, axis=1) * _FIRST + kinds, BITS).astype(np.int32)


def stem_hashes(document: Sequence[str]) -> NDArray[np.uint64]:
    """Return the hash of each word's stem, (W,)."""
    return np.array([_hashes(word)[1] for word in document], np.uint64)


@lru_cache(maxsize=1 << 16)
def _hashes(word: str) -> tuple[int, ...]:
    """Return hashes of a word: itself, its stem, beginning, two endings, and form."""
    stemmed = stem(word)
    form = f"{word.isdigit():d} {min(len(word), 4)}"
    parts = (word, stemmed, stemmed[:4], word[-3:], word[-5:], form)
    return tuple(zlib.crc32(part.encode("utf-8", "surrogatepass")) + 1 for part in parts)
