"""Texts as words, the same for every part of this room: folded, cut lightly, and spelt so that languages meet.

Nothing here belongs to one language: the rules are those that Spanish, English and the Latin and Greek of medicine share,
and a word that they don't fit is left as it is or cut by a letter or two on both sides of the comparison.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[^\W_]+")
_ACCENTS = re.compile(r"[\u0300-\u036f]+")
_ENDING = re.compile(r"[aeo]?s?$")
# Greek and Latin as English spells them -> as Spanish or Italian would; in this order.
_SPELLINGS = (
    *(
        ("ph", "f"),
        ("th", "t"),
        ("ch", "c"),
        ("rh", "r"),
        ("y", "i"),
        ("k", "c"),
        ("qu", "c"),
        ("ae", "e"),
        ("oe", "e"),
    ),
    *(("z", "c"), ("j", "i"), ("ce", "se"), ("ci", "si")),
)
_DOUBLE = re.compile(r"(.)\1")
_ADDED_E = re.compile(r"^es(?=[ptcm])")


def folded(text: str) -> str:
    """The text in lower case and without accents; a sigma that ends a word is a sigma."""
    # Lower case before, for what has a capital with an accent of its own, and after, for what is made of capitals: ™, ℃.
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", text.lower()).lower()).replace("ς", "σ")


def words(text: str) -> list[str]:
    """The words of a text, folded: runs of letters and digits."""
    return _WORD.findall(folded(text))


def placed_words(text: str) -> tuple[list[str], NDArray[np.int64]]:
    """The words of a text, folded, and where each begins and ends in the text, (W, 2)."""
    pieces = [_folded_character(character) for character in text]
    character = np.repeat(
        np.arange(len(text)), [len(piece) for piece in pieces]
    )  # that each folded one comes from
    joined = "".join(pieces)
    spans = np.array([match.span() for match in _WORD.finditer(joined)], np.int64).reshape(-1, 2)
    places = np.column_stack([character[spans[:, 0]], character[spans[:, 1] - 1] + 1])
    return [joined[begin:end] for begin, end in spans.tolist()], places


def places_of(words: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The different ones of some words, and which of them each word is."""
    number = {word: place for place, word in enumerate(dict.fromkeys(words))}
    return list(number), np.array([number[word] for word in words], np.int64)


@lru_cache(maxsize=1 << 12)
def _folded_character(character: str) -> str:
    return folded(character)


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """A folded word without the ending that number and gender give it: a last vowel, a last s (``renales`` -> ``renal``)."""
    return _ENDING.sub("", word) if len(word) > 3 else word


@lru_cache(maxsize=1 << 16)
def spelling(word: str) -> str:
    """A folded word as it would be spelt where letters are sounds.

    A cognate so comes near its counterpart: ``pyelonephritis`` and ``pielonefritis`` both give ``pielonefritis``,
    ``stenosis`` and ``estenosis`` both ``stenosis``.
    """
    for letters, instead in _SPELLINGS:
        word = word.replace(letters, instead)
    return _ADDED_E.sub("s", _DOUBLE.sub(r"\1", word))
