"""How often annotators marked a string or a word when a training document had it.

Strings are the stems of what was marked for any code, in a row. They and the words are kept as
hashes, so that a checkpoint has none of a note's words.

Shapes: W words of a document, S strings, V distinct stems, M matches in a document.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from icdcli.io.npz import Arrays
from icdcli.lexical.mentions.marked_words import Marks
from icdcli.lexical.mentions.word_features import stem_hashes

_LONGEST = 10
_NEXT = np.uint64(0x9E3779B97F4A7C15)

Hashes = NDArray[np.uint64]


class StringMatches(NamedTuple):
    """The marked strings that a document contains.

    Attributes:
        begin_M: Their first words.
        length_M: Their numbers of words.
        string_M: The strings, as indices.
    """

    begin_M: NDArray[np.int64]
    length_M: NDArray[np.int64]
    string_M: NDArray[np.int64]


class OwnCounts(NamedTuple):
    """What one training document adds to the counts.

    Attributes:
        contain_S: 1 for each string that it contains.
        marked_S: 1 for each string that is marked in it.
        words_V: How often it has each word.
        inside_V: How often the word is inside a mention.
    """

    contain_S: NDArray[np.int32]
    marked_S: NDArray[np.int32]
    words_V: NDArray[np.int32]
    inside_V: NDArray[np.int32]


@dataclass(frozen=True)
class MarkedStrings:
    """Strings and words, with their counts in the training documents.

    Attributes:
        hash_S: The hash of each string, ascending.
        length_S: Its number of words.
        contain_S: The number of documents that contain it.
        marked_S: The number of documents in which it is marked.
        hash_V: The hash of each stem, ascending.
        words_V: How often it occurs.
        inside_V: How often it does inside a mention.
    """

    hash_S: Hashes
    length_S: NDArray[np.int32]
    contain_S: NDArray[np.int32]
    marked_S: NDArray[np.int32]
    hash_V: Hashes
    words_V: NDArray[np.int32]
    inside_V: NDArray[np.int32]

    @classmethod
    def of(cls, documents: Iterable[tuple[Sequence[str], Marks]]) -> "MarkedStrings":
        """Count in training documents."""
        read = [(stem_hashes(document), marks) for document, marks in documents]
        lengths = {
            string: length
            for hash_W, marks in read
            for string, length in _strings_of(hash_W, marks).items()
        }
        stems = np.unique(np.concatenate([np.zeros(0, np.uint64), *(each for each, _ in read)]))
        strings = np.array(sorted(lengths), np.uint64)
        length_S = np.array([lengths[string] for string in strings.tolist()], np.int32)
        zeros_S, zeros_V = np.zeros(len(strings), np.int32), np.zeros(len(stems), np.int32)
        counted = cls(strings, length_S, zeros_S, zeros_S, stems, zeros_V, zeros_V)
        totals = OwnCounts(zeros_S.copy(), zeros_S.copy(), zeros_V.copy(), zeros_V.copy())
        for hash_W, marks in read:
            for total, own in zip(totals, counted.own_counts(hash_W, marks), strict=True):
                total += own
        return cls(strings, length_S, *totals[:2], stems, *totals[2:])

    def own_counts(self, hash_W: Hashes, marks: Marks) -> OwnCounts:
        """Return what a training document, given by its hashes, adds to the counts."""
        contain_S, marked_S = np.zeros((2, len(self.hash_S)), np.int32)
        words_V, inside_V = np.zeros((2, len(self.hash_V)), np.int32)
        marked = np.array(sorted(_strings_of(hash_W, marks)), np.uint64)
        marked_S[np.searchsorted(self.hash_S, marked)] = 1
        contain_S[self.matches(hash_W).string_M] = 1
        contain_S |= marked_S
        place_W = np.searchsorted(self.hash_V, hash_W)
        np.add.at(words_V, place_W, 1)
        np.add.at(inside_V, place_W[marks.inside_W], 1)
        return OwnCounts(contain_S, marked_S, words_V, inside_V)

    def matches(self, hash_W: Hashes) -> StringMatches:
        """Find the strings in a document."""
        begins, lengths, strings = [], [], []
        window_W = hash_W
        for length in range(1, int(self.length_S.max(initial=0)) + 1):
            if length > 1:
                with np.errstate(over="ignore"):
                    window_W = window_W[:-1] * _NEXT + hash_W[length - 1 :]
            place_W, known_W = _look_up(self.hash_S, window_W)
            found_W = np.flatnonzero(known_W)
            found_W = found_W[self.length_S[place_W[found_W]] == length]
            begins.append(found_W)
            lengths.append(np.full(len(found_W), length))
            strings.append(place_W[found_W])
        empty = [np.zeros(0, np.int64)]
        return StringMatches(*(np.concatenate(empty + each) for each in (begins, lengths, strings)))

    def words(self, hash_W: Hashes) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return the index of each word of a document, and whether training has it."""
        return _look_up(self.hash_V, hash_W)

    def arrays(self) -> Arrays:
        """Return the arrays that `from_arrays` needs."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "MarkedStrings":
        """Make them from arrays.

        Raises:
            ValueError: If they don't fit together.
            KeyError: If one is missing.
        """
        found = cls(**{name: arrays[name] for name in cls.__dataclass_fields__})
        of_strings = (found.hash_S, found.length_S, found.contain_S, found.marked_S)
        of_words = (found.hash_V, found.words_V, found.inside_V)
        if any(len({len(each) for each in group}) > 1 for group in (of_strings, of_words)):
            raise ValueError("the strings of the tagger don't fit together")
        return found


def _strings_of(hash_W: Hashes, marks: Marks) -> dict[int, int]:
    """Return the hashes of a document's marked strings, with their numbers of words.

    Strings in several fragments are left out, and those longer than mentions can be.
    """
    found: dict[int, int] = {}
    for _, places in marks.codes:
        length = len(places)
        if length <= _LONGEST and places[-1] - places[0] + 1 == length:
            string = hash_W[places[0]]
            with np.errstate(over="ignore"):
                for place in places[1:]:
                    string = string * _NEXT + hash_W[place]
            found[int(string)] = length
    return found


def _look_up(known: Hashes, wanted: Hashes) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the index of each wanted hash, and whether it is known; 0 if it isn't."""
    if not len(known):
        return np.zeros(len(wanted), np.intp), np.zeros(len(wanted), bool)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    same = known[place] == wanted
    return np.where(same, place, 0), same
