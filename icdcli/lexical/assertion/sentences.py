"""The sentences of a note: what a scope never leaves.

Notes wrap their lines, list findings line by line, and leave out full stops. A line end is a wrap,
and not the end of a sentence, if the next line begins with a small letter, or if the line is long
and the next doesn't begin with a bullet, a number or a header. A blank line always ends a sentence.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from icdcli.lexical.assertion.forms import read_forms
from icdcli.lexical.assertion.tokens import TOKEN, Kind, token_of
from icdcli.lexical.words import placed_matches

_TOKENS = re.compile(f"({TOKEN.pattern})")
_STOP, _BREAK = Kind.STOP, Kind.BREAK
_Token = tuple[str, Kind, bool]
"""A token, its kind, and if a sentence may end at it."""
_LONG_LINE = 45
_LONGEST = 2_000
"""Tokens after which a text without sentence marks is cut."""
_KNOWN_TOKENS = 200_000
_NEW_ITEM = re.compile(r"[-*•·+☐□▢⬜☑☒✓✔■▣\[(#]|\d+[.)]\s|[^\W\d_][\w '/&()-]{0,40}:(?:\s|$)")
# Abbreviations before whose full stop no sentence ends; a single letter is one too.
_ABBREVIATIONS = frozenset("dr mr mrs ms vs approx st sr sra dra pt dx hx".split())
# What is named by a letter: "No hepatitis B. Gout."; other letters are initials.
_BEFORE_LETTER = [
    [word]
    for word in (
        "hepatitis vitamin vitamina influenza gripe virus type tipo group grupo class clase grade "
        "grado stage estadio factor pugh child hemophilia hemofilia"
    ).split()
]
# After a question, these answer it: "Gout? No."
_ANSWER = re.compile(
    r"(?:\s|[-–—:]|\b(?:R|A|Resp|Answer|Respuesta|답)[:.])*"
    r"(yes|no|sí|si|[ynsYNS]|예|네|아니오|아니요|있음|없음)\s*(?:[.,;)\n]|\Z)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\s*\d")


@dataclass(slots=True)
class Sentence:
    """A sentence as lists of equal length, one entry per token.

    Attributes:
        tokens: Folded words, and signs.
        kinds: The kind of each.
        begins: The place of each in the text.
        starts_line: The sentence begins a line.
        after_blank: A blank line, or nothing, comes before it.
        ends_line: A line end comes after it, or the text ends.
    """

    tokens: list[str] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    starts_line: bool = True
    after_blank: bool = True
    ends_line: bool = True

    def add(self, tokens: list[str], kinds: list[Kind], begins: list[int]) -> None:
        """Add tokens at the end."""
        self.tokens += tokens
        self.kinds += kinds
        self.begins += begins

    def parts(self, places: Sequence[int]) -> Iterator["Sentence"]:
        """Yield the sentence in parts that begin at some tokens."""
        edges = [0, *places, len(self.tokens)]
        for begin, end in pairwise(edges):
            yield Sentence(
                self.tokens[begin:end],
                self.kinds[begin:end],
                self.begins[begin:end],
                starts_line=self.starts_line and not begin,
                after_blank=self.after_blank and not begin,
                ends_line=self.ends_line and end == len(self.tokens),
            )


class SentenceSplitter:
    """Cuts texts into sentences; remembers how each distinct word is folded."""

    def __init__(self) -> None:
        self._known: dict[str, _Token] = {}

    def split(self, text: str) -> Iterator[Sentence]:
        """Yield the sentences of a text that have a word or a sign, in order."""
        text = read_forms(text)
        matches, begins = placed_matches(_TOKENS, text)
        known, fold = self._known.get, self._fold
        found = [known(raw) or fold(raw) for raw in matches]
        tokens, kinds = [one[0] for one in found], [one[1] for one in found]
        ends = [place for place, one in enumerate(found) if one[2]]
        sentence, line, done = Sentence(), 0, 0
        for place in (*ends, len(found)):
            if place < done:  # within an answer
                continue
            while done < place:
                after = min(place, done + _LONGEST - len(sentence.tokens))
                sentence.add(tokens[done:after], kinds[done:after], begins[done:after])
                done = after
                if len(sentence.tokens) == _LONGEST:
                    sentence.ends_line = False
                    yield sentence
                    sentence = Sentence(starts_line=False, after_blank=False)
            if place == len(found):
                break
            done, begin, raw = place + 1, begins[place], matches[place]
            token, kind, end = tokens[place], kinds[place], begin + len(raw)
            if kind is _BREAK:
                blank = raw.count("\n") > 1
                wraps = not blank and _wraps(text, begin - line, end)
                line = end
                if wraps:
                    continue
                if sentence.tokens:
                    yield sentence
                sentence = Sentence(
                    after_blank=blank or (sentence.after_blank and not sentence.tokens)
                )
                continue
            if kind is _STOP and _ends_sentence(token, sentence, text, end):
                if sentence.tokens:
                    sentence.ends_line = False
                    yield sentence
                    sentence = Sentence(starts_line=False, after_blank=False)
                continue
            asks = token == "?"
            if asks and sentence.tokens and (answer := _ANSWER.match(text, end)):
                asks, token, done = False, ":", bisect_left(begins, answer.start(1))
                sentence.tokens = [":" if one == "¿" else one for one in sentence.tokens]
            sentence.add([token], [kind], [begin])
            if len(sentence.tokens) == _LONGEST or (asks and _ends_question(text, begin, end)):
                sentence.ends_line = False
                yield sentence
                sentence = Sentence(starts_line=False, after_blank=False)
        if sentence.tokens:
            yield sentence

    def _fold(self, raw: str) -> _Token:
        token, kind = token_of(raw)
        found = token, kind, kind is _STOP or kind is _BREAK or token == "?"
        if len(self._known) < _KNOWN_TOKENS:
            self._known[raw] = found
        return found


def _wraps(text: str, length: int, place: int) -> bool:
    """Return if a line of some length goes on at a place of the text."""
    after = text[place : place + 1]
    if after.islower():
        return True
    return length >= _LONG_LINE and not _NEW_ITEM.match(text, place)


def _ends_question(text: str, begin: int, end: int) -> bool:
    """Return if a question mark belongs to what is before it: not in ``?PE`` or ``PE (?)``."""
    before, after = text[max(begin - 1, 0) : begin], text[end : end + 1]
    return before.strip(" \t\n(") != "" and (not after or after.isspace())


def _ends_sentence(token: str, sentence: Sentence, text: str, after: int) -> bool:
    """Return if a mark ends the sentence; a full stop after an abbreviation or number doesn't."""
    if token != "." or not sentence.tokens:
        return True
    last = sentence.tokens[-1]
    if last == "no":  # "Bed no. 5", but "Diabetes: no. Asma: sí."
        return not _NUMBER.match(text, after)
    if sentence.tokens[-2:-1] == ["/"]:  # "no r/m/g."
        return True
    numbers_line = last.isdigit() and len(sentence.tokens) == 1
    initial = len(last) == 1 and last.isalpha() and sentence.tokens[-2:-1] not in _BEFORE_LETTER
    return not (last in _ABBREVIATIONS or numbers_line or initial)
