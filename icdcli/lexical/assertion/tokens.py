"""The tokens of a text in which cues are looked for: words, signs and breaks.

Cues and texts are cut by the same rule, so that a cue such as ``r/o`` or ``( - )`` is a sequence of
tokens like any other.
"""

import re
import unicodedata
from enum import IntEnum

from icdcli.lexical.words import MARKS, folded


class Kind(IntEnum):
    """What a token is for the scope of a cue."""

    WORD = 0
    SIGN = 1
    """A bracket, a slash, a colon, a dash or a box; a cue may contain it."""
    COMMA = 2
    STOP = 3
    """The end of a sentence."""
    BREAK = 4
    """White space with a line end, which may end a sentence."""


_LETTERS = rf"[^\W_]+(?:[\u0300-\u036f{MARKS}]+[^\W_]*)*"
# A full stop ends a sentence only before white space: not in 3.5 or e.g. A gap of columns in a line
# separates a label from its value, as a colon does.
TOKEN = re.compile(
    rf"{_LETTERS}(?:['’][^\W_]+)?\*?"
    r"|[\[(<](?:[ _]{0,3}| ?[xXvV✓✔√•●]{1,2} ?)[\])>]"
    r"|[-=]+>|[→⇒]"
    r"|\s*\n\s*|\t+| {3,}|\.{4,}|\.(?:(?=\s|$)|\.+(?=[^\s.]))"
    r"|[;!,:?¿%()\[\]/=+\-–—|☐□▢⬜☑☒✓✔√■▣✗✘、。・]"
)
_PLAIN = re.compile("[a-z0-9]+(?: [a-z0-9]+)*")
EMPTY, CHECKED = "☐", "☑"
"""The tokens of all boxes to check, ``[ ]``, and of all checked ones, ``[x]``."""
_KINDS = {
    **dict.fromkeys(".!;。", Kind.STOP),
    **dict.fromkeys(",、", Kind.COMMA),
}
# Spanish words that without their accent are others: yes, he and mommy; if, the and breast.
_OTHER_WORDS = frozenset({"sí", "él", "mamá"})
_YEAR_UNIT, _BORN = folded("년"), folded("년생")
_SAME_SIGNS = {
    **{"–": "-", "—": "-", "=": ":", "|": ":", "・": "/", "✘": "✗"},
    **dict.fromkeys("□▢⬜", EMPTY),
    **dict.fromkeys("☒✓✔√■▣", CHECKED),
}


def is_year(token: str) -> bool:
    """Return if a token is a year of somebody's life: ``1999`` or ``1999년``."""
    year, unit = token[:4], token[4:]
    named = year.isdigit() and len(year) == 4 and year[:2] in ("19", "20")
    return named and (not unit or (unit.startswith(_YEAR_UNIT) and unit != _BORN))


def token_of(text: str) -> tuple[str, Kind]:
    """Return the token and the kind of what `TOKEN` matched: a folded word, a sign or a break."""
    if text.isascii() and text.isalnum():  # most words
        return text.lower(), Kind.WORD
    first = text[0]
    if first.isspace():
        return ("\n", Kind.BREAK) if "\n" in text else (":", Kind.SIGN)
    if text.startswith("..") or (text[-1] in ">→⇒" and first in "-=→⇒"):  # "penicillin -> rash"
        return ":", Kind.SIGN
    if first in _KINDS:
        return first, _KINDS[first]
    if len(text) == 1 and not first.isalnum():
        return _SAME_SIGNS.get(first, first), Kind.SIGN
    if first in "[(<":
        return (CHECKED if text.strip("[]()<> _") else EMPTY), Kind.SIGN
    word = unicodedata.normalize("NFC", text.lower())
    if word in _OTHER_WORDS:
        return word, Kind.WORD
    return folded(word).replace("’", "'"), Kind.WORD


def cue_tokens(cue: str) -> tuple[str, ...]:
    """Return a cue's tokens; ``*`` at the end of a word stays: it stands for any ending."""
    if _PLAIN.fullmatch(cue):  # most cues
        return tuple(cue.split(" "))
    return tuple(token_of(match.group())[0] for match in TOKEN.finditer(cue))
