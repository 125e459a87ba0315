"""What is of the past: historical, or in a clause with a year that is no full date."""

from collections.abc import Sequence

from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.assertion.finder import FoundCue
from icdcli.lexical.assertion.sentences import Sentence
from icdcli.lexical.assertion.tokens import Kind, is_year
from icdcli.lexical.words import folded

_YEAR_BEFORE, _YEAR_AFTER = 20, 4
"""Words that may date a cue: ``in 2010 she had X, which``, ``resolved with treatment in 2010``."""
_LONGEST = 30
"""Words between what is dated and what says that it's over."""
_PRESENT = frozenset(
    folded(
        "since now currently today presents desde ahora actualmente hoy acude ingresa 현재"
    ).split()
)
"""Words of a clause that is of today, or lasts."""
_MONTH = folded("월")
_BEFORE_CLAUSE = frozenset(":()")


def is_past(
    sentence: Sentence, ranks: Sequence[int], stretch: tuple[int, int], cue: FoundCue
) -> bool:
    """Return if a stretch that a cue reaches is historical, or has a year that is no full date."""
    first, after = stretch
    if Assertion.HISTORICAL.rank in ranks[first:after]:
        return True
    last = min(max(after, cue.end) + _YEAR_AFTER, len(sentence.tokens))
    earliest = max(0, first - _YEAR_BEFORE)
    while first > earliest and sentence.kinds[first - 1] is not Kind.COMMA:
        first -= 1
    return any(_is_dated(sentence, place) for place in range(first, last))


def since_the_past(
    sentence: Sentence, ranks: Sequence[int], begin: int, cue: FoundCue
) -> tuple[int, int]:
    """Return the words from the clause that dates a cue to the cue; none if no clause does.

    "She was treated for gout in Rome in 1979, and declared cured" is over since 1979.

    Args:
        sentence: The sentence.
        ranks: The rank of the class of each of its tokens.
        begin: The first token after its header.
        cue: What says that something is over.
    """
    place, earliest = cue.begin, max(begin, cue.begin - _LONGEST)
    dated = False
    while place > earliest:
        before = place - 1
        if dated and (
            sentence.kinds[before] is Kind.COMMA or sentence.tokens[before] in _BEFORE_CLAUSE
        ):
            break
        if sentence.tokens[before] in _PRESENT:
            return cue.begin, cue.begin
        historical = ranks[before] == Assertion.HISTORICAL.rank
        dated = dated or historical or _is_dated(sentence, before)
        place = before
    return (place if dated else cue.begin), cue.begin


def _is_dated(sentence: Sentence, place: int) -> bool:
    """Return if a token is a year, and not one of a full date."""
    tokens = sentence.tokens
    if not is_year(tokens[place]):
        return False
    after = tokens[place + 1] if place + 1 < len(tokens) else ""
    return tokens[place - 1] != "/" and after != "-" and not after.endswith(_MONTH)
