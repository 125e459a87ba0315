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

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from icdcli.lexical.assertion.classes import Assertion, Assertions
from icdcli.lexical.assertion.cues import Cue, Node, load_cues
from icdcli.lexical.assertion.sentences import Sentence, SentenceSplitter
from icdcli.lexical.assertion.tokens import Kind

_LONGEST_ITEM = 10
"""Words of a list's item that a scope reaches; more words are hardly one finding."""
_LONGEST_LABEL = 6
_KNOWN_WORDS = 200_000
_BEFORE_VALUE = frozenset(":-(")
_BULLETS = frozenset("-+[](:/")
_SIGNS = frozenset("+-")
_MINUS = (("-",), ("(", "-", ")"))
"""The cues of a sign that denies the word beside it."""
_LONE_MINUS = (("-",), (",", "-"))
"""Cues that are often a mere dash."""
# These end at the cue of another class that begins the next item: "no fever, history of stroke".
_END_AT_OTHERS = frozenset({Assertion.NEGATED, Assertion.HYPOTHETICAL, Assertion.HISTORICAL})


class FoundCue(NamedTuple):
    """A cue in a sentence: tokens ``begin`` to ``end``, half-open."""

    begin: int
    end: int
    cue: Cue


class AssertionReader:
    """Reads the assertion classes of texts."""

    def __init__(self, cues: Node) -> None:
        """Read by a tree of cues; see `icdcli.lexical.assertion.cues.load_cues`."""
        self._cues = cues
        self._splitter = SentenceSplitter()
        self._begins_cue: dict[str, bool] = {}

    def read(self, text: str) -> Assertions:
        """Return the assertion class of every character of a text.

        A cue itself isn't in its own scope.
        """
        starts, classes = [0], [int(Assertion.AFFIRMED)]
        section = _Section()
        for sentence in self._splitter.split(text):
            found = self._find(sentence)
            section.enter(sentence, found)
            values = _classes(sentence, found, section.assertion, section.begin)
            for begin, value in zip(sentence.begins, values, strict=True):
                if value != classes[-1]:
                    if begin == 0:
                        classes[0] = value
                    else:
                        starts.append(begin)
                        classes.append(value)
        return Assertions(np.array(starts, np.int64), np.array(classes, np.uint8))

    def _find(self, sentence: Sentence) -> list[FoundCue]:
        """Return the cues of a sentence from left to right; they don't overlap."""
        found: list[FoundCue] = []
        after = 0
        for place, token in enumerate(sentence.tokens):
            if place < after or not self._may_begin(token):
                continue
            cue = _longest(self._cues, sentence, place)
            if cue is not None:
                found.append(cue)
                after = cue.end
        return found

    def _may_begin(self, token: str) -> bool:
        known = self._begins_cue.get(token)
        if known is None:
            known = bool(_next(self._cues, token))
            if len(self._begins_cue) < _KNOWN_WORDS:
                self._begins_cue[token] = known
        return known


@cache
def reader_of(cues: str) -> AssertionReader:
    """Return the reader of a table of cues, made once per process.

    Args:
        cues: The content of the table; see `icdcli.lexical.assertion.cues`.
    """
    return AssertionReader(load_cues(cues))


class _Section:
    """The section in which a sentence is.

    Attributes:
        assertion: The class of the section.
        begin: The token of the sentence after its header; 0 if it has none.
    """

    def __init__(self) -> None:
        self.assertion = Assertion.AFFIRMED
        self.begin = 0
        self._ends_with_line = False

    def enter(self, sentence: Sentence, found: Sequence[FoundCue]) -> None:
        """Follow a sentence into the next section, if it begins one or leaves one."""
        self.begin = 0
        header = next((one for one in found[:1] if one.cue.scope == "section"), None)
        if header is not None:
            self.assertion = header.cue.assertion or Assertion.AFFIRMED
            self.begin = header.end
            self._ends_with_line = len(sentence.tokens) > header.end + 1
        elif self.assertion and self._left(sentence, found):
            self.assertion = Assertion.AFFIRMED

    def _left(self, sentence: Sentence, found: Sequence[FoundCue]) -> bool:
        if sentence.starts_line:
            listed = sentence.kinds[0] is not Kind.WORD or sentence.tokens[0].isdigit()
            if self._ends_with_line and not listed:
                return True
            if sentence.after_blank and ":" in sentence.tokens[:6]:
                return True
        first = found[0] if found else None
        return (
            first is not None
            and first.begin == 0
            and first.cue.scope == "stop"
            and first.cue.assertion is self.assertion
        )


def _next(node: Node, token: str) -> list[Node]:
    """Return the nodes after a token: that of the word itself first, then those of beginnings."""
    nodes = [node.words[token]] if token in node.words else []
    nodes += [after for begin, after in node.beginnings.items() if token.startswith(begin)]
    return nodes


def _longest(root: Node, sentence: Sentence, begin: int) -> FoundCue | None:
    """Return the longest cue that begins at a token and fits there."""
    best: FoundCue | None = None
    nodes, end = [root], begin
    while nodes and end < len(sentence.tokens):
        nodes = [after for node in nodes for after in _next(node, sentence.tokens[end])]
        end += 1
        fitting = [
            cue for node in nodes for cue in node.cues.values() if _fits(cue, sentence, begin, end)
        ]
        if fitting:
            # A header or a value is the more special reading of the same words.
            special = [cue for cue in fitting if cue.scope in ("section", "value")]
            best = FoundCue(begin, end, (special or fitting)[0])
    return best


def _fits(cue: Cue, sentence: Sentence, begin: int, end: int) -> bool:
    """Return if a cue can be what its scope says: headers begin a line, values follow a label."""
    after = sentence.tokens[end : end + 1]
    if cue.scope == "section":
        first = all(token in _BULLETS or token.isdigit() for token in sentence.tokens[:begin])
        alone = not after and sentence.starts_line and sentence.ends_line
        return first and (alone or after in ([":"], ["-"]))
    if cue.tokens[-1] == "-" and cue.tokens in _LONE_MINUS:
        return _is_denial(cue, sentence, begin, end)
    if cue.scope == "value":
        if begin < 2 or sentence.tokens[begin - 1] not in _BEFORE_VALUE:
            return False
        ends = not after or sentence.kinds[end] is Kind.COMMA or after[0] in (")", ":")
        return ends or ":" in sentence.tokens[end : end + 4]
    return True


def _is_denial(cue: Cue, sentence: Sentence, begin: int, end: int) -> bool:
    """Return if a minus denies: ``fever (-)``, ``fever: -`` and ``+ cough, - fever``."""
    tokens = sentence.tokens
    if cue.tokens[0] == ",":
        return "+" in tokens
    before, after = tokens[max(begin - 1, 0)], tokens[end : end + 1]
    return begin > 1 and ((before == "(" and after == [")"]) or (before == ":" and not after))


def _classes(
    sentence: Sentence, found: Sequence[FoundCue], section: Assertion, begin: int
) -> bytearray:
    """Return the class of each token of a sentence whose section begins at a token."""
    values = bytearray([section]) * len(sentence.tokens)
    if begin:
        values[:begin] = bytes(begin)
    scopes = _Scopes(sentence, found, begin)
    for one in found:
        assertion = one.cue.assertion
        if assertion is None or one.cue.scope in ("section", "stop", "separator"):
            continue
        for first, after in scopes.of(one, assertion):
            for place in range(first, after):
                values[place] = max(values[place], assertion)
    if "(" in sentence.tokens and "-" in sentence.tokens:
        for first, after in scopes.of_signs():
            for place in range(first, after):
                values[place] = max(values[place], Assertion.NEGATED)
    return values


def _signs_lead(sentence: Sentence, begin: int) -> bool:
    """Return if the first sign in brackets is before its word."""
    tokens = sentence.tokens
    for place in range(begin, len(tokens) - 3):
        if tokens[place] == "(" and tokens[place + 1] in _SIGNS and tokens[place + 2] == ")":
            after = place + 3
            labels = tokens[place - 1] == ":" and ":" not in tokens[after:]
            return (place == begin or labels) and sentence.kinds[after] is Kind.WORD
    return False


class _Scopes:
    """The scopes of the cues of a sentence."""

    def __init__(self, sentence: Sentence, found: Sequence[FoundCue], begin: int) -> None:
        self._tokens, self._kinds, self._begin = sentence.tokens, sentence.kinds, begin
        self._cue_at: dict[int, FoundCue] = {
            place: one for one in found for place in range(one.begin, one.end)
        }
        self._signs_lead = "(" in sentence.tokens and _signs_lead(sentence, begin)

    def of(self, one: FoundCue, assertion: Assertion) -> Iterable[tuple[int, int]]:
        """Yield what a cue reaches, as tokens, half-open."""
        if self._signs_lead and one.cue.tokens in _MINUS:
            after = one.end + (self._tokens[one.end : one.end + 1] == [")"])
            yield after, self._forward(after, assertion)
            return
        if one.cue.scope in ("forward", "both"):
            yield one.end, self._forward(one.end, assertion)
        if one.cue.scope in ("backward", "both"):
            yield self._backward(one.begin, assertion), one.begin
        if one.cue.scope == "value":
            yield self._label(one.begin - 1), one.begin - 1

    def of_signs(self) -> Iterable[tuple[int, int]]:
        """Yield the items of lists that signs after the list deny: b of ``a/b (+/-)``."""
        tokens = self._tokens
        for opened in [place for place, token in enumerate(tokens) if token == "("]:
            end = opened + 1
            while end < len(tokens) and (tokens[end] in _SIGNS or self._separates(end)):
                end += 1
            signs = [token for token in tokens[opened:end] if token in _SIGNS]
            if len(signs) < 2 or tokens[end : end + 1] != [")"]:
                continue
            items, after = list[tuple[int, int]](), opened
            while len(items) < len(signs):
                items.insert(0, (self._label(after), after))
                after = items[0][0] - 1
                if after <= self._begin or not self._separates(after):
                    break
            if len(items) == len(signs):
                yield from (item for item, sign in zip(items, signs, strict=True) if sign == "-")

    def _forward(self, begin: int, assertion: Assertion) -> int:
        place, words, depth = begin, 0, 0
        while place < len(self._tokens) and not self._stops(place, assertion):
            token = self._tokens[place]
            if self._separates(place):
                after = self._after_separators(place)
                if place == begin or self._goes_elsewhere(place, after, assertion):
                    break
                place, words = after, 0
                continue
            depth += (token == "(") - (token == ")")
            words += self._kinds[place] is Kind.WORD
            if depth < 0 or words > _LONGEST_ITEM:
                break
            place += 1
        return place

    def _backward(self, end: int, assertion: Assertion) -> int:
        place, words = end, 0
        while place > self._begin:
            before = place - 1
            if self._ends_backward(before, assertion):
                break
            if self._separates(before):
                if self._has_own_cue(before):
                    break
                words = 0
            elif place == end and self._in_brackets_after_colon(place):
                pass
            elif self._tokens[before] == ":" or (self._tokens[before] == "(" and place != end):
                break
            else:
                words += self._kinds[before] is Kind.WORD
                if words > _LONGEST_ITEM:
                    break
            place = before
        return place

    def _ends_backward(self, place: int, assertion: Assertion) -> bool:
        found = self._cue_at.get(place)
        if found is None:
            return False
        same = found.cue.scope == "forward" and found.cue.assertion is assertion
        # In Korean, verbs come last: "fever is absent, pneumonia suspected" suspects no fever.
        denied = found.cue.scope == "backward" and found.cue.assertion is Assertion.NEGATED
        other = denied and assertion is not Assertion.NEGATED
        return same or other or found.cue.scope == "clause" or self._stops(place, assertion)

    def _in_brackets_after_colon(self, place: int) -> bool:
        return self._tokens[place - 1 : place + 1] == [":", "("]

    def _label(self, end: int) -> int:
        place = end - self._in_brackets_after_colon(end)
        while place > max(self._begin, end - _LONGEST_LABEL):
            before = place - 1
            apart = self._separates(before) or self._tokens[before] in (":", "(", ")", "-")
            if apart or self._scope_at(before) in ("stop", "value"):
                break
            place = before
        return place

    def _scope_at(self, place: int) -> str:
        found = self._cue_at.get(place)
        return found.cue.scope if found is not None else ""

    def _stops(self, place: int, assertion: Assertion) -> bool:
        found = self._cue_at.get(place)
        return (
            found is not None
            and found.cue.scope == "stop"
            and found.cue.assertion in (None, assertion)
        )

    def _separates(self, place: int) -> bool:
        return (
            self._kinds[place] is Kind.COMMA
            or (self._tokens[place] == "/" and place not in self._cue_at)
            or self._scope_at(place) == "separator"
        )

    def _after_separators(self, place: int) -> int:
        while place < len(self._tokens) and self._separates(place):
            place += 1
        return place

    def _goes_elsewhere(self, place: int, after: int, assertion: Assertion) -> bool:
        """Return if what comes after separators is no item of the list before them."""
        joins = any(
            found is not None and found.cue.scope == "separator" and found.cue.assertion is not None
            for found in map(self._cue_at.get, range(place, after))
        )
        begins = self._cue_at.get(after)
        if (
            begins is not None
            and assertion in _END_AT_OTHERS
            and begins.cue.assertion not in (None, assertion)
            and begins.cue.scope == "forward"
        ):
            return True
        if joins:
            return False
        while after < len(self._tokens) and not self._separates(after):
            scope = self._scope_at(after)
            if scope == "clause":
                return True
            if scope == "stop":
                return False
            after += 1
        return False

    def _has_own_cue(self, separator: int) -> bool:
        """Return if the item before a separator has a verb or a cue of its own."""
        place = separator - 1
        while place >= self._begin and not self._separates(place):
            if self._scope_at(place) in ("clause", "stop", "forward", "both"):
                return True
            place -= 1
        return False
