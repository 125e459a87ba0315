"""The tables of cues: words that deny, date or doubt a finding, or attribute it to somebody else.

    cue                assertion      scope
    no evidence of     negated        forward
    was ruled out      hypothetical   backward

A table is a TSV file with these columns. ``cues_en.tsv``, ``cues_es.tsv`` and ``cues_ko.tsv`` are
in this folder. They were written for icdcode from general knowledge of clinical language, with the
classes of ConText (Harkema et al. 2009, doi:10.1016/j.jbi.2009.05.002) and the kinds of triggers of
NegEx (Chapman et al. 2001, doi:10.1006/jbin.2001.1029).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Literal, get_args

from icdcli.errors import DataError, nearest
from icdcli.io.files import read_own_file
from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.assertion.tokens import cue_tokens

LANGUAGES = ("en", "es", "ko")
"""The languages that have a table of cues."""

YEAR, NUMBER = "yyyy", "<number>"
"""What stands for any year and any number in a cue."""

ANY = "<any>"
"""What stands for any word amid a cue: ``friend from <any> has``."""

END = "<end>"
"""What stands for the end of a clause, at the end of a cue: ``was never found <end>``."""

Scope = Literal[
    "forward",
    "study",
    "next",
    "backward",
    "item",
    "both",
    "beside",
    "between",
    "adjective",
    "dated",
    "past",
    "value",
    "self",
    "section",
    "stop",
    "predicate",
    "clause",
    "separator",
    "normal",
    "none",
    "word",
]
"""What a cue reaches.

- ``forward``: the words after it, to the end of its clause or list.
- ``study``: as ``forward``, if a ``normal`` result comes after it in its sentence or in the next
  (``CT for gout: normal``).
- ``next``: the words after it, to the end of the item of a list or to the next cue that has an
  assertion (``allergic to penicillin, asthma``).
- ``backward``: the words before it. ``affirmed``: what was possible isn't any more
  (``suspected gout, confirmed by``), also at the end of the sentence before it.
- ``item``: the words before it in its item of a list (``liver tender, spleen not palpable``).
- ``both``: the words before and after it; only those after it if it begins an item of a list.
- ``beside``: the words after it, or the item before it if there are none (``possible gout``,
  ``gout possible``).
- ``between``: the item before it and the words after it, if there are both (``gout vs. sepsis``).
- ``adjective``: the words after it if it begins an item (``absent pulses``), else the item before
  it (``pulses absent``) and those that "and" or "or" joins to it.
- ``dated``: the words before it if they are of the past: historical, or in a sentence with a year.
- ``past``: the words after it as for ``next``, if they are of the past (``appendectomy for``).
- ``value``: the label before it (``Fever: no``, ``fever - none``, ``fever (denied)``), or the item
  of a list before it if the cue begins with a comma (``, resolved``) or a bracket
  (``fever [ ] yes [x] no``).
- ``self``: the words of the cue (``penicillin: anaphylaxis``).
- ``section``: the section of which it is the header. Without an assertion, it ends another section;
  ``affirmed``: it is also about this encounter, where "resolved" is no sign of the past. A header
  begins a line or a sentence. Before a colon, it may also be amid a sentence if its last word is of
  the group ``<header>``, or of ``<title>`` and isn't its only word.
- ``stop``: nothing; it ends the scope of other cues, with an assertion those of this assertion.
- ``predicate``: a ``stop`` and a ``clause`` (``denies fever, has cough``).
- ``clause``: nothing; a verb that shows that an item of a list is a clause of its own.
- ``separator``: nothing; a word between the items of a list, like a comma.
- ``normal``: nothing; the result of a study.
- ``none``: nothing; the words look like a cue, but aren't (``no increase``).
- ``word``: nothing; the word is one of those for which other cues have the name in the assertion
  column in angle brackets (``mother``, ``kin``: ``in her <kin>``).
"""

BOUND: frozenset[Scope] = frozenset(("section", "value"))
"""The scopes of cues that count at some places only: a header begins a line."""

_COLUMNS = ("cue", "assertion", "scope")
_WITHOUT_ASSERTION = frozenset(
    {"section", "stop", "predicate", "clause", "separator", "normal", "none"}
)
_GROUP = re.compile(r"(<\w+>)")
_GROUP_OR_NOT = re.compile(r"(<\w+>\??)")
_SCOPES: dict[str, Scope] = {scope: scope for scope in get_args(Scope)}
_ASSERTIONS = {assertion.label: assertion for assertion in Assertion}


@dataclass(frozen=True, slots=True)
class Cue:
    """A cue of a table.

    Attributes:
        tokens: Its tokens, folded; a word that ends with ``*`` stands for all words that begin so,
            ``yyyy`` for any year, ``<any>`` for any word, ``<kin>`` for all words of this group,
            and ``<end>`` for the end of a clause. ``<kin>?`` in a table makes two cues, one without
            the group.
        assertion: The class of what it reaches; None if it has no class.
        scope: What it reaches.
    """

    tokens: tuple[str, ...]
    assertion: Assertion | None
    scope: Scope


@dataclass
class Node:
    """A place in the tree of cues: those that end here, and what may follow.

    Attributes:
        cues: The cues whose tokens lead here, at most one per scope.
        words: The next node for each next token.
        beginnings: The same for tokens with ``*``, without it.
        any_word: The next node whatever the next word is.
        at_end: The node of the cues that end here if a clause does.
        groups: At the root: the groups of each word that belongs to one, such as ``<kin>``.
    """

    cues: dict[Scope, Cue] = field(default_factory=dict)
    words: dict[str, "Node"] = field(default_factory=dict)
    beginnings: dict[str, "Node"] = field(default_factory=dict)
    any_word: "Node | None" = None
    at_end: "Node | None" = None
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def anywhere(self) -> list[Cue] | None:
        """Return the cues that end here if each fits wherever its words are; else None."""
        cues = [*self.cues.values()]
        bound = (cue.scope in BOUND or cue.tokens[-1] == "-" for cue in cues)
        return None if any(bound) else cues

    @cached_property
    def goes_on(self) -> bool:
        """Return if a cue has more words."""
        return bool(self.words or self.beginnings or self.any_word)


def built_in_cues(language: str) -> str:
    """Return the content of a language's table; empty if it has none."""
    if language not in LANGUAGES:
        return ""
    table = files("icdcli.lexical.assertion").joinpath(f"cues_{language}.tsv")
    return table.read_text(encoding="utf-8")


def read_own_cues(path: Path) -> str:
    """Return the content of a user's table, after checking every row.

    Raises:
        ConfigError: It can't be read.
        DataError: It isn't UTF-8, or has a bad row.
    """
    content = read_own_file(path, "the assertion cues")
    load_cues(content, str(path))
    return content.rstrip("\n") + "\n"


def load_cues(content: str, name: str = "the table of cues") -> Node:
    """Return the tree of the cues of a table.

    Args:
        content: Its content. It may be several tables, one after another: a row replaces earlier
            ones of the same cue.
        name: What messages call it.

    Raises:
        DataError: A row is bad, or the header is missing.
    """
    root = Node()
    needed: dict[str, str] = {}
    for where, cue in _parsed(content, name):
        if isinstance(cue, Cue):
            _add(root, cue)
            for token in cue.tokens:
                if token[0] == "<" and _GROUP.fullmatch(token):
                    needed[token] = where
        else:
            word, group = cue
            root.groups[word] = (*root.groups.get(word, ()), group)
    known = {YEAR, NUMBER, ANY, END}.union(*root.groups.values())
    for group, where in needed.items():
        if group not in known:
            raise DataError(
                f"{where}: no word of the table belongs to {group}{nearest(group, known)}. "
                f"Add rows such as: mother, {group.strip('<>')}, word."
            )
    return root


def _parsed(text: str, name: str) -> Iterator[tuple[str, Cue | tuple[str, str]]]:
    """Yield the place of each row, and its cue or its word with a group; see the top of this file.

    Raises:
        DataError: A row is bad; the message has its number and what to do.
    """
    lines = text.splitlines()
    header = "\t".join(_COLUMNS)
    if not lines or lines[0] != header:
        raise DataError(
            f"{name}: the first line must be the tab-separated header cue, assertion, scope."
        )
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip() or line.startswith("#") or line == header:
            continue
        where = f"{name}, line {number}"
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != len(_COLUMNS):
            raise DataError(f"{where}: {len(cells)} columns, expected 3, separated by tabs.")
        cue, assertion, scope = cells
        choices = _choices(cue)
        for tokens in choices:
            if not tokens or "\n" in tokens:
                raise DataError(f"{where}: the cue has no word. Fill in or delete the row.")
            if ANY in (tokens[0], tokens[-1]):
                raise DataError(f"{where}: {ANY} stands amid a cue, between words.")
            if END in tokens[:-1] or tokens == (END,):
                raise DataError(f"{where}: {END} stands at the end of a cue, after its words.")
        if scope != "word":
            for tokens in choices:
                yield where, Cue(tokens, _assertion(assertion, scope, where), _scope(scope, where))
            continue
        group, tokens = f"<{assertion}>", choices[0]
        if len(tokens) > 1 or not _GROUP.fullmatch(group):
            raise DataError(f"{where}: a row of a group has one word and the name of the group.")
        yield where, (tokens[0], group)


@cache
def _choices(cue: str) -> list[tuple[str, ...]]:
    """Return the tokens of a cue, once with and once without each group that may be missing.

    Tables that differ in their assertions only have the same cues.
    """
    if "<" not in cue:
        return [cue_tokens(cue)]
    pieces: list[list[tuple[str, ...]]] = []
    for piece in _GROUP_OR_NOT.split(cue):
        group = piece.rstrip("?")
        if not _GROUP.fullmatch(group):
            pieces.append([cue_tokens(piece)])
        else:
            pieces.append([(group,)] if piece == group else [(group,), ()])
    return [tuple(token for part in parts for token in part) for parts in product(*pieces)]


def _scope(scope: str, where: str) -> Scope:
    known = _SCOPES.get(scope)
    if known is None:
        raise DataError(
            f"{where}: unknown scope {scope!r}{nearest(scope, _SCOPES)}. "
            f"Write one of {', '.join(_SCOPES)}."
        )
    return known


def _assertion(assertion: str, scope: str, where: str) -> Assertion | None:
    if assertion in ("", "-"):
        if scope in _WITHOUT_ASSERTION:
            return None
        raise DataError(f"{where}: the scope {scope!r} needs an assertion, such as negated.")
    if assertion not in _ASSERTIONS:
        raise DataError(
            f"{where}: unknown assertion {assertion!r}{nearest(assertion, _ASSERTIONS)}. "
            f"Write one of {', '.join(_ASSERTIONS)}."
        )
    return _ASSERTIONS[assertion]


def _add(root: Node, cue: Cue) -> None:
    node = root
    for token in cue.tokens:
        if token == ANY:
            node.any_word = node = node.any_word or Node()
            continue
        if token == END:
            node.at_end = node = node.at_end or Node()
            continue
        branches = node.words
        if len(token) > 1 and token.endswith("*"):
            branches, token = node.beginnings, token.rstrip("*")
        if (following := branches.get(token)) is None:
            following = branches[token] = Node()
        node = following
    # A header and a value stand apart from the other words; any other scope replaces the last.
    if node.cues and cue.scope not in BOUND:
        for scope in set(node.cues) - BOUND:
            del node.cues[scope]
    node.cues[cue.scope] = cue
