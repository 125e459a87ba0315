"""The words of a text as the lexical model compares them: folded, stemmed, respelled.

No rule belongs to one language. They are those that Spanish, English and the Latin and Greek of
medicine share. A word that they don't fit stays as it is, or loses a letter or two on both sides of
the comparison.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

_SCRIPTS_WITH_MARKS = (
    range(0x0483, 0x1AB0),  # Hebrew, Arabic, the scripts of India, Thai, Myanmar, Khmer …
    range(0x1B00, 0x1D00),  # Balinese, Sundanese, Vedic signs …
    range(0x3099, 0x309B),  # the voicing of kana
    range(0xA66F, 0xAC00),  # Saurashtra, Javanese, Cham, Meetei …
)


def _marks() -> str:
    """Return the vowel signs and other marks within words, as the inside of a character class.

    Python's pattern for letters leaves them out. The accents of Latin and Greek aren't among them:
    `folded` removes them.
    """
    return "".join(
        chr(point)
        for script in _SCRIPTS_WITH_MARKS
        for point in script
        if unicodedata.category(chr(point)) in ("Mn", "Mc")
    )


MARKS = _marks()
"""Characters that continue a word but can't begin one, to insert in a character class."""
_WORD = re.compile(rf"[^\W_]+(?:[{MARKS}]+[^\W_]*)*")
MARK = "\U00010000"
"""A letter that no note has: words that a note doesn't affirm begin with it in a view that marks
them (`icdcli.lexical.normalization.marked_words`). It is a syllable of Linear B, which no folding
changes."""
_ASCII_MARK = "\0"
# The accents of Latin and Greek, and the points of Hebrew and Arabic, which are seldom written.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    "\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed]+"
)
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
    lower = text.lower()
    if lower.isascii():
        return lower
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", lower).lower()).replace("ς", "σ")


def blanks_but(kept: Callable[[str], object]) -> bytes:
    """Return the table for `ascii_blanked` that keeps some characters.

    Args:
        kept: Returns something true for the characters to keep.
    """
    return bytes(point if kept(chr(point)) else ord(" ") for point in range(128)).ljust(256)


def ascii_blanked(text: str, table: bytes) -> str:
    """Return a text of ASCII with blanks for all characters but those of a table."""
    return text.encode("ascii").translate(table).decode("ascii")


_BLANK_BETWEEN = blanks_but(lambda character: character.isalnum() or character == _ASCII_MARK)


def words(text: str) -> list[str]:
    """Return the folded words of a text: runs of letters, digits and their marks."""
    if _ASCII_MARK not in text:
        # Apart from marks, most notes are ASCII: this is several times as fast as the pattern.
        lower = text.lower().replace(MARK, _ASCII_MARK)
        if lower.isascii():
            return ascii_blanked(lower, _BLANK_BETWEEN).replace(_ASCII_MARK, MARK).split()
    return _WORD.findall(folded(text))


def placed_matches(pattern: re.Pattern[str], text: str) -> tuple[list[str], list[int]]:
    """Return all that a pattern finds in a text, and the begin of each.

    Splitting a text takes less time than a match object for each place.

    Args:
        pattern: A pattern that is one group.
        text: The text.

    Returns:
        What was found, and the begins, with the length of the text at the end.
    """
    pieces = pattern.split(text)
    return pieces[1::2], [*accumulate(map(len, pieces))][::2]


def placed_words(text: str) -> tuple[list[str], NDArray[np.int64]]:
    """Return the folded words of a text, and the begin and end of each in the text, (W, 2)."""
    pieces = [_folded_character(character) for character in text]
    # The character that each folded character comes from.
    character = np.repeat(np.arange(len(text)), [len(piece) for piece in pieces])
    joined = "".join(pieces)
    if not joined.isascii():
        # Marks of one letter come in Unicode's order, as in the text folded as a whole.
        marks = np.array([unicodedata.combining(point) for point in joined])
        order = np.lexsort((marks, np.cumsum(marks == 0)))
        joined, character = "".join([joined[place] for place in order]), character[order]
    spans = [match.span() for match in _WORD.finditer(joined)]
    places = [(character[begin], character[begin:end].max() + 1) for begin, end in spans]
    return (
        [joined[begin:end] for begin, end in spans],
        np.array(places, np.int64).reshape(-1, 2),
    )


def is_sign_with_letters(text: str, place: int) -> bool:
    """Return whether there is a sign such as ™ at a place, which continues a word with letters."""
    sign = text[place : place + 1] if place >= 0 else ""
    return bool(sign) and not sign.isascii() and words(f"a{sign}") != ["a"]


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
