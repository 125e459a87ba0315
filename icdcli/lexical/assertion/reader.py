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
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np

from icdcli.lexical.assertion.classes import BY_RANK, RANKS, Assertion, Assertions
from icdcli.lexical.assertion.cues import Node, load_cues
from icdcli.lexical.assertion.finder import CueFinder, FoundCue
from icdcli.lexical.assertion.past import is_past, since_the_past
from icdcli.lexical.assertion.scopes import Scopes
from icdcli.lexical.assertion.sections import CurrentSection
from icdcli.lexical.assertion.sentences import Sentence, SentenceSplitter
from icdcli.lexical.assertion.tokens import Kind, is_year

_CLASS_OF_RANK = BY_RANK.ljust(256, b"\0")
_RAISED = [bytes(max(other, rank) for other in range(256)) for rank in range(len(BY_RANK))]
"""To each rank, at least the rank of a class."""
_ANSWERS = ("value", "backward", "item", "dated", "adjective", "beside")
"""The scopes of cues that say something of what is before them."""
_WITHOUT_REACH = ("section", "stop", "predicate", "separator", "study")
_OF_THE_PAST = ("dated", "past")
_FIRST_WORDS = 4


class _Read(NamedTuple):
    """A sentence, its cues, where the words after its header begin, and its classes."""

    sentence: Sentence
    found: Sequence[FoundCue]
    begin: int
    classes: bytes


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
        return _joined(_confirmed(self._sentences(text)))

    def read_twice(self, text: str) -> tuple[Assertions, Assertions]:
        """Return what `read` does, and the same as if no word meant a relative.

        The text is cut, and its cues are found, only once.
        """
        sentences, known = [*self._sentences(text)], _Known()
        read = _joined(_confirmed(sentences, known))
        others = [(sentence, _of_the_patient(found)) for sentence, found in sentences]
        if all(one[1] is other[1] for one, other in zip(sentences, others, strict=True)):
            return read, read
        return read, _joined(_confirmed(others, known))

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


def _joined(read: Iterable[tuple[Sentence, bytes]]) -> Assertions:
    """Return the stretches of equal class of sentences with the class of each token."""
    starts, classes = [0], [int(Assertion.AFFIRMED)]
    for sentence, values in read:
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


class _Known:
    """The classes of the sentences of a text, for another reading with some other cues."""

    def __init__(self) -> None:
        self._read: dict[int, tuple[Sequence[FoundCue], Assertion, int, bool, bytes]] = {}

    def classes(
        self, number: int, sentence: Sentence, found: Sequence[FoundCue], section: CurrentSection
    ) -> bytes:
        """Return the class of each token of a sentence of a section, by its number in the text."""
        known = self._read.get(number)
        if (
            known is not None
            and known[0] is found
            and known[1:4] == (section.assertion, section.begin, section.current)
        ):
            return known[4]
        values = _classes(sentence, found, section)
        self._read[number] = found, section.assertion, section.begin, section.current, values
        return values


def _confirmed(
    sentences: Iterable[tuple[Sentence, Sequence[FoundCue]]], known: _Known | None = None
) -> Iterator[tuple[Sentence, bytes]]:
    """Yield the sentences of a text with the class of each token.

    "Suspected gout. The puncture confirmed it." affirms the sentence before.

    Args:
        sentences: The sentences and their cues.
        known: What was read before of the same sentences, and is kept for the next time.
    """
    section = CurrentSection()
    last: _Read | None = None
    known = known or _Known()
    for number, (sentence, found) in enumerate(sentences):
        section.enter(sentence, found)
        values = known.classes(number, sentence, found, section)
        if sentence.tokens[-1] == ":":
            section.open_list(sentence, values[-1])
        if last is not None:
            read = last if section.begin else _said_after(last, sentence, found)
            yield read.sentence, read.classes
        last = _Read(sentence, found, section.begin, values)
    if last is not None:
        yield last.sentence, last.classes


def _of_the_patient(found: Sequence[FoundCue]) -> Sequence[FoundCue]:
    """Return cues; those that speak of a relative as if they affirmed the same of the patient."""
    if not any(one.cue.assertion is Assertion.FAMILY for one in found):
        return found
    return [
        one._replace(cue=replace(one.cue, assertion=Assertion.AFFIRMED))
        if one.cue.assertion is Assertion.FAMILY
        else one
        for one in found
    ]


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
    tokens = sentence.tokens
    signs = "(" in tokens and "-" in tokens
    # To affirm is to raise nothing.
    reaching = [
        (one, one.cue.assertion)
        for one in found
        if one.cue.assertion and one.cue.scope not in _WITHOUT_REACH
    ]
    studies = any(one.cue.scope == "study" for one in found)
    if not signs and not (found if section.assertion else reaching or studies):
        return bytes([section.assertion]) * len(tokens)
    ranks = bytearray([section.assertion.rank]) * len(tokens)
    if section.begin:
        ranks[: section.begin] = bytes(section.begin)
    scopes = Scopes(sentence, found, section.begin)
    waiting = []
    if section.assertion:
        for one in found:
            if one.cue.assertion is Assertion.AFFIRMED and one.cue.scope == "forward":
                for first, after in scopes.of(one, Assertion.AFFIRMED):
                    ranks[first:after] = bytes(after - first)
    for one, assertion in reaching:
        if assertion is Assertion.RESOLVED or one.cue.scope in _OF_THE_PAST:
            waiting.append((one, assertion))
        else:
            _raise(ranks, scopes.of(one, assertion), assertion)
    if studies:
        normal = max((one.begin for one in found if _is_normal(one)), default=0)
        _add_studies(ranks, [one for one in found if one.begin < normal], scopes)
    if signs:
        _raise(ranks, scopes.of_signs(), Assertion.NEGATED)
    for one, assertion in waiting:
        reached = [*scopes.of(one, assertion)]
        at_end = one.cue.scope in ("forward", "adjective") and not any(
            one.begin < first < after for first, after in reached
        )
        if at_end:
            reached = [scopes.before(one, assertion)]
        if one.cue.scope in _OF_THE_PAST or section.current or at_end:
            reached = [stretch for stretch in reached if is_past(sentence, ranks, stretch, one)]
        _raise(ranks, reached, assertion)
        if one.cue.scope == "dated":
            _raise(ranks, [since_the_past(sentence, ranks, section.begin, one)], assertion)
    _affirm(ranks, scopes, filter(_confirms, found))
    return bytes(ranks.translate(_CLASS_OF_RANK))


def _is_normal(one: FoundCue) -> bool:
    denies = one.cue.assertion is Assertion.NEGATED and one.cue.scope == "value"
    return denies or one.cue.scope == "normal"


def _confirms(one: FoundCue) -> bool:
    return one.cue.assertion is Assertion.AFFIRMED and one.cue.scope == "backward"


def _said_after(last: _Read, after: Sentence, found: Sequence[FoundCue]) -> _Read:
    """Return a sentence as the one after it changes it.

    "Suspected gout. The puncture confirmed it." affirms the end of the sentence, "CT for gout.
    It was normal." makes the reason for the study no fact, and an answer that stands alone counts
    for the last item: "Had gout in college; resolved."
    """
    if not found or found[0].begin > _FIRST_WORDS:
        return last
    first, cue, sentence = found[0], found[0].cue, last.sentence
    alone = (first.begin, first.end) == (0, len(after.tokens)) and not sentence.ends_line
    changed = bytearray(last.classes)
    if _is_normal(first):
        ranks = bytearray(changed.translate(RANKS.ljust(256, b"\0")))
        _add_studies(ranks, last.found, Scopes(sentence, last.found, last.begin))
        return last._replace(classes=bytes(ranks.translate(_CLASS_OF_RANK)))
    if _confirms(first):
        kept = last.classes.rstrip(bytes([Assertion.HYPOTHETICAL]))
        return last._replace(classes=kept.ljust(len(changed), bytes([Assertion.AFFIRMED])))
    if not alone or cue.scope not in _ANSWERS or cue.assertion is None:
        return last
    begin = max((n for n, kind in enumerate(sentence.kinds) if kind is Kind.COMMA), default=-1) + 1
    past = cue.assertion is not Assertion.RESOLVED or any(map(is_year, sentence.tokens))
    for place in range(begin, len(changed)):
        was = Assertion(changed[place])
        if (past or was is Assertion.HISTORICAL) and was.rank < cue.assertion.rank:
            changed[place] = cue.assertion
    return last._replace(classes=bytes(changed))


def _add_studies(ranks: bytearray, found: Sequence[FoundCue], scopes: Scopes) -> None:
    """Give what studies were for the class of their cues; their result is normal."""
    for one in found:
        if one.cue.scope == "study" and one.cue.assertion is not None:
            _raise(ranks, scopes.of(one, one.cue.assertion), one.cue.assertion)


def _affirm(ranks: bytearray, scopes: Scopes, confirmations: Iterable[FoundCue]) -> None:
    """Affirm what was possible before cues that confirm it."""
    for one in confirmations:
        first, after = scopes.possible(one, ranks, Assertion.HYPOTHETICAL.rank)
        ranks[first:after] = bytes(after - first)


def _raise(ranks: bytearray, reached: Iterable[tuple[int, int]], assertion: Assertion) -> None:
    """Give stretches of tokens the rank of a class, unless they have a higher one."""
    raised = _RAISED[assertion.rank]
    for first, after in reached:
        ranks[first:after] = ranks[first:after].translate(raised)
