"""Expands the abbreviations of a document, so that its parts are read as words.

``HTN`` becomes ``HTN hypertension``. An abbreviation with several senses is expanded by the words
of the document (``icdcli.icd.lexicon.abbreviations``). Abbreviations match as they are usually
written; those of three letters or more also in lower case, unless that is a word. In lines of
capitals, those that are English words don't match.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from icdcli.icd.lexicon.abbreviations import Sense, abbreviations, sense_of
from icdcli.icd.lexicon.tables import LANGUAGES
from icdcli.lexical.normalization.edited_text import Edit
from icdcli.lexical.words import folded, is_sign_with_letters, placed_matches, words

_FIRST = r"[^\W_]"
_REST = r"[^\W_]*(?:[/&.'+-][^\W_]+)*"
_TOKEN = _FIRST + _REST
_PART = re.compile(r"[^\W_]+")
# Abbreviations that are words in lower case or in a line of capitals.
_WORDS = frozenset(
    "ad aids all am an and as at be bed but can cap cat cc chat con crest del do ed es et "
    "fall fen for free gave gen had hit how if in is it lad las led les los map mat may mem "
    "men met mom nec net no non not of om on or os out pad pan pap par pas pea pet pin pit "
    "pod por pot pub put ra ran rat res rib rod rom sad sat see set sin sit so sol son ten "
    "the tip tips to top tot una uno us was we who yo".split()
)
_LEAST_LETTERS = 3
_DOCUMENTS_OF_USUAL = 2


@dataclass(frozen=True)
class Expansion:
    """The abbreviations that a lexical model expands.

    Attributes:
        senses: Abbreviation to its senses, the usual one first; none: nothing is expanded.
        learned: Those that only training notes define. They match as they are written.
    """

    senses: Mapping[str, tuple[Sense, ...]] = field(repr=False)  # words of training documents
    learned: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def of(cls, language: str) -> "Expansion":
        """Return the expansion of a language's abbreviations; of none without a table."""
        if language not in LANGUAGES:
            return cls({})
        return cls(
            {
                short: tuple(
                    sense._replace(context=tuple(map(folded, sense.context))) for sense in senses
                )
                for short, senses in abbreviations(language).items()
            }
        )

    def with_learned(self, definitions: Mapping[str, Counter[str]]) -> "Expansion":
        """Return the expansion with abbreviations that training notes define.

        What several notes define is the usual sense from then on.

        Args:
            definitions: Abbreviation to what it stands for, with the number of documents.
        """
        senses = dict(self.senses)
        for short, longs in definitions.items():
            long, documents = max(longs.items(), key=lambda item: (item[1], item[0]))
            if short in senses and documents < _DOCUMENTS_OF_USUAL:
                continue
            known = senses.get(short, ())
            same = (sense for sense in known if words(sense.expansion) == words(long))
            first = next(same, Sense(long, "", ()))
            senses[short] = (first, *(sense for sense in known if sense != first))
        return Expansion(senses, self.learned | (definitions.keys() - self.senses.keys()))

    @classmethod
    def from_json(
        cls, stored: Mapping[str, Sequence[Sequence[Any]]], learned: Iterable[str] = ()
    ) -> "Expansion":
        """Return what `to_json` returned, after a file had it.

        Args:
            stored: The abbreviations.
            learned: Those that only training notes define.
        """
        return cls(
            {
                short: tuple(
                    Sense(expansion, code, tuple(near)) for expansion, code, near in senses
                )
                for short, senses in stored.items()
            },
            frozenset(learned),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the abbreviations for a checkpoint, which keeps them if the lexicon changes."""
        return {short: list(map(list, senses)) for short, senses in self.senses.items()}

    def edits(self, text: str) -> Iterator[Edit]:
        """Yield an edit for each abbreviation in a document: itself and its words after it."""
        for end, length, sense in self._found(text):
            begin = end - length
            yield Edit(begin, end, f"{text[begin:end]} {sense.expansion} ")

    def _found(self, text: str) -> Iterator[tuple[int, int, Sense]]:
        """Yield the end and length of each abbreviation in a document, and its sense."""
        if not self.senses:
            return
        known = self._known
        context: frozenset[str] | None = None
        several = tuple(short for short in self._several if short in text)
        tokens, begins = placed_matches(_token_or(several), text)
        for place in [n for n, one in enumerate(tokens) if one in known or not one.isalnum()]:
            whole_end = begins[place] + len(tokens[place])
            for token, end in _candidates(tokens[place], begins[place]):
                senses = known.get(token)
                if (
                    senses is None
                    or is_sign_with_letters(text, end)
                    or is_sign_with_letters(text, end - len(token) - 1)
                ):
                    continue
                if token.lower() in _WORDS and _in_capitals(text, end):
                    continue
                if len(senses) > 1 and context is None:
                    context = frozenset(words(text))
                yield end, len(token), sense_of(senses, context or frozenset())
                if end == whole_end:
                    break

    @cached_property
    def _several(self) -> tuple[str, ...]:
        """Return the abbreviations of several words, the longest first."""
        several = (short for short in self.senses if " " in short)
        return tuple(sorted(several, key=len, reverse=True))

    @cached_property
    def _known(self) -> dict[str, tuple[Sense, ...]]:
        known = {
            short.lower(): senses
            for short, senses in self.senses.items()
            if len(short) >= _LEAST_LETTERS
            and short.lower() not in _WORDS
            and short not in self.learned
        }
        return {**known, **self.senses}


NO_EXPANSION = Expansion({})
"""Nothing is expanded."""


@lru_cache(maxsize=1 << 10)
def _token_or(several: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern of what may be an abbreviation: first those of several words in a text."""
    if not all(map(_PART.match, several)):
        either = "|".join([*(rf"\b{re.escape(short)}\b" for short in several), _TOKEN])
        return re.compile(f"({either})")
    # A pattern that begins with a character skips blanks, which may be most of a text, quickly.
    ends = (rf"(?<=\b{re.escape(short[0])}){re.escape(short[1:])}\b" for short in several)
    return re.compile(f"({_FIRST}(?:{'|'.join([*ends, _REST])}))")


def _candidates(token: str, begin: int) -> Sequence[tuple[str, int]]:
    """Return a token and, if it has several parts, its parts, each with its end in the text."""
    whole = [(token, begin + len(token))]
    if token.isalnum():
        return whole
    parts = [(part.group(), begin + part.end()) for part in _PART.finditer(token)]
    return [*whole, *parts]


def _in_capitals(text: str, place: int) -> bool:
    """Return whether the line around a place has no small letters."""
    begin, end = text.rfind("\n", 0, place) + 1, text.find("\n", place)
    line = text[begin : end if end >= 0 else len(text)]
    return line == line.upper() and len(line.split()) > 2
