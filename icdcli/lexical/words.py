"""The words of a text as the lexical model compares them: folded, stemmed, respelled.

No rule belongs to one language. They are those that Spanish, English and the Latin and Greek of
medicine share. A word that they don't fit stays as it is, or loses a letter or two on both sides of
the comparison.
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
# English spellings of Greek and Latin -> Spanish or Italian ones; applied in this order.
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
    """Return the text in lower case and without accents, with a final sigma as a sigma."""
    # Lower case before, for accented capitals, and after, for signs that contain capitals: ™, ℃.
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", text.lower()).lower()).replace("ς", "σ")


def words(text: str) -> list[str]:
    """Return the folded words of a text: runs of letters and digits."""
    return _WORD.findall(folded(text))


def placed_words(text: str) -> tuple[list[str], NDArray[np.int64]]:
    """Return the folded words of a text, and the begin and end of each in the text, (W, 2)."""
    pieces = [_folded_character(character) for character in text]
    # The character that each folded character comes from.
    character = np.repeat(np.arange(len(text)), [len(piece) for piece in pieces])
    joined = "".join(pieces)
    spans = np.array([match.span() for match in _WORD.finditer(joined)], np.int64).reshape(-1, 2)
    places = np.column_stack([character[spans[:, 0]], character[spans[:, 1] - 1] + 1])
    return [joined[begin:end] for begin, end in spans.tolist()], places


def places_of(words: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct words, and the index of each word among them."""
    number = {word: place for place, word in enumerate(dict.fromkeys(words))}
    return list(number), np.array([number[word] for word in words], np.int64)


@lru_cache(maxsize=1 << 12)
def _folded_character(character: str) -> str:
    return folded(character)


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Return a folded word without the ending of number and gender (``renales`` -> ``renal``)."""
    return _ENDING.sub("", word) if len(word) > 3 else word


@lru_cache(maxsize=1 << 16)
def spelling(word: str) -> str:
    """Return a folded word in a spelling close to its sound.

    This makes cognates similar or equal: ``pyelonephritis`` and ``pielonefritis`` both give
    ``pielonefritis``, ``stenosis`` and ``estenosis`` both give ``stenosis``.
    """
    for letters, instead in _SPELLINGS:
        word = word.replace(letters, instead)
    return _ADDED_E.sub("s", _DOUBLE.sub(r"\1", word))
