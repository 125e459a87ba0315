"""Conventions of ICD-10-CM that no note of the tabular list says of a code.

They are from the ICD-10-CM Official Guidelines for Coding and Reporting (NCHS and CMS, in the
public domain); each has its section. The words of combination codes are those of the tabular list.
"""

import re
from typing import NamedTuple

from icdcli.icd.rules.findings import Severity

# External causes; the agents and resistances that B95 to B97 and Z16 add to another code; outcome
# of delivery, weeks of gestation and BMI.
_NEVER = re.compile(r"[V-Y]\d\d|B9[567]|Z16|Z37|Z3A|Z68")
_SEVERE_SEPSIS = re.compile(r"R65\.2")  # I.C.1.d.1.b
_MANIFESTATION = re.compile(r"\bin (?:\w+ )*?diseases? classified elsewhere\b", re.IGNORECASE)
_SEQUELA = re.compile(r", sequela$")
_UNDERDOSING = re.compile(r"^Underdosing of ")
_ADVERSE_EFFECT = re.compile(r"^Adverse effect of ")
# I.C.21.c.16: Z codes that may only be reported as the principal or first-listed diagnosis.
_ONLY_FIRST = re.compile(
    r"Z00(?!\.6)|Z0[124]|Z31\.8[134]|Z33\.2|Z3[489]|Z40|Z42|Z51\.[01]|Z52(?!\.9)|Z76\.[12]|Z99\.12"
)
# Tobacco and alcohol, which notes of whole chapters and many categories ask for.
_HABIT = re.compile(r"F1[07]|P9681|Z5731|Z720|Z7722|Z87891")
_MATERNAL, _NEWBORN = "O", "P"
MOTHER_AND_NEWBORN = {_MATERNAL, _NEWBORN}
"""The first letters of codes for mothers and newborns, which belong to different records."""


class Combination(NamedTuple):
    """Two conditions that one code names together.

    Attributes:
        code: The code to replace.
        other: The codes of the other condition, a regular expression.
        combined: The category or code of both; if it is the code itself, the other one is enough.
        section: The section of the guidelines.
    """

    code: re.Pattern[str]
    other: re.Pattern[str]
    combined: str
    section: str


def _rule(code: str, other: str, combined: str, section: str) -> Combination:
    return Combination(re.compile(code), re.compile(other), combined, section)


COMBINATIONS = (
    _rule(r"I10$", r"I50|I51\.[4-7]|I51\.89|I51\.9", "I11", "I.C.9.a.1"),
    _rule(r"I10$", r"N18|N26", "I12", "I.C.9.a.2"),
    _rule(r"I11", r"N18|N26", "I13", "I.C.9.a.3"),
    _rule(r"I12", r"I50|I51\.[4-7]|I51\.89|I51\.9", "I13", "I.C.9.a.3"),
    _rule(r"I10$", r"I1[123]", "I10", "I.C.9.a"),
    *(
        _rule(rf"{one}\.9$", r"N18", f"{one}.22", "I.A.15")
        for one in ("E08", "E09", "E10", "E11", "E13")
    ),
)


def is_manifestation(title: str) -> bool:
    """Return whether a code is a manifestation by its title."""
    return bool(_MANIFESTATION.search(title))


def never_principal(code: str, title: str) -> tuple[Severity, str] | None:
    """Return what a code is that can't be the principal diagnosis; None: it can."""
    if _NEVER.match(code):
        return "hard", "an external cause or an addition to another code"
    if _SEVERE_SEPSIS.match(code):
        return "hard", "severe sepsis, whose infection comes first"
    if is_manifestation(title):
        return "hard", "a manifestation"
    if _SEQUELA.search(title):
        return "hard", "a sequela, whose present condition comes first"
    if _UNDERDOSING.search(title):
        return "hard", "an underdosing, whose consequence comes first"
    if _ADVERSE_EFFECT.search(title):
        return "soft", "an adverse effect, whose nature comes first"
    return None


def only_principal(code: str) -> bool:
    """Return whether a code may be reported as the principal diagnosis only."""
    return bool(_ONLY_FIRST.match(code))


def is_habit(bare: str) -> bool:
    """Return whether a code, without its dot, is for the use of tobacco or alcohol."""
    return bool(_HABIT.match(bare))


def is_maternal(code: str) -> bool:
    """Return whether a code belongs to the mother's record: chapter 15."""
    return code.startswith(_MATERNAL)


def is_newborn(code: str) -> bool:
    """Return whether a code belongs to the newborn's record: chapter 16."""
    return code.startswith(_NEWBORN)
