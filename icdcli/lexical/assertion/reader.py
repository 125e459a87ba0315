"""The assertion class of every word of a note, by its cues, lists and sections.

The algorithm is ConText's (Harkema et al. 2009, doi:10.1016/j.jbi.2009.05.002): cues with a scope,
words that end a scope, and words that only look like a cue. It differs where notes do:

- A scope goes on over a list ("negative for a, b, c or d") as long as its items are short, and ends
  before an item that is a clause of its own ("no fever, and the CT showed a mass").
- Answers after labels ("Fever: no") and unchecked boxes ("[ ] fever") count.
- A sign in brackets belongs to the word before it, or to the one after it if the list begins with a
  sign ("(+) cough (-) fever"); several signs belong to as many words ("fever/cough (+/-)").
- The header of a section gives its class to the section. No scope leaves a section.

The tree of cues is walked from every word that begins a cue; the longest cue counts.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import numpy as np

from icdcli.lexical.assertion.classes import BY_RANK, Assertion, Assertions
from icdcli.lexical.assertion.cues import Node, load_cues
from icdcli.lexical.assertion.finder import CueFinder, FoundCue
from icdcli.lexical.assertion.scopes import Scopes
from icdcli.lexical.assertion.sections import CurrentSection
from icdcli.lexical.assertion.sentences import Sentence, SentenceSplitter
from icdcli.lexical.assertion.tokens import Kind, is_year

_CLASS_OF_RANK = BY_RANK.ljust(256, b"\0")
_ANSWERS = ("value", "backward", "item", "dated", "adjective", "beside")
"""The scopes of cues that say something of what is before them."""
_OF_THE_PAST = ("dated", "past")
_FIRST_WORDS = 4
_YEAR_BEFORE, _YEAR_AFTER = 20, 4
"""Words that may date a cue: ``in 2010 she had X, which``, ``resolved with treatment in 2010``."""


class AssertionReader:
    """Reads the assertion classes of texts."""

    def __init__(self, cues: Node) -> None:
        """Read by a tree of cues; see `icdcli.lexical.assertion.cues.load_cues`."""
        self._finder = CueFinder(cues)
        self._splitter = SentenceSplitter()

    def read(self, text: str) -> Assertions:
        """Return the assertion class of every character of a text.

        A cue itself isn't in its own scope.
        """
        starts, classes = [0], [int(Assertion.AFFIRMED)]
        for sentence, values in self._confirmed(text):
            if values.count(classes[-1]) == len(values):
                continue
            for begin, value in zip(sentence.begins, values, strict=True):
                if value != classes[-1]:
                    if begin == 0:
                        classes[0] = value
                    else:
                        starts.append(begin)
                        classes.append(value)
        return Assertions(np.array(starts, np.int64), np.array(classes, np.uint8))

    def _confirmed(self, text: str) -> Iterator[tuple[Sentence, bytes]]:
        """Yield the sentences of a text with the class of each token.

        "Suspected gout. The puncture confirmed it." affirms the sentence before.
        """
        section = CurrentSection()
        last: tuple[Sentence, bytes] | None = None
        for sentence, found in self._sentences(text):
            section.enter(sentence, found)
            values = _classes(sentence, found, section)
            if sentence.tokens[-1] == ":":
                section.open_list(sentence, values[-1])
            if last is not None:
                before, read = last
                if not section.begin:
                    read = _said_after(read, before, sentence, found)
                yield before, read
            last = sentence, values
        if last is not None:
            yield last

    def _sentences(self, text: str) -> Iterator[tuple[Sentence, list[FoundCue]]]:
        """Yield the sentences of a text with their cues, cut at headers amid a sentence."""
        for sentence in self._splitter.split(text):
            found = self._finder.find(sentence)
            headers = [
                one.begin
                for one in found
                if one.cue.scope == "section" and _has_word(sentence, one.begin)
            ]
            if not headers:
                yield sentence, found
                continue
            for part in sentence.parts(headers):
                yield part, self._finder.find(part)


def _has_word(sentence: Sentence, end: int) -> bool:
    """Return if there is a word before a token: it isn't the first after a bullet or a number."""
    return any(
        kind is Kind.WORD and not token.isdigit()
        for token, kind in zip(sentence.tokens[:end], sentence.kinds[:end], strict=True)
    )


@cache
def reader_of(cues: str) -> AssertionReader:
    """Return the reader of a table of cues, made once per process.

    Args:
        cues: The content of the table; see `icdcli.lexical.assertion.cues`.
    """
    return AssertionReader(load_cues(cues))


def _classes(sentence: Sentence, found: Sequence[FoundCue], section: CurrentSection) -> bytes:
    """Return the class of each token of a sentence of a section."""
    if not found and "(" not in sentence.tokens:
        return bytes([section.assertion]) * len(sentence.tokens)
    ranks = bytearray([section.assertion.rank]) * len(sentence.tokens)
    if section.begin:
        ranks[: section.begin] = bytes(section.begin)
    scopes = Scopes(sentence, found, section.begin)
    waiting = []
    if section.assertion:
        for one in found:
            if one.cue.assertion is Assertion.AFFIRMED and one.cue.scope == "forward":
                for first, after in scopes.of(one, Assertion.AFFIRMED):
                    ranks[first:after] = bytes(after - first)
    for one in found:
        assertion = one.cue.assertion
        if assertion is None or one.cue.scope in ("section", "stop", "predicate", "separator"):
            continue
        if assertion is Assertion.RESOLVED or one.cue.scope in _OF_THE_PAST:
            waiting.append((one, assertion))
        else:
            _raise(ranks, scopes.of(one, assertion), assertion)
    if "(" in sentence.tokens and "-" in sentence.tokens:
        _raise(ranks, scopes.of_signs(), Assertion.NEGATED)
    for one, assertion in waiting:
        reached = [*scopes.of(one, assertion)]
        at_end = one.cue.scope in ("forward", "adjective") and not any(
            one.begin < first < after for first, after in reached
        )
        if at_end:
            reached = [scopes.before(one, assertion)]
        if one.cue.scope in _OF_THE_PAST or section.current or at_end:
            reached = [stretch for stretch in reached if _is_past(sentence, ranks, stretch, one)]
        _raise(ranks, reached, assertion)
    _affirm(ranks, scopes, filter(_confirms, found))
    return bytes(ranks.translate(_CLASS_OF_RANK))


def _confirms(one: FoundCue) -> bool:
    return one.cue.assertion is Assertion.AFFIRMED and one.cue.scope == "backward"


def _said_after(
    values: bytes, sentence: Sentence, after: Sentence, found: Sequence[FoundCue]
) -> bytes:
    """Return the classes of a sentence as the one after it changes them.

    "Suspected gout. The puncture confirmed it." affirms the end of the sentence, and an answer that
    stands alone counts for its last item: "Had gout in college; resolved."
    """
    if not found or found[0].begin > _FIRST_WORDS:
        return values
    first, cue = found[0], found[0].cue
    if _confirms(first):
        kept = values.rstrip(bytes([Assertion.HYPOTHETICAL]))
        return kept.ljust(len(values), bytes([Assertion.AFFIRMED]))
    alone = (first.begin, first.end) == (0, len(after.tokens)) and not sentence.ends_line
    if not alone or cue.scope not in _ANSWERS or cue.assertion is None:
        return values
    begin = max((n for n, kind in enumerate(sentence.kinds) if kind is Kind.COMMA), default=-1) + 1
    past = cue.assertion is not Assertion.RESOLVED or any(map(is_year, sentence.tokens))
    changed = bytearray(values)
    for place in range(begin, len(changed)):
        was = Assertion(changed[place])
        if (past or was is Assertion.HISTORICAL) and was.rank < cue.assertion.rank:
            changed[place] = cue.assertion
    return bytes(changed)


def _affirm(ranks: bytearray, scopes: Scopes, confirmations: Iterable[FoundCue]) -> None:
    """Affirm what was possible before cues that confirm it."""
    for one in confirmations:
        first, after = scopes.possible(one, ranks, Assertion.HYPOTHETICAL.rank)
        ranks[first:after] = bytes(after - first)


def _raise(ranks: bytearray, reached: Iterable[tuple[int, int]], assertion: Assertion) -> None:
    """Give stretches of tokens the rank of a class, unless they have a higher one."""
    rank = assertion.rank
    for first, after in reached:
        for place in range(first, after):
            ranks[place] = max(ranks[place], rank)


def _is_past(sentence: Sentence, ranks: bytearray, stretch: tuple[int, int], cue: FoundCue) -> bool:
    """Return if a stretch that a cue reaches is historical, or has a year that is no full date."""
    first, after = stretch
    if Assertion.HISTORICAL.rank in ranks[first:after]:
        return True
    tokens, last = sentence.tokens, max(after, cue.end) + _YEAR_AFTER
    earliest = max(0, first - _YEAR_BEFORE)
    while first > earliest and sentence.kinds[first - 1] is not Kind.COMMA:
        first -= 1
    return any(
        is_year(token) and tokens[place - 1] != "/" and tokens[place + 1 : place + 2] != ["-"]
        for place, token in enumerate(tokens[first:last], first)
    )
