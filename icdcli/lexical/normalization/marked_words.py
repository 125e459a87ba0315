"""Words with a mark if a note doesn't affirm them: a denied fever is another word than fever.

In the view ``marked``, such a word begins with a letter that no note has. Features of these words
are others than those of the same words affirmed, so that a part learns apart what they are worth.
All classes that aren't affirmed share the mark: a training split has too few of each (on the demo's
synthetic notes, marks of their own lowered the micro-F1 from .979 to .970).
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.normalization.edited_text import Edit
from icdcli.lexical.words import MARK, placed_matches

_LETTERS = re.compile(r"([^\W_]+)")
_OF_WORD = np.array([chr(point).isalnum() for point in range(128)])
# What the patient had is usually coded too, as a comorbidity or by a Z code.
_UNMARKED = np.array([Assertion.AFFIRMED, Assertion.HISTORICAL], np.uint8)


def word_begins(text: str) -> NDArray[np.int64]:
    """Return the begin of each word of a text."""
    if text.isascii():  # several times as fast as the pattern
        of_word = _OF_WORD[np.frombuffer(text.encode("ascii"), np.uint8)]
        return np.flatnonzero(of_word & ~np.concatenate([[False], of_word[:-1]]))
    return np.array(placed_matches(_LETTERS, text)[1][:-1], np.int64)


def mark_edits(begins_W: NDArray[np.int64], classes_W: NDArray[np.uint8]) -> Iterator[Edit]:
    """Yield the insertion of a mark at the begin of each word that isn't affirmed.

    Args:
        begins_W: The begins of words, ascending.
        classes_W: Their assertion classes.
    """
    for begin in begins_W[~np.isin(classes_W, _UNMARKED)].tolist():
        yield Edit(begin, begin, MARK)


def without_marks(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words that have no mark, and those that have one, without it."""
    plain = [word for word in words if word[0] != MARK]
    marked = [word[1:] for word in words if word[0] == MARK and len(word) > 1]
    return plain, marked
