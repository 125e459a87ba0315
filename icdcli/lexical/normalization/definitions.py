"""Learns abbreviations from texts that define them: "congestive heart failure (CHF)".

The algorithm follows Schwartz & Hearst (2003, "A simple algorithm for identifying abbreviation
definitions in biomedical text"): a long form is the shortest end of the words before the brackets
that has the letters of the short form in order, the first at its beginning. "CHF (congestive heart
failure)" is read likewise. It is stricter where precision needs it: a short form has capitals, at
least half of its letters begin words, and the last one is in the last word.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from icdcli.data.processes import in_blocks

_IN_BRACKETS = re.compile(r"\(([^()\n]{2,100})\)")
_SHORT = re.compile(r"[^\W_][^\W_/&+.-]*(?:[/&+.-][^\W_]+)*")
_LAST_SHORT = re.compile(rf"(?<![\w/&+.-])({_SHORT.pattern})\s*$")
_MOST_LETTERS = 10
_MOST_WORDS = 5  # besides one for each letter
_BEFORE = 200
_BLOCK, _LEAST_TEXTS = 256, 2_048
_SENTENCE_END = re.compile(r"[.;:!?()\[\]\n](?:\s|$)|\n\s*\n")
_WORD = re.compile(r"[^\W\d_]+")
_LITTLE_WORD = 3
_NO_BEGINNING = re.compile(
    r"(?:an?|and|at|in|is|of|on|or|the|to|de|del|el|en|la|las|los|un|una|y)\s", re.I
)
_LOWER = re.compile(r"\b[^\W\d_]{2,10}\b")


class Definition(NamedTuple):
    """A short form and what a text says that it means."""

    short: str
    long: str


def learn_definitions(texts: Iterable[str]) -> dict[str, Counter[str]]:
    """Return short form to its long forms, in lower case, with the number of texts of each.

    A long form of one text only must have the short one's letters as its initials. Short forms that
    are words, when written in lower case, are left out.
    """
    found: dict[str, Counter[str]] = {}
    small: Counter[str] = Counter()
    for small_here, found_here in in_blocks(_found_in, texts, _BLOCK, _LEAST_TEXTS):
        small.update(small_here)
        for short, long in found_here:
            found.setdefault(short, Counter())[long] += 1
    certain = {
        short: Counter(
            {
                long: count
                for long, count in longs.items()
                if count > 1 or _has_all_initials(short, long)
            }
        )
        for short, longs in found.items()
        if small[short.lower()] < 2
    }
    return {short: longs for short, longs in certain.items() if longs}


def _found_in(texts: Sequence[str]) -> tuple[Counter[str], list[tuple[str, str]]]:
    """Return how many texts have each word in small letters, and the definitions of each text."""
    small, found = Counter[str](), list[tuple[str, str]]()
    for text in texts:
        small.update(filter(str.islower, set(_LOWER.findall(text))))
        # In the order of the text: that of a set differs from process to process.
        found += dict.fromkeys((short, long.lower()) for short, long in definitions(text))
    return small, found


def definitions(text: str) -> Iterator[Definition]:
    """Yield the definitions of a text."""
    for match in _IN_BRACKETS.finditer(text):
        inside = " ".join(match.group(1).split())
        before = text[max(match.start() - _BEFORE, 0) : match.start()].rstrip()
        last = _LAST_SHORT.search(before)
        if is_short_form(first := re.split("[,;]", inside)[0].strip()):
            long = _long_form(first, _last_sentence(before))
            if long is not None:
                yield Definition(first, long)
        elif last is not None and _stands_for(short := last.group(1), inside):
            yield Definition(short, inside)


def is_short_form(text: str) -> bool:
    """Return if a text may be an abbreviation: 2 to 10 signs, with capitals."""
    capitals = sum(sign.isupper() for sign in text)
    return (
        2 <= len(text) <= _MOST_LETTERS
        and _SHORT.fullmatch(text) is not None
        and (capitals > 1 or (capitals == 1 and len(text) <= 3))
        and not (capitals == 1 and text[0].isupper() and text[1:].islower() and len(text) > 2)
    )


def _last_sentence(text: str) -> str:
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[ends[-1] if ends else 0 :].strip()


def _long_form(short: str, text: str) -> str | None:
    """Return the end of a text that a short form stands for; None: it has no such end."""
    letters = [letter for letter in short.lower() if letter.isalnum()]
    begins = [match.start() for match in re.finditer(r"(?<![^\W_])[^\W_]", text)]
    most = min(len(letters) + _MOST_WORDS, 2 * len(letters))
    for begin in reversed(begins[-2 * most :]):
        long = " ".join(text[begin:].split())
        if len(long.split()) > most:
            return None
        if long[:1].lower() != letters[0] or len(long) <= len(short) + 2:
            continue
        if 2 * _initials(letters, long.lower()) >= len(letters):
            return long if _may_be_long_form(short, long) else None
    return None


def _stands_for(short: str, long: str) -> bool:
    return is_short_form(short) and _long_form(short, long) == long


def _initials(letters: list[str], long: str) -> int:
    """Return the most letters of a short form that begin words of a long one; 0: it lacks some.

    The letters are in order, the first begins the long form, and the last is in its last word.
    """
    begins = [place == 0 or not long[place - 1].isalnum() for place in range(len(long))]
    counts = {0: 1}
    for letter in letters[1:]:
        following: dict[int, int] = {}
        best = 0
        for place, sign in enumerate(long):
            if sign == letter and best:
                following[place] = best + begins[place]
            best = max(best, counts.get(place, 0))
        counts = following
    last_word = long.rfind(" ") + 1
    return max((count for place, count in counts.items() if place >= last_word), default=0)


def _may_be_long_form(short: str, long: str) -> bool:
    return (
        long[-1].isalnum()
        and _NO_BEGINNING.match(long) is None
        and short.lower() not in {word.lower() for word in _WORD.findall(long)}
    )


def _has_all_initials(short: str, long: str) -> bool:
    """Return if each letter of a short form begins a word of the long form, little words aside."""
    initials = [word[0] for word in _WORD.findall(long.lower()) if len(word) > _LITTLE_WORD]
    return initials == [letter for letter in short.lower() if letter.isalnum()]
