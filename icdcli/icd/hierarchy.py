"""The chapter and the block of a code, which group thousands of codes into a few hundred or twenty.

Both are found by range, so categories above the codes (``428``) and retired codes have them too.
The ranges and titles are in ``hierarchy.tsv`` beside this file, in official order. They come from
public-domain tables: the ICD-9-CM tabular lists of NCHS and CMS (volumes 1 and 3, in their last
form), NCHS's ICD-10-CM tabular list of April 2026 and CMS's ICD-10-PCS tables of 2024. The file is
read at the first use, not on import.

A block is, for diagnoses, a section of the tabular list: the innermost if sections are nested, the
chapter itself if it has none (ICD-9-CM 280-289 and 740-759). For ICD-9-CM procedures it is the
two-digit category, for ICD-10-PCS the body system, including ``XV``, which only earlier years have.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from icdcli.icd.codes import check_system

# The shape of a complete code; its first group is the part that a range is compared with.
_SHAPES = {
    ("icd9", "diagnosis"): r"([0-9]{3}|V[0-9]{2}|E[0-9]{3})(?:\.[0-9]{1,2})?",
    ("icd9", "procedure"): r"([0-9]{2})(?:\.[0-9]{1,2})?",
    ("icd10", "diagnosis"): r"([A-Z][A-Z0-9]{2})(?:\.[A-Z0-9]{1,4})?",
    ("icd10", "procedure"): r"([A-Z0-9]{1,2})[A-Z0-9]{0,5}",
}

# A letter sorts after every digit. That is the right place for all ICD-10-CM categories with a
# letter but these, which the tabular list has after the category given here.
_LISTED_AFTER = {"C4A": "C43", "M1A": "M10", "Z3A": "Z39"}


class Group(NamedTuple):
    """A chapter or a block of a coding system."""

    id: str
    """The official range (``390-459``, ``I00-I99``), or one category (``B20``, ``042``; but
    ``00-00`` and ``17-17`` for these chapters of ICD-9-CM procedures, which differ so from their
    only block). For ICD-10-PCS the first characters of the codes: ``0``, ``02``."""
    title: str
    """The official title, without the range."""


def chapter_of(code: str, kind: str, system: str) -> Group | None:
    """Return the chapter of a code; for ICD-10-PCS, its section.

    Args:
        code: The dotted code, or a category above codes.
        kind: ``diagnosis`` or ``procedure``.
        system: ``icd9`` or ``icd10``.

    Returns:
        The chapter; None if it is not a code of that kind and system, or is outside every chapter.

    Raises:
        ValueError: If the system or kind is unknown.
    """
    return _group_of(code, "chapter", kind, system)


def block_of(code: str, kind: str, system: str) -> Group | None:
    """Return the block of a code: its section, two-digit category or body system.

    Args:
        code: The dotted code, or a category above codes.
        kind: ``diagnosis`` or ``procedure``.
        system: ``icd9`` or ``icd10``.

    Returns:
        The block; None if it is not a code of that kind and system, or is between the blocks.

    Raises:
        ValueError: If the system or kind is unknown.
    """
    return _group_of(code, "block", kind, system)


def chapters(system: str, kind: str) -> tuple[Group, ...]:
    """Return all chapters of a coding system.

    Args:
        system: ``icd9`` or ``icd10``.
        kind: ``diagnosis`` or ``procedure``.

    Returns:
        The chapters in official order: 19 for ICD-9-CM diagnoses (with the V and E supplements) and
        18 for its procedures, 22 for ICD-10-CM, 17 for ICD-10-PCS.

    Raises:
        ValueError: If the system or kind is unknown.
    """
    check_system(kind, system)
    return _tables()[system, kind, "chapter"]


def _group_of(code: str, level: str, kind: str, system: str) -> Group | None:
    check_system(kind, system)
    shape = re.fullmatch(_SHAPES[system, kind], code)
    return _group_at(shape[1], level, kind, system) if shape else None


@cache
def _group_at(category: str, level: str, kind: str, system: str) -> Group | None:
    category = _LISTED_AFTER.get(category, category)
    # The first matching range in official order. D3A is also within D37-D48, but comes before it.
    for group in _tables()[system, kind, level]:
        first, last = group.id.partition("-")[0], group.id.rpartition("-")[2]
        if first <= category[: len(first)] <= last:
            return group
    return None


@cache
def _tables() -> Mapping[tuple[str, str, str], tuple[Group, ...]]:
    """Return the groups of each (system, kind, level), in official order."""
    tables: dict[tuple[str, str, str], tuple[Group, ...]] = {}
    for line in (
        files("icdcli.icd").joinpath("hierarchy.tsv").read_text(encoding="ascii").splitlines()[1:]
    ):
        system, kind, level, identifier, title = line.split("\t")
        tables[system, kind, level] = (
            *tables.get((system, kind, level), ()),
            Group(identifier, title),
        )
    return tables
