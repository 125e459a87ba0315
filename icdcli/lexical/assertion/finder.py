"""The cues of a sentence: the longest that begin at each of its words, and fit there."""

from typing import NamedTuple

from icdcli.lexical.assertion.cues import YEAR, Cue, Node
from icdcli.lexical.assertion.sentences import Sentence
from icdcli.lexical.assertion.tokens import Kind, is_year

_KNOWN_WORDS = 200_000
_BEFORE_VALUE = frozenset(":-(")
_BULLETS = frozenset("-+[](:/")
_LONE_MINUS = (("-",), (",", "-"))
"""Cues that are often a mere dash."""


class FoundCue(NamedTuple):
    """A cue in a sentence: tokens ``begin`` to ``end``, half-open."""

    begin: int
    end: int
    cue: Cue


class CueFinder:
    """Finds the cues of sentences; remembers which words begin one."""

    def __init__(self, cues: Node) -> None:
        self._cues = cues
        self._begins_cue: dict[str, bool] = {}

    def find(self, sentence: Sentence) -> list[FoundCue]:
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


def _next(node: Node, token: str) -> list[Node]:
    """Return the nodes after a token: that of the word itself first, then those of beginnings."""
    nodes = [node.words[token]] if token in node.words else []
    nodes += [after for begin, after in node.beginnings.items() if token.startswith(begin)]
    if YEAR in node.words and is_year(token):
        nodes.append(node.words[YEAR])
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
        if begin < 2 - (cue.tokens[0] == ","):
            return False
        if cue.tokens[0] != "," and sentence.tokens[begin - 1] not in _BEFORE_VALUE:
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
