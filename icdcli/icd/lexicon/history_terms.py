"""The diseases that a code of a history is about: ``Z80.3`` and ``V16.3`` are about breast cancer.

    system    code     diseases
    icd10     Z80.3    C50 D05

The table, ``histories.tsv``, has ICD-10-CM categories, ranges of them (``C15-C26``), and codes. It
follows the inclusion notes of the official tabular lists ("Conditions classifiable to C50"), and
leaves out what lasts: who had diabetes still has it. A row counts for the code and for all below
that have no row of their own.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from icdcli.icd.lexicon.synonyms import expansions_of, synonyms
from icdcli.icd.lexicon.tables import LANGUAGES
from icdcli.icd.terms import inclusion_terms
from icdcli.icd.titles import tabular_titles, titles

_LONGEST = 5
"""Characters of a code whose terms count; longer ones have titles that nobody writes."""


def history_terms(code: str, system: str, language: str) -> tuple[str, ...]:
    """Return the terms for the diseases that a code of a history is about.

    Args:
        code: The dotted code of the history.
        system: ``icd9`` or ``icd10``.
        language: The language of the synonyms; titles are in English.

    Returns:
        Titles, inclusion terms, synonyms, and what abbreviations stand for; nothing if no disease
        is known.
    """
    found: dict[str, None] = {}
    for part in diseases_of(code, system):
        begin, _, end = part.partition("-")
        for disease, terms in _terms(language).items():
            category = disease[:3]
            if begin <= category <= end if end else (disease + ".").startswith(begin):
                found |= dict.fromkeys(terms)
    return tuple(found)


def diseases_of(code: str, system: str) -> tuple[str, ...]:
    """Return the categories, ranges and codes of the diseases that a code of a history is about."""
    rows = _diseases()
    for end in range(len(code), 2, -1):
        if (found := rows.get((system, code[:end]))) is not None:
            return found
    return ()


@cache
def _diseases() -> Mapping[tuple[str, str], tuple[str, ...]]:
    text = files("icdcli.icd.lexicon").joinpath("histories.tsv").read_text("utf-8")
    cells = (line.split("\t") for line in text.splitlines()[1:])
    return MappingProxyType({(system, code): tuple(of.split(" ")) for system, code, of in cells})


@cache
def _terms(language: str) -> Mapping[str, tuple[str, ...]]:
    """Return the terms of each ICD-10-CM diagnosis and category that isn't too long."""
    official = {**tabular_titles(), **titles("icd10", "diagnosis")}
    known = synonyms(language) if language in LANGUAGES else {}
    return MappingProxyType(
        {
            code: (
                *([official[code]] if code in official else []),
                *inclusion_terms(code),
                *known.get(code, ()),
                *expansions_of(code, "diagnosis", "icd10", language),
            )
            for code in sorted({*official, *known})
            if len(code) <= _LONGEST or code in known
        }
    )
