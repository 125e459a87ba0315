"""Clinical abbreviations, with their sense by context if they have several.

    abbreviation   expansion             code     context
    MS             multiple sclerosis    G35      demyelinating, interferon, neurology
    MS             mitral stenosis       I05.0    valve, murmur, echo, rheumatic
    MS             mental status

The sense without context words is the usual one.
"""

from collections.abc import Collection, Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from icdcli.icd.lexicon.tables import rows


class Sense(NamedTuple):
    """What an abbreviation stands for.

    Attributes:
        expansion: The words in full.
        code: The ICD-10-CM code or category of the condition; empty if it is none.
        context: Words, in lower case, near which it has this sense; none for the usual sense.
    """

    expansion: str
    code: str
    context: tuple[str, ...]


@cache
def abbreviations(language: str) -> Mapping[str, tuple[Sense, ...]]:
    """Return abbreviation, as it is usually written, to its senses, the usual one first.

    Args:
        language: ``en``, ``es`` or ``ko``.

    Raises:
        ValueError: The language has no table.
    """
    found: dict[str, tuple[Sense, ...]] = {}
    for short, expansion, code, context in rows("abbreviations", language):
        words = tuple(word.strip() for word in context.split(",") if word.strip())
        found[short] = (*found.get(short, ()), Sense(expansion, code, words))
    usual_first = {
        short: tuple(sorted(senses, key=lambda sense: bool(sense.context)))
        for short, senses in found.items()
    }
    return MappingProxyType(usual_first)


def sense_of(senses: tuple[Sense, ...], words: Collection[str]) -> Sense:
    """Return the sense of which most context words are near; the usual one if none is.

    Args:
        senses: The senses of an abbreviation, the usual one first.
        words: The words around it, in lower case.
    """
    return max(senses, key=lambda sense: sum(word in words for word in sense.context))
