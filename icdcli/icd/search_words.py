"""The words of a search: their spelling, their sound, and how close a term is to them."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache, lru_cache

from icdcli.icd.lexicon.tables import rows

_WORD = re.compile(r"[^\W_]+")
_LEAST_IN_COMMON = 0.75
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
STOP_WORDS = frozenset(
    "a an and as at because by from due for has have her his i in is it me my no of on or s the to "
    "was with".split()
)
# Words that make a term no less close: "fracture NOS", "initial encounter".
_LITTLE = STOP_WORDS | {"nos", "unspecified", "initial", "encounter", "closed"}


@cache
def everyday_words() -> Mapping[str, tuple[str, ...]]:
    """Return everyday words to the official ones for them."""
    found: dict[str, tuple[str, ...]] = {}
    for word, official in rows("everyday", "en"):
        found[word] = (*found.get(word, ()), official)
    return found


def shortest(words: Sequence[str], least: int) -> list[str]:
    """Return words, each once, without those that begin with another one.

    Args:
        words: The words.
        least: The letters from which a word counts as the beginning of others.
    """
    beginnings = [word for word in words if len(word) >= least]
    return [
        word
        for word in dict.fromkeys(words)
        if not any(word != one and word.startswith(one) for one in beginnings)
    ]


def distance(text: str, groups: Sequence[Sequence[str]]) -> tuple[int, int, int]:
    """Return how far a term is from a query.

    Args:
        text: The term.
        groups: For each word of the query, the words that it may stand for.

    Returns:
        The words of the query that it lacks, those of which it has a longer word only, and its
        further words.
    """
    of_term = list(dict.fromkeys(word for word in words_in(text) if word not in _LITTLE))
    lacking = longer = 0
    for group in groups:
        likeness = max(
            min(
                (
                    max((_likeness(one, word) for word in of_term), default=0)
                    for one in each.split()
                ),
                default=0,
            )
            for each in group
        )
        lacking += likeness == 0
        longer += likeness == 1
    return lacking, longer, max(len(of_term) - len(groups) + lacking, 0)


def _likeness(word: str, of_term: str) -> int:
    """Return 2 if two words are the same but for a plural, 1 if they begin alike, else 0."""
    if word == of_term or (len(word) > 2 and word.rstrip("s") == of_term.rstrip("s")):
        return 2
    return int(of_term[: max(len(word) - 2, 3)] == word[: max(len(word) - 2, 3)])


def sound_of(word: str) -> str:
    """Return a key that is the same for words that sound alike: "hemoroids", "hemorrhoids".

    It is the first letter and the other consonants in any order, "ph" as "f", without "h".
    """
    plain = word.replace("ph", "f").replace("ck", "k").replace("z", "s").replace("h", "")
    consonants = re.sub(r"[aeiouy]", "", plain[1:].rstrip("s"))
    return plain[:1] + "".join(sorted(set(consonants)))


def likest(word: str, others: Sequence[str]) -> list[str]:
    """Return the words that have most letters in common with a word, if there are any."""
    ratios = {other: SequenceMatcher(None, word, other).ratio() for other in others}
    best = max(ratios.values(), default=1.0)
    return [other for other in others if ratios[other] == best >= _LEAST_IN_COMMON]


@lru_cache(20_000)
def words_in(text: str) -> tuple[str, ...]:
    """Return the words of a text in small letters, without accents."""
    if text.isascii():  # most terms
        return tuple(_WORD.findall(text.lower()))
    apart = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(sign for sign in apart if not unicodedata.combining(sign))
    return tuple(_WORD.findall(unicodedata.normalize("NFC", plain)))  # which joins Korean syllables


def one_letter_away(word: str) -> list[str]:
    """Return what a word becomes if a letter is missing, added, another one, or exchanged."""
    cuts = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    found = {left + right[1:] for left, right in cuts if right}
    found |= {left + right[1] + right[0] + right[2:] for left, right in cuts if len(right) > 1}
    for letter in _LETTERS:
        found |= {left + letter + right for left, right in cuts}
        found |= {left + letter + right[1:] for left, right in cuts if right}
    return sorted(found - {word})
