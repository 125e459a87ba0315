"""OMOP CDM 5.4: the notes of NOTE with the codes of CONDITION_OCCURRENCE, visit by visit.

A document is a visit: its notes joined in the order of their times. A code is what the source had:
by the source concept if the folder has the table CONCEPT, else the source value. Procedures count
if there is PROCEDURE_OCCURRENCE. The tables are CSV, compressed or not, or Parquet.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from icdcli.data.benchmarks.protocols import PATIENT, Protocol, choose_protocol
from icdcli.data.encounters.note_types import NoteTypes
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import Admission, Code
from icdcli.data.sources.admission_join import AdmissionCodes, AdmissionNote, join_admissions
from icdcli.data.sources.admission_notes import RawNoteColumns, RawNotes
from icdcli.data.sources.registry import ChosenSource, Match, SourceType, register
from icdcli.errors import DataError
from icdcli.icd.code_system import shape_of
from icdcli.icd.codes import System, dotted
from icdcli.icd.editions.catalog import is_in_an_edition
from icdcli.io.csv_reader import NoteRow, Reading, match_columns
from icdcli.io.fingerprints import file_hash
from icdcli.io.raw_tables import list_folder
from icdcli.io.tables.parquet import is_parquet, open_parquet, parquet_schema
from icdcli.io.tables.records import column_names

NOTE_TABLE, CONCEPT = "note", "concept"
CODE_TABLES_OF_OMOP = {"diagnosis": "condition", "procedure": "procedure"}
_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
_VISIT, _TYPE = "visit_occurrence_id", "note_class_concept_id"
VOCABULARIES_OF_OMOP: dict[tuple[System, str], tuple[str, ...]] = {
    ("icd10", "diagnosis"): ("ICD10CM",),
    ("icd10", "procedure"): ("ICD10PCS",),
    ("icd9", "diagnosis"): ("ICD9CM",),
    ("icd9", "procedure"): ("ICD9Proc",),
}
"""The vocabularies of CONCEPT with the codes of a coding system and kind."""
_PREFIX = re.compile(r"^ICD-?(9|10)[A-Za-z-]*\s*[:|/]\s*", re.IGNORECASE)
_ROWS_AT_ONCE = 4096


class OmopReading(Reading):
    """Reading of tables in CSV and in Parquet."""

    def arrays(
        self, path: Path, columns: Sequence[str], where: Mapping[str, str] | None = None
    ) -> Iterator[Sequence[pa.StringArray]]:
        """Read as `Reading.arrays`, whatever the format."""
        if not is_parquet(path):
            yield from super().arrays(path, columns, where)
            return
        names = list(parquet_schema(path).names)
        wanted = [*columns, *(where or ())]
        found = [names[place] for place in match_columns(path, names, wanted)]
        with open_parquet(path) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=list(dict.fromkeys(found))):
                made = [_texts(batch.column(name)) for name in found]
                for values, value in zip(made[len(columns) :], (where or {}).values(), strict=True):
                    kept = pc.equal(values, value)
                    made = [pc.filter(one, kept) for one in made]
                yield made[: len(columns)]
            self.rows_read[path] = file.metadata.num_rows
        self.hashes[path] = file_hash(path)

    def notes(
        self, path: Path, columns: Sequence[str], where: Mapping[str, str] | None = None
    ) -> Iterator[list[NoteRow]]:
        """Read as `Reading.notes`, whatever the format."""
        if not is_parquet(path):
            yield from super().notes(path, columns, where)
            return
        for arrays in self.arrays(path, columns, where):
            *others, texts = (one.to_pylist() for one in arrays)
            yield list(zip(*others, [text.encode() for text in texts], strict=True))


def _texts(values: pa.Array) -> pa.StringArray:
    """Return a column as strings; a missing value is an empty one, as in CSV."""
    if pa.types.is_floating(values.type):  # whole numbers with missing ones among them
        values = pc.cast(values, pa.int64(), safe=False)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return pc.fill_null(pc.cast(values, pa.string()), "")


@dataclass(frozen=True)
class OmopSource:
    """The folder of the tables.

    Attributes:
        folder: The folder.
        system: The coding system whose codes are read.
        reading: How the tables are read, and the counts collected on the way.
        note_types: The values of ``note_class_concept_id`` of the notes to read; None: all.
    """

    folder: Path
    system: System = "icd10"
    reading: Reading = field(default_factory=OmopReading)
    note_types: Sequence[str] | None = None

    @cached_property
    def tables(self) -> dict[str, Path]:
        """Return the files of the tables that are there.

        Raises:
            DataError: If one that is needed is missing, or two files fit one name.
        """
        found = _tables(self.folder)
        needed = (NOTE_TABLE, f"{CODE_TABLES_OF_OMOP['diagnosis']}_occurrence")
        missing = [name.upper() for name in needed if name not in found]
        if missing:
            raise DataError(
                f"{self.folder}: OMOP's table {' and '.join(missing)} is missing. Put it there as "
                f"{missing[0]}.csv, .csv.gz or .parquet."
            )
        return found

    def files(self) -> list[Path]:
        """Return the files that the corpus depends on."""
        return list(self.tables.values())

    @property
    def titles(self) -> dict[Code, str]:
        """Return nothing: titles are those of the editions."""
        return {}

    def admissions(self, protocol: Protocol, work: Path) -> Iterator[Admission]:
        """Join notes and codes; see `icdcli.data.sources.admission_join.join_admissions`.

        Args:
            protocol: Decides which codes count.
            work: A private folder for temporary files.

        Raises:
            DataError: If a table can't be read, or no code is of the coding system.
        """
        return join_admissions(
            self.reading, self._notes(), self._codes(), protocol.keep_codes, work
        )

    def _notes(self) -> Iterator[AdmissionNote]:
        table = self.tables[NOTE_TABLE]
        notes = RawNotes(self.reading, NoteTypes(self.note_types))
        names = column_names(table, self.reading)
        known = RawNoteColumns(notes, names, "note_id", _TYPE, ("note_datetime", "note_date"))
        columns = ("person_id", _VISIT, *known.columns, "note_text")
        for chunk in self.reading.notes(table, columns):
            for person, visit, *about, text in chunk:
                if (note := known.read(about)) is not None:
                    yield person, visit, note, text
        notes.finish()
        notes.types.require_known(f"{table}, column {_TYPE}")

    def _codes(self) -> AdmissionCodes:
        found = AdmissionCodes()
        for kind, start in CODE_TABLES_OF_OMOP.items():
            path = self.tables.get(f"{start}_occurrence")
            if path is None:
                continue
            concepts = self._concepts(kind)
            column = "source_value" if concepts is None else "source_concept_id"

            def spell(
                raw: str, kind: str = kind, concepts: dict[str, str] | None = concepts
            ) -> Code | str:
                written = raw.strip() if concepts is None else concepts.get(raw.strip(), "")
                return self._code(written, kind)

            found.read(self.reading, path, (_VISIT, f"{start}_{column}"), spell)
        if not found.admissions:
            raise DataError(
                f"{self.folder}: no row has a code of {self.system} and a {_VISIT}. Set "
                "code_system, or add the table CONCEPT if the codes are only concepts."
            )
        return found

    def _concepts(self, kind: str) -> dict[str, str] | None:
        """Return concept to code of the vocabularies of a kind; None: there is no CONCEPT."""
        path = self.tables.get(CONCEPT)
        if path is None:
            return None
        found: dict[str, str] = {}
        for vocabulary in VOCABULARIES_OF_OMOP[self.system, kind]:
            where = {"vocabulary_id": vocabulary}
            for ids, codes in self.reading.arrays(path, ("concept_id", "concept_code"), where):
                found.update(zip(ids.to_pylist(), codes.to_pylist(), strict=True))
        return found

    def _code(self, written: str, kind: str) -> Code | str:
        """Return a code, or why its rows are dropped."""
        reason = f"{kind} rows without a code of {self.system}"
        try:
            code = dotted(_PREFIX.sub("", written), kind, self.system)
        except ValueError:
            return reason
        return Code(code, kind) if is_in_an_edition(code, self.system) else reason


def _tables(folder: Path) -> dict[str, Path]:
    """Return the tables of a folder by their names in small letters.

    Raises:
        DataError: If two files fit one name, or the folder can't be read.
    """
    names = (
        NOTE_TABLE,
        CONCEPT,
        *(f"{start}_occurrence" for start in CODE_TABLES_OF_OMOP.values()),
    )
    found: dict[str, Path] = {}
    for path in sorted(list_folder(folder)):
        name = next(
            (one for one in names if path.name.lower() in {one + e for e in _ENDINGS}), None
        )
        if name is None:
            continue
        if name in found:
            raise DataError(
                f"{folder}: {found[name].name} and {path.name} could both be {name.upper()}. "
                "Remove or rename one."
            )
        found[name] = path
    return found


_PROTOCOLS = (PATIENT,)


def _recognizes(path: Path) -> Match:
    if not path.is_dir():
        return Match.NONE
    names = {file.name.lower().partition(".")[0] for file in list_folder(path)}
    return (
        Match.CERTAIN if f"{CODE_TABLES_OF_OMOP['diagnosis']}_occurrence" in names else Match.NONE
    )


def _open(config: DataConfig, reading: Reading) -> ChosenSource:
    protocol = choose_protocol("omop", _PROTOCOLS, config.protocol)
    system = (None if config.code_system is None else shape_of(config.code_system)) or "icd10"
    of_tables = OmopReading(**{one.name: getattr(reading, one.name) for one in fields(reading)})
    options: dict[str, Any] = {"code_system": system, "notes": "by time"}
    if config.note_types is not None:
        options["note_types"] = config.note_types
    source = OmopSource(config.path, system, of_tables, config.note_types)
    return ChosenSource("omop", source, protocol, options)


register(
    SourceType(
        name="omop",
        looks_like="a folder with OMOP's note and condition_occurrence (also "
        "procedure_occurrence and concept), as .csv, .csv.gz or .parquet",
        protocols=_PROTOCOLS,
        recognizes=_recognizes,
        open=_open,
        is_file=None,  # a folder, which could be one table if all its files are Parquet
        own_options=("note_types",),
    )
)
