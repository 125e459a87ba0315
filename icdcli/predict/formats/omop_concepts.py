"""The concepts of codes in OMOP's vocabularies: the tables CONCEPT and CONCEPT_RELATIONSHIP."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

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
    tables = concept_tables(folder)
    reading = OmopReading()
    sources: dict[tuple[str, str], int] = {}
    columns = ("vocabulary_id", "concept_id", "concept_code")
    for vocabulary, id, code in _rows(reading, tables["concept"], columns, _VOCABULARIES):
        sources[vocabulary, _plain(code)] = int(id)
    if not sources:
        raise DataError(
            f"{tables['concept']}: has no concept of {', '.join(_VOCABULARIES[:4])}. Download "
            "these vocabularies, too."
        )
    columns = ("concept_id_1", "concept_id_2", "invalid_reason")
    maps_to = {"relationship_id": _MAPS_TO}
    ours = map(str, sources.values())
    mapped = [
        (int(one), int(other))
        for one, other, invalid in _rows(
            reading, tables["concept_relationship"], columns, ours, maps_to
        )
        if not invalid
    ]
    wanted = {str(other) for _, other in mapped}
    rows = _rows(reading, tables["concept"], ("concept_id", "domain_id"), wanted)
    domains = {int(id): domain for id, domain in rows}
    standards: dict[tuple[str, int], list[int]] = {}
    for one, other in sorted(mapped):
        standards.setdefault((domains.get(other, ""), one), []).append(other)
    return Concepts(sources, standards)


def concept_tables(folder: Path) -> dict[str, Path]:
    """Return the files of the tables in a folder.

    Raises:
        DataError: If one is missing.
    """
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
    reading: OmopReading,
    path: Path,
    columns: Sequence[str],
    values: Iterable[str],
    where: dict[str, str] | None = None,
) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a table that have one of these values in the first column."""
    wanted = pa.array(values, pa.string())
    for arrays in reading.arrays(path, columns, where):
        found = pc.is_in(arrays[0], wanted)
        yield from zip(*(pc.filter(one, found).to_pylist() for one in arrays), strict=True)


def _plain(code: str) -> str:
    return code.replace(".", "").strip().upper()
