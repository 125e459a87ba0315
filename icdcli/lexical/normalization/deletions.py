"""Words that are one letter from another, found by their deletions (SymSpell: Garbe 2012).

Two words at a Damerau-Levenshtein distance of one have a common one after the deletion of a letter
in each, or in the longer one.

Shapes: D deletions of all words.
"""

from collections.abc import Collection, Iterator
from itertools import chain
from zlib import crc32

import numpy as np


class Deletions:
    """An index of words by what is left of them without one letter.

    It keeps checksums of these, which take a twentieth of the memory of the strings.
    """

    def __init__(self, words: Collection[str]) -> None:
        """Index some words."""
        self._words = list(words)
        sizes = [len(word) + 1 for word in self._words]
        keys = chain.from_iterable(map(_keys, self._words))
        keys_D = np.fromiter(keys, np.uint32, sum(sizes))
        order = np.argsort(keys_D)
        self._keys_D = keys_D[order]
        self._words_D = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[order]

    def near(self, word: str) -> list[str]:
        """Return the words of the index at a distance of one letter from a word."""
        keys = np.fromiter(_keys(word), np.uint32, len(word) + 1)
        begins = np.searchsorted(self._keys_D, keys)
        ends = np.searchsorted(self._keys_D, keys, side="right")
        places = {
            place
            for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
            for place in self._words_D[begin:end].tolist()
        }
        near = (self._words[place] for place in sorted(places))
        return [other for other in near if _is_one_edit(word, other)]


def are_exchanged(word: str, other: str, place: int) -> bool:
    """Return if two words have the same two letters at a place, in the other order."""
    return word[place : place + 2] == other[place : place + 2][::-1]


def letters_shared(word: str, other: str) -> int:
    """Return the number of letters that two words begin with."""
    place = 0
    for one, two in zip(word, other, strict=False):
        if one != two:
            break
        place += 1
    return place


def _keys(word: str) -> Iterator[int]:
    """Yield a checksum of a word, and of what is left of it without each of its letters."""
    letters = word.encode("utf-32-le", "surrogatepass")
    yield crc32(letters)
    for place in range(0, len(letters), 4):
        yield crc32(letters[place + 4 :], crc32(letters[:place]))


def _is_one_edit(word: str, other: str) -> bool:
    """Return if one letter is wrong, missing or too many, or two neighbors are exchanged."""
    place = letters_shared(word, other)
    if len(word) != len(other):
        shorter, longer = sorted((word, other), key=len)
        return shorter[place:] == longer[place + 1 :]
    rest = place + 2 if are_exchanged(word, other, place) else place + 1
    return word != other and word[rest:] == other[rest:]
