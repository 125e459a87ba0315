"""The words of a document that its annotators marked, found by the strings that they marked.

Shapes: W words of a document.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from icdcli.lexical.words import words

_MOST_BETWEEN = 8


def places_of_string(document: Sequence[str], string: Sequence[str]) -> list[list[int]]:
    """Return the places of a string's words, each time that a document has the string.

    Annotators may have marked several fragments. If the words are nowhere in a row, the shortest
    stretch that has them in order counts, with up to 8 others before each of them.
    """
    starts = [place for place, word in enumerate(document) if string and word == string[0]]
    length = len(string)
    in_a_row = [at for at in starts if list(document[at : at + length]) == list(string)]
    if in_a_row:
        return [list(range(at, at + length)) for at in in_a_row]
    found = [places for at in starts if (places := _in_order(document, string, at))]
    return [min(found, key=lambda places: places[-1] - places[0])] if found else []


def _in_order(document: Sequence[str], string: Sequence[str], start: int) -> list[int] | None:
    places = [start]
    for word in string[1:]:
        after = places[-1] + 1
        window = list(document[after : after + _MOST_BETWEEN + 1])
        if word not in window:
            return None
        places.append(after + window.index(word))
    return places


class Marks(NamedTuple):
    """What annotators marked in a document.

    Attributes:
        inside_W: Which words are marked.
        begins_W: Which words begin a marked string.
        codes: The label and the places of each marked string.
    """

    inside_W: NDArray[np.bool_]
    begins_W: NDArray[np.bool_]
    codes: list[tuple[int, list[int]]]


def marks_of(document: Sequence[str], annotations: Iterable[tuple[int, str]]) -> Marks:
    """Find annotations in a document.

    Args:
        document: Its folded words.
        annotations: Labels, and the strings that are marked for them.
    """
    inside_W, begins_W = np.zeros((2, len(document)), bool)
    known: dict[tuple[str, ...], list[list[int]]] = {}
    codes = []
    for label, marked in annotations:
        string = tuple(words(marked))
        if string not in known:
            known[string] = places_of_string(document, string)
        for places in known[string]:
            inside_W[places] = True
            begins_W[places[0]] = True
            codes.append((label, places))
    return Marks(inside_W, begins_W, codes)
