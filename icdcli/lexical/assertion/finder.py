"""The cues of a sentence: the longest that begin at each of its words, and fit there."""

from typing import NamedTuple

from icdcli.lexical.assertion.cues import BOUND, NUMBER, YEAR, Cue, Node
from icdcli.lexical.assertion.sentences import Sentence
from icdcli.lexical.assertion.tokens import CHECKED, EMPTY, Kind, is_year

_KNOWN_WORDS = 200_000
_BEFORE_VALUE = frozenset(":-(")
BOXES = frozenset({EMPTY, CHECKED})
BEGIN_VALUE = BOXES | set(",:([")
"""Tokens with which a value begins that needs no other sign before it."""
_AFTER_VALUE = BOXES | set("(:)]")
_BULLETS = BOXES | set("-+[](:/")
_AFTER_CLAUSE = frozenset("()]:")
_ANSWERS = frozenset(("no", "n", "neg", "✗"))
_LONGEST_LABEL = 6
_LONE_MINUS = (("-",), (",", "-"))
"""Cues that are often a mere dash."""


class FoundCue(NamedTuple):
    """A cue in a sentence: tokens ``begin`` to ``end``, half-open."""

    begin: int
    end: int
    cue: Cue


class _Begun(NamedTuple):
    """What may begin with a token.

    Attributes:
        nodes: The nodes after it.
        following: The tokens that may follow in a cue; None: it takes a closer look.
        alone: The cue if none of them follows.
    """

    nodes: list[Node]
    following: frozenset[str] | None
    alone: Cue | None


class CueFinder:
    """Finds the cues of sentences; remembers which words may follow the first of a cue."""

    def __init__(self, cues: Node) -> None:
        self._cues = cues
        self._keys: dict[str, tuple[str, ...]] = {}
        self._first: dict[str, _Begun] = {}
        self._without: set[str] = set()
        """Words with which no cue begins."""
        self._members: dict[str, set[str]] = {}
        self._joints = {
            word
            for word, node in cues.words.items()
            if any(cue.scope in ("stop", "separator") for cue in node.cues.values())
        }
        for word, groups in cues.groups.items():
            for group in groups:
                self._members.setdefault(group, set()).add(word)

    def find(self, sentence: Sentence) -> list[FoundCue]:
        """Return the cues of a sentence from left to right; they don't overlap."""
        found: list[FoundCue] = []
        after, known, without, tokens = 0, self._first, self._without, sentence.tokens
        for place in [place for place, token in enumerate(tokens) if token not in without]:
            if place < after:
                continue
            begun = known.get(tokens[place]) or self._begin(tokens[place])
            following = begun.following
            if following is not None and (
                place + 1 == len(tokens) or tokens[place + 1] not in following
            ):
                cue = begun.alone
                one = None if cue is None else FoundCue(place, place + 1, cue)
            else:
                one = self._longest(sentence, place, begun.nodes)
            if one is not None:
                found.append(one)
                after = one.end
        return found

    def _begin(self, token: str) -> _Begun:
        """Return what may begin with a token."""
        nodes = self._next([self._cues], token)
        begun = _Begun(nodes, None, None)
        if all(map(_is_followed_by_words, nodes)):
            words = {word for node in nodes for word in node.words}
            members = (self._members.get(word, set()) for word in words)
            alone = next((cue for node in nodes for cue in node.cues.values()), None)
            begun = _Begun(nodes, frozenset(words.union(*members)), alone)
        if len(self._first) + len(self._without) < _KNOWN_WORDS:
            if nodes:
                self._first[token] = begun
            else:
                self._without.add(token)
        return begun

    def _longest(self, sentence: Sentence, begin: int, nodes: list[Node]) -> FoundCue | None:
        """Return the longest cue that begins at a token and fits there."""
        best: FoundCue | None = None
        tokens, end = sentence.tokens, begin + 1
        while nodes:
            fitting: list[Cue] = []
            goes_on = False
            for node in nodes:
                at_end = node.at_end
                if (
                    at_end is not None
                    and (Kind.WORD in sentence.kinds[:begin] or end == len(tokens))
                    and self._ends_clause(sentence, end)
                ):
                    fitting = [*self._fitting(at_end, sentence, begin, end), *fitting]
                if node.cues:
                    fitting += node.anywhere or self._fitting(node, sentence, begin, end)
                goes_on = goes_on or node.goes_on
            if fitting:
                # A header or a value is the more special reading of the same words.
                special = [cue for cue in fitting if cue.scope in BOUND]
                best = FoundCue(begin, end, (special or fitting)[0])
            if end == len(tokens) or not goes_on:
                break
            nodes = self._next(nodes, tokens[end])
            end += 1
        return best

    def _fitting(self, node: Node, sentence: Sentence, begin: int, end: int) -> list[Cue]:
        return [
            cue
            for cue in node.cues.values()
            if _fits(cue, sentence, begin, end) or self._is_amid(cue, sentence, begin, end)
        ]

    def _ends_clause(self, sentence: Sentence, end: int) -> bool:
        """Return if a clause ends before a token, or the sentence does."""
        if end == len(sentence.tokens) or sentence.kinds[end] is Kind.COMMA:
            return True
        return sentence.tokens[end] in _AFTER_CLAUSE or sentence.tokens[end] in self._joints

    def _is_amid(self, cue: Cue, sentence: Sentence, begin: int, end: int) -> bool:
        """Return if a cue is a header amid a sentence: ``PMH: gout Family history: lupus``."""
        if cue.scope != "section" or not begin or sentence.tokens[end : end + 1] != [":"]:
            return False
        groups = self._cues.groups.get(cue.tokens[-1], ())
        return "<header>" in groups or ("<title>" in groups and len(cue.tokens) > 1)

    def _next(self, nodes: list[Node], token: str) -> list[Node]:
        """Return the nodes after a token: of the word itself, of its groups, of beginnings."""
        keys = self._keys.get(token)
        if keys is None:
            keys = (token, *self._cues.groups.get(token, ()))
            if token.isdigit():
                keys += (NUMBER, YEAR) if is_year(token) else (NUMBER,)
            elif is_year(token):
                keys += (YEAR,)
            if len(self._keys) < _KNOWN_WORDS:
                self._keys[token] = keys
        after = []
        for node in nodes:
            words = node.words
            for key in keys:
                if key in words:
                    after.append(words[key])
            if node.any_word is not None and token[0].isalnum():
                after.append(node.any_word)
            if node.beginnings:
                begin = [begin for begin in node.beginnings if token.startswith(begin)]
                after += [node.beginnings[one] for one in sorted(begin, key=len, reverse=True)]
        return after


def _is_followed_by_words(node: Node) -> bool:
    """Return if only some words or groups go on from a node, and its own cues fit anywhere."""
    open_words = {NUMBER, YEAR}.intersection(node.words)
    bound = node.anywhere is None or node.at_end
    return not (open_words or bound or node.beginnings or node.any_word)


def _fits(cue: Cue, sentence: Sentence, begin: int, end: int) -> bool:
    """Return if a cue can be what its scope says: headers begin a line, values follow a label."""
    if cue.scope not in BOUND and cue.tokens[-1] != "-":
        return True
    after = sentence.tokens[end : end + 1]
    if cue.scope == "section":
        first = all(token in _BULLETS or token.isdigit() for token in sentence.tokens[:begin])
        alone = not after and sentence.starts_line and sentence.ends_line
        # "Imp) gout" is as good a header as "Imp: gout".
        closed = after == [")"] and "(" not in sentence.tokens[:begin]
        return first and (alone or closed or after in ([":"], ["-"]))
    if cue.tokens[-1] == "-" and cue.tokens in _LONE_MINUS:
        return _is_denial(cue, sentence, begin, end)
    if cue.scope == "value":
        if cue.tokens[0] in BEGIN_VALUE:
            if begin < 1 or (cue.tokens[0] in BOXES and len(cue.tokens) > 2):
                return begin > 0
        elif _ends_line(cue, sentence, begin, end):
            return True
        elif begin < 2 or sentence.tokens[begin - 1] not in _BEFORE_VALUE:
            return False
        ends = not after or sentence.kinds[end] is Kind.COMMA or after[0] in _AFTER_VALUE
        return ends or ":" in sentence.tokens[end : end + 4]
    return True


def _ends_line(cue: Cue, sentence: Sentence, begin: int, end: int) -> bool:
    """Return if a value is the last word of a short line of a form: ``Gout N``."""
    return (
        end == len(sentence.tokens)
        and 0 < begin <= _LONGEST_LABEL
        and sentence.starts_line
        and sentence.ends_line
        and len(cue.tokens) == 1
        and cue.tokens[0] in _ANSWERS
        and sentence.kinds[begin - 1] is Kind.WORD
    )


def _is_denial(cue: Cue, sentence: Sentence, begin: int, end: int) -> bool:
    """Return if a minus denies: ``fever (-)``, ``fever: -`` and ``+ cough, - fever``."""
    tokens = sentence.tokens
    if cue.tokens[0] == ",":
        return "+" in tokens
    before, after = tokens[max(begin - 1, 0)], tokens[end : end + 1]
    return (before == "(" and after == [")"]) or (begin > 1 and before == ":" and not after)
