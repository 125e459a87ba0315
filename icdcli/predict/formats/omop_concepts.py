"""The concepts of codes in OMOP's vocabularies: the tables CONCEPT and CONCEPT_RELATIONSHIP."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from icdcli.data.sources.omop import OmopReading
from icdcli.errors import DataError
from icdcli.io.raw_tables import list_folder

_TABLES = ("concept", "concept_relationship")
_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
_VOCABULARIES = ("ICD10CM", "ICD9CM", "ICD10PCS", "ICD9Proc", "ICD10", "ICD10GM")
_MAPS_TO = "Maps to"


@dataclass(frozen=True)
class Concepts:
    """The concepts of codes.

    Attributes:
        sources: Vocabulary and code without its dot to the concept of the code.
        standards: Domain and concept of a code to the standard concepts that it maps to.
    """

    sources: dict[tuple[str, str], int]
    standards: dict[tuple[str, int], list[int]]

    def source(self, vocabulary: str | None, code: str) -> int:
        """Return the concept of a code; 0: there is none."""
        return self.sources.get((vocabulary or "", _plain(code)), 0)

    def standard(self, domain: str, concept: int) -> list[int]:
        """Return the standard concepts that a code's concept maps to; 0 alone: there are none."""
        return self.standards.get((domain, concept)) or [0]


def read_concepts(folder: Path) -> Concepts:
    """Read a folder with CONCEPT and CONCEPT_RELATIONSHIP, as Athena exports them.

    Raises:
        DataError: If a table is missing or can't be read.
    """
    tables = _tables(folder)
    reading = OmopReading()
    sources: dict[tuple[str, str], int] = {}
    columns = ("concept_id", "concept_code")
    for vocabulary in _VOCABULARIES:
        where = {"vocabulary_id": vocabulary}
        for id, code in _rows(reading, tables["concept"], columns, where):
            sources[vocabulary, _plain(code)] = int(id)
    if not sources:
        raise DataError(
            f"{tables['concept']}: has no concept of {', '.join(_VOCABULARIES[:4])}. Download "
            "these vocabularies, too."
        )
    ours = {*map(str, sources.values())}
    related = ("concept_id_1", "concept_id_2", "invalid_reason")
    mapped = [
        (int(one), int(other))
        for one, other, invalid in _rows(
            reading, tables["concept_relationship"], related, {"relationship_id": _MAPS_TO}
        )
        if one in ours and not invalid
    ]
    wanted = {str(other) for _, other in mapped}
    domains: dict[int, str] = {}
    for id, domain in _rows(reading, tables["concept"], ("concept_id", "domain_id"), {}):
        if id in wanted:
            domains[int(id)] = domain
    standards: dict[tuple[str, int], list[int]] = {}
    for one, other in sorted(mapped):
        standards.setdefault((domains.get(other, ""), one), []).append(other)
    return Concepts(sources, standards)


def _tables(folder: Path) -> dict[str, Path]:
    there = {path.name.lower(): path for path in list_folder(folder)}
    found = {
        name: there[name + ending]
        for name in _TABLES
        for ending in reversed(_ENDINGS)
        if name + ending in there
    }
    for name in _TABLES:
        if name not in found:
            raise DataError(
                f"{folder}: OMOP's table {name.upper()} is missing. Put it there as "
                f"{name.upper()}.csv, .csv.gz or .parquet."
            )
    return found


def _rows(
    reading: OmopReading, path: Path, columns: Sequence[str], where: dict[str, str]
) -> Iterator[tuple[str, ...]]:
    for arrays in reading.arrays(path, columns, where):
        yield from zip(*(one.to_pylist() for one in arrays), strict=True)


def _plain(code: str) -> str:
    return code.replace(".", "").strip().upper()
