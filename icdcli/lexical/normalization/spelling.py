"""Corrects misspelt words: unknown ones that are one letter from a word of the labels.

A word is known if two training documents have it, or any description. An unknown word of six
letters or more is replaced by the only word at a Damerau-Levenshtein distance of one among those of
seven letters or more that descriptions, synonyms, expansions or many training documents have. If
there are several, the one that far more documents have counts, or none. What must not change:

- words with digits, and those of scripts other than Latin, Greek and Cyrillic;
- capitalized words inside a sentence, which are names, unless notes usually capitalize the word;
- inflections of known words (``fractured``, ``fractures``);
- words that only look like another: all letters near the difference go together as they do in known
  words (``neurotic``, ``neuroptic``). Random mistakes seldom do;
- words that sound like a known one, such as its spelling in another language (``disfasia``).

British spellings that nobody knows become those of the descriptions (``haemorrhage``), as any
spelling that sounds like one of them. Accents and capitals aren't compared.

Words at that distance are found by their deletions (`icdcli.lexical.normalization.deletions`).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from icdcli.data.processes import in_blocks
from icdcli.lexical.normalization.deletions import Deletions, are_exchanged, letters_shared
from icdcli.lexical.normalization.edited_text import Edit
from icdcli.lexical.normalization.word_forms import LetterGroups, is_inflection
from icdcli.lexical.words import (
    ascii_blanked,
    blanks_but,
    folded,
    is_sign_with_letters,
    spelling,
)

LEAST_LETTERS = 6
"""Letters of a word that may be misspelt."""
_LEAST_CORRECT = 7
_LEAST_WITH_OTHER_FIRST = 9
_LEAST_KNOWN = 4
_MOST_LETTERS = 40
_DOCUMENTS_TO_KNOW = 2
_DOCUMENTS_TO_NEED = 5
_MOST_WORDS = 50_000
"""Words that corrections are taken from; the most frequent ones, besides those of the labels."""
_CLEARLY_MORE = 10
_REMEMBERED = 200_000
_FEW = 20
"""The misspelt words of a text up to which each is looked for on its own."""
_BLOCK, _LEAST_TEXTS = 256, 2_048
# How many of 10,000 known words may have the letters of a mistake, by the length of the word.
_USUAL_GROUPS = (0, 0, 0, 0, 0, 0, 0, 0, 0.3, 1, 3, 7)
_IF_LETTER_MISSING = (0, 0, 0, 0, 0, 0, 0, 0.3, 2, 3, 5, 9)
_IF_EXCHANGED = 4
# A pattern that begins with a character skips blanks, which may be most of a text, quickly.
_WORD = re.compile(rf"[^\W\d_](?<!\w\w)[^\W\d_]{{{_LEAST_KNOWN - 1},{_MOST_LETTERS - 1}}}(?!\w)")
_IN_WORD = re.compile(r"\w").match
_BLANK_BETWEEN = blanks_but(_IN_WORD)
_LETTERS = re.compile("[a-zß-ɏ]+|[α-ω]+|[Ѐ-ԯ]+")
_INSIDE = frozenset(",'’()]/&-")


class KnownWord(NamedTuple):
    """A word that corrections may lead to.

    Attributes:
        written: The usual way of writing it.
        documents: The number of training documents that have it.
        needed: Descriptions, synonyms or expansions have it.
    """

    written: str
    documents: int
    needed: bool


@dataclass(frozen=True)
class Spelling:
    """The words that a model knows, and those that it corrects others to.

    Attributes:
        language: The language of the documents, for its inflections.
        known: Folded words that are never corrected.
        words: Folded words that others are corrected to.
    """

    language: str = ""
    known: frozenset[str] = field(default=frozenset(), repr=False)  # words of training documents
    words: Mapping[str, KnownWord] = field(default_factory=dict, repr=False)

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        needed: Iterable[str],
        known: Iterable[str] = (),
        language: str = "en",
    ) -> "Spelling":
        """Learn the words.

        Args:
            texts: The training documents.
            needed: The descriptions, synonyms and expansions of the labels.
            known: Other words without mistakes, folded as `known_words` does.
            language: The language of the documents.
        """
        documents, usual = _count(texts)
        named = dict(_forms(needed))
        frequent = sorted(
            (word for word, count in documents.items() if count >= _DOCUMENTS_TO_NEED),
            key=lambda word: (-documents[word], word),
        )
        wanted = (word for word in (*named, *frequent[:_MOST_WORDS]) if _may_be_correct(word))
        words = {
            word: KnownWord(
                usual.get(word) or named[word],
                documents.get(word, 0),
                word in named,
            )
            for word in wanted
        }
        seen = {word for word, count in documents.items() if count >= _DOCUMENTS_TO_KNOW}
        return cls(language, frozenset({*seen, *named, *known}), words)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Spelling":
        """Return what `to_json` returned, after a file had it."""
        words = {word: KnownWord(*found) for word, found in stored["words"].items()}
        known = frozenset(stored["known"].split()) | frozenset(words)
        return cls(stored["language"], known, words)

    def to_json(self) -> dict[str, Any]:
        """Return the words for a checkpoint."""
        return {
            "language": self.language,
            "known": " ".join(sorted(self.known - self.words.keys())),
            "words": {word: list(found) for word, found in sorted(self.words.items())},
        }

    def edits(self, text: str) -> Iterator[Edit]:
        """Yield an edit for each misspelt word of a text."""
        if not self.words:
            return
        corrected = {
            form: instead
            for form in _words(text, LEAST_LETTERS)
            if (instead := self._remembered(form)) is not None
        }
        for begin, form in _places(corrected, text):
            end, instead = begin + len(form), corrected[form]
            if _is_in_word(text, end) or _is_in_word(text, begin - 1):
                continue
            if not (instead.not_inside_sentence and _is_inside_sentence(text, begin)):
                yield Edit(begin, end, instead.form)

    def _remembered(self, form: str) -> "_Correction | None":
        corrections = self._corrections
        if form not in corrections:
            if len(corrections) >= _REMEMBERED:
                corrections.clear()
            corrections[form] = self._correct(form)
        return corrections[form]

    def correct(self, form: str) -> str | None:
        """Return the correct spelling of a word, in its capitals; None: it stays as it is."""
        found = self._correct(form)
        return None if found is None else found.form

    def _correct(self, form: str) -> "_Correction | None":
        word = folded(form)
        if len(word) < LEAST_LETTERS or word in self.known or not _LETTERS.fullmatch(word):
            return None
        nearest = self._nearest(word)
        if nearest is None:
            return None
        written = self.words[nearest].written
        if form.isupper():
            return _Correction(written.upper())
        if form[0].isupper() and written[0].islower():
            return _Correction(written.capitalize(), not_inside_sentence=True)
        return _Correction(written)

    def _nearest(self, word: str) -> str | None:
        """Return the word that an unknown word is a misspelling of."""
        away = self._deletions.near(word)
        if not away or is_inflection(word, self.known, self.language):
            return None
        sound = spelling(word)
        alike = [other for other in away if spelling(other) == sound]
        nearest = self._most_frequent(alike or away)
        if alike or nearest is None:
            return nearest
        is_other_word = sound in self._sounds or not self._is_misspelling(word, nearest)
        return None if is_other_word else nearest

    def _most_frequent(self, words: list[str]) -> str | None:
        """Return the only word, or the one that far more documents have than the others."""
        first, *others = sorted(words, key=lambda word: -self.words[word].documents)
        if not others:
            return first
        second = max(self.words[others[0]].documents, 1)
        return first if self.words[first].documents >= _CLEARLY_MORE * second else None

    def _is_misspelling(self, word: str, other: str) -> bool:
        """Return if a word is more likely a misspelling of another than a word of its own.

        Where the words differ, it has letters together that few known words have; the longer the
        word, the less that matters. Other first letters may be a prefix.
        """
        place = letters_shared(word, other)
        groups, longer = self._letter_groups.rarest(word, place), len(word) - len(other)
        if longer == 0 and are_exchanged(word, other, place):
            return groups <= _IF_EXCHANGED
        if place == 0:
            may_be_prefix = longer == 1 and word[0] in "aeiou"
            return groups == 0 and len(word) >= _LEAST_WITH_OTHER_FIRST and not may_be_prefix
        if not self.words[other].needed or len(word) < _LEAST_CORRECT:
            return groups == 0
        limits = _IF_LETTER_MISSING if longer < 0 else _USUAL_GROUPS
        return groups <= limits[min(len(word), len(limits) - 1)]

    @cached_property
    def _corrections(self) -> dict[str, "_Correction | None"]:
        return {}

    @cached_property
    def _letter_groups(self) -> LetterGroups:
        return LetterGroups(self.known)

    @cached_property
    def _sounds(self) -> frozenset[str]:
        return frozenset(map(spelling, self.known))

    @cached_property
    def _deletions(self) -> Deletions:
        return Deletions(self.words)


NO_SPELLING = Spelling()
"""Nothing is corrected."""


def known_words(texts: Iterable[str]) -> frozenset[str]:
    """Return the folded words of texts, for `Spelling.fit`."""
    forms = frozenset[str]().union(*(_words(text, _LEAST_KNOWN) for text in texts))
    return frozenset(map(folded, forms))


def _count(texts: Iterable[str]) -> tuple[dict[str, int], dict[str, str]]:
    """Return how many texts have each folded word, and how most of them write it."""
    in_lower_case, as_written = Counter[str](), Counter[str]()
    for lower_here, written_here in in_blocks(_counted, texts, _BLOCK, _LEAST_TEXTS):
        in_lower_case.update(lower_here)
        as_written.update(written_here)
    documents: dict[str, int] = {}
    for form, count in in_lower_case.items():
        word = folded(form)
        documents[word] = documents.get(word, 0) + count
    usual: dict[str, tuple[int, str]] = {}
    for form, count in as_written.items():
        word = folded(form)
        usual[word] = max(usual.get(word, (0, "")), (count, form))
    return documents, {word: form for word, (_, form) in usual.items()}


def _counted(texts: Sequence[str]) -> tuple[Counter[str], Counter[str]]:
    """Return how many texts have each form of a word in lower case, and as it is written."""
    in_lower_case, as_written = Counter[str](), Counter[str]()
    for text in texts:
        forms = _words(text, _LEAST_KNOWN)
        as_written.update(forms)
        in_lower_case.update({form.lower() for form in forms})
    return in_lower_case, as_written


class _Correction(NamedTuple):
    form: str
    not_inside_sentence: bool = False


def _forms(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the folded words of texts, and how they are written; the first in lower case."""
    for text in texts:
        for match in _WORD.finditer(text):
            form = match.group()
            yield folded(form), form if match.start() else form.lower()


def _words(text: str, least: int) -> set[str]:
    """Return the words of a text with at least some letters, as they are written."""
    if not text.isascii():
        return {word for word in _WORD.findall(text) if len(word) >= least}
    # Several times as fast as the pattern.
    runs = set(ascii_blanked(text, _BLANK_BETWEEN).split())
    return {run for run in runs if least <= len(run) <= _MOST_LETTERS and run.isalpha()}


def _places(forms: Collection[str], text: str) -> list[tuple[int, str]]:
    """Return each place where a text has one of some words, and the word, from left to right."""
    if len(forms) > _FEW:
        matches = _WORD.finditer(text)
        return [(match.start(), match.group()) for match in matches if match.group() in forms]
    found = []
    for form in forms:
        begin = text.find(form)
        while begin >= 0:
            end = begin + len(form)
            if not (_IN_WORD(text[begin - 1 : begin]) or _IN_WORD(text[end : end + 1])):
                found.append((begin, form))
            begin = text.find(form, end)
    return sorted(found)


def _may_be_correct(word: str) -> bool:
    return len(word) >= _LEAST_CORRECT and bool(_LETTERS.fullmatch(word))


def _is_in_word(text: str, place: int) -> bool:
    """Return if the sign at a place continues the word beside it: a combining mark, or ™."""
    sign = text[place : place + 1] if place >= 0 else ""
    is_mark = bool(sign) and unicodedata.category(sign).startswith("M")
    return is_mark or is_sign_with_letters(text, place)


def _is_inside_sentence(text: str, place: int) -> bool:
    before = text[max(place - 2, 0) : place].rstrip(" ")
    return bool(before) and (before[-1].isalnum() or before[-1] in _INSIDE)
