"""Inclusion terms of ICD-10-CM codes, and titles that the table of assignable codes lacks.

The tabular list names further conditions under a code as its *inclusion terms* ("Non-Q wave
myocardial infarction NOS" under I21.4), which are closer to the wording of notes than the official
titles. It also has the titles of categories above the codes, and of codes newer than the table of
2024. All of them are in ``icd10cm_terms.tsv`` beside this file, from NCHS's tabular list of April
2026, which is in the public domain. The file is read at the first use, not on import. ICD-9-CM and
ICD-10-PCS have no such file here.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

_FILE = "icd10cm_terms.tsv"


def inclusion_terms(code: str) -> tuple[str, ...]:
    """Return the inclusion terms of an ICD-10-CM code, without ``NOS``; most codes have none."""
    return _terms().get(code, ())


def tabular_titles() -> Mapping[str, str]:
    """Return code to title, for titles that the table of assignable ICD-10-CM codes lacks."""
    return _titles()


@cache
def _terms() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for code, entry, text in _rows():
        if entry == "term":
            found[code] = (*found.get(code, ()), re.sub(r",? NOS\b", "", text))
    return MappingProxyType(found)


@cache
def _titles() -> Mapping[str, str]:
    return MappingProxyType({code: text for code, entry, text in _rows() if entry == "title"})


def _rows() -> list[list[str]]:
    text = files("icdcli.icd").joinpath(_FILE).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines()[1:]]
