"""Inclusion terms of codes.

The tabular list names further conditions under a code as its *inclusion terms* ("Non-Q wave
myocardial infarction NOS" under I21.4), and under a category as what it *includes* ("shingles"
under B02). Both are closer to the wording of notes than the official titles. Those of ICD-10-CM
are from the edition of April 2026, which is opened at the first use, not on import.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icdcli.icd.editions.edition import Edition, NoteKind

_TABULAR_LIST = "icd10cm-2026-04"
_NOS = re.compile(r",? NOS\b")
_WITH_SEVENTH = len("S52.366B")
_OPEN = 8


def inclusion_terms(code: str) -> tuple[str, ...]:
    """Return the inclusion terms of an ICD-10-CM code, without ``NOS``; most codes have none."""
    return terms_in(tabular_list(), code)


@cache
def tabular_list() -> "Edition":
    """Return the edition in this package that has the notes of NCHS's tabular list."""
    # pyarrow and numpy aren't needed to import this module
    from icdcli.icd.editions.catalog import bundled_edition

    return bundled_edition(_TABULAR_LIST)


def terms_in(edition: "Edition", code: str) -> tuple[str, ...]:
    """Return the inclusion terms of a code and what it includes, in the words of an edition.

    Args:
        edition: The edition.
        code: The code, as the edition writes it.

    Returns:
        The terms without ``NOS``, and without the title; most codes have none.
    """
    return _terms(edition).get(code, ())


@lru_cache(_OPEN)
def _terms(edition: "Edition") -> Mapping[str, tuple[str, ...]]:
    found: dict[int, list[str]] = {}
    kinds: tuple[NoteKind, ...] = ("terms", "includes")
    for kind in kinds:
        for row, texts in edition.noted(kind):
            found.setdefault(row, []).extend(_NOS.sub("", text) for text in texts)
    seventh = {row for row, _ in edition.noted("seventh")}
    terms: dict[str, tuple[str, ...]] = {}
    for row, named in found.items():
        code, title = edition.codes[row], edition.titles[row].lower()
        # The terms of a seventh character ("initial encounter for open fracture") are of no use
        # without those of the code that it is added to.
        if not edition.is_code(row) or (
            len(code) == _WITH_SEVENTH and not seventh.isdisjoint(edition.above(row))
        ):
            continue
        if own := tuple(dict.fromkeys(text for text in named if text.lower() != title)):
            terms[code] = own
    return MappingProxyType(terms)
