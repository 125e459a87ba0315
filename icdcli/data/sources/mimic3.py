"""MIMIC-III v1.4: five raw tables, read as one document per admission.

Codes are read as strings, so that no leading zero is lost. They get their dot by the kind of their
table, so that diagnoses and procedures can't collide; unless a protocol defines the codes as an
older tool read them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from icdcli.data.benchmarks.protocols import (
    HADM_DIGIT,
    MIMIC3_50,
    MIMIC3_CLEAN,
    MIMIC3_FULL,
    MIMIC3_FULL_CAML,
    PATIENT,
    CodeFilter,
    Protocol,
    choose_protocol,
)
from icdcli.data.benchmarks.published_counts import PUBLISHED, other_rows
from icdcli.data.encounters.note_types import NoteTypes
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import Admission, Code
from icdcli.data.sources.admission_join import (
    AdmissionCodes,
    AdmissionNote,
    is_blank,
    join_admissions,
)
from icdcli.data.sources.admission_notes import RawNoteColumns, RawNotes, refuse_note_types
from icdcli.data.sources.caml_codes import CamlCodes, procedure_as_caml, with_spelled_evidence
from icdcli.data.sources.long_format.principals import read_principals, with_principals
from icdcli.data.sources.lost_zeros import refuse_lost_zeros
from icdcli.data.sources.mdace import MdaceAnnotations
from icdcli.data.sources.registry import ChosenSource, Match, SourceType, register
from icdcli.errors import DataError
from icdcli.icd.codes import System, dotted
from icdcli.io.csv_reader import Reading, read_header
from icdcli.io.raw_tables import find_tables, list_folder

CATEGORY = "Discharge summary"
CODE_TABLES = {"diagnosis": "DIAGNOSES_ICD", "procedure": "PROCEDURES_ICD"}
TITLE_TABLES = {"diagnosis": "D_ICD_DIAGNOSES", "procedure": "D_ICD_PROCEDURES"}
TABLES = ("NOTEEVENTS", *CODE_TABLES.values(), *TITLE_TABLES.values())


@dataclass(frozen=True)
class Mimic3Source:
    """The folder of the raw tables, ``.csv`` or ``.csv.gz``, with names in upper or lower case.

    Attributes:
        folder: The folder of the tables.
        reading: How they are read, and the counts collected on the way.
        mdace: Annotated evidence of some of the notes, if there is any.
        note_types: The categories of the notes to read, which are joined in the order of their
            times; None: discharge summaries, in the order of the file, as benchmarks do.
        ordered: Whether admissions have their principal diagnosis.
    """

    folder: Path
    reading: Reading = field(default_factory=Reading)
    mdace: MdaceAnnotations | None = None
    note_types: Sequence[str] | None = None
    ordered: bool = False

    system: System | None = "icd9"

    @cached_property
    def tables(self) -> dict[str, Path]:
        """Return the files of the five tables.

        Raises:
            DataError: If tables are missing; the message names all of them.
        """
        return find_tables(self.folder, TABLES)

    def files(self) -> list[Path]:
        """Return the files that the corpus depends on."""
        return [*self.tables.values(), *(self.mdace.files() if self.mdace else ())]

    @cached_property
    def titles(self) -> dict[Code, str]:
        """Return the codes of the data set's own D_ICD tables with their long titles."""
        found: dict[Code, str] = {}
        for kind, name in TITLE_TABLES.items():
            for chunk in self.reading.rows(self.tables[name], ("ICD9_CODE", "LONG_TITLE")):
                for raw, title in chunk:
                    found[self._code(raw, kind, name)] = title.strip()
        return found

    def admissions(self, protocol: Protocol, work: Path) -> Iterator[Admission]:
        """Join notes and codes; see `icdcli.data.sources.admission_join.join_admissions`.

        Args:
            protocol: Decides which notes and codes count.
            work: A private folder for temporary files.

        Raises:
            DataError: If a table can't be read.
        """
        codes = self._codes(protocol)
        notes = self._notes(protocol.note_description)
        keep = self._keep(protocol)
        admissions = join_admissions(
            *(self.reading, notes, codes, keep, work, protocol.count_rows),
            published=self.note_types is None,
        )
        if self.ordered:
            admissions = with_principals(admissions, self._principals(protocol))
        if self.mdace is None:
            return admissions
        annotated = self.mdace.attach(
            admissions, lambda raw, kind: _spelled(raw, kind, protocol.codes_as_caml)
        )
        return map(with_spelled_evidence, annotated) if protocol.codes_as_caml else annotated

    def _keep(self, protocol: Protocol) -> CodeFilter | None:
        """Return the filter of codes: the published list if the tables are those of its release."""
        count, published = protocol.keep_codes, protocol.published_codes
        if count is None or published is None:
            return count

        def keep(counts: Counter[Code]) -> set[Code]:
            counted = count(counts)
            rows = {table: self.reading.rows_read.get(self.tables[table], 0) for table in TABLES}
            if other_rows(protocol.name, rows):
                self.reading.choices["codes"] = (
                    f"the {len(counted)} codes with the most rows; the published list is for "
                    f"{PUBLISHED[protocol.name].release}"
                )
                return counted
            listed = {code for code in counts if code.code in published}
            others = sorted({code.code for code in counted} ^ published)
            self.reading.choices["codes"] = "the published list; counting rows gives " + (
                f"another one, which differs in {', '.join(others)}" if others else "the same codes"
            )
            return listed

        return keep

    def _codes(self, protocol: Protocol) -> AdmissionCodes:
        found = CamlCodes() if protocol.codes_as_caml else AdmissionCodes()
        for kind, name in CODE_TABLES.items():

            def spell(raw: str, kind: str = kind, name: str = name) -> Code | str:
                if not raw.strip():
                    return f"{kind} rows with an empty ICD9_CODE"
                code = self._code(raw, kind, name, protocol.codes_as_caml)
                outside = protocol.tabled_codes_only and code not in self.titles
                return f"{kind} rows with a code outside the D_ICD tables" if outside else code

            path = self.tables[name]
            raws = found.read(self.reading, path, ("HADM_ID", "ICD9_CODE"), spell)
            refuse_lost_zeros(path, "ICD9_CODE", raws, kind, self.titles)
        return found

    def _principals(self, protocol: Protocol) -> dict[str, str | None]:
        name = CODE_TABLES["diagnosis"]

        def spell(raw: str) -> Code | str:
            return self._code(raw, "diagnosis", name, protocol.codes_as_caml) if raw.strip() else ""

        columns, first = ("HADM_ID", "ICD9_CODE"), {"SEQ_NUM": "1"}
        return read_principals(self.reading, self.tables[name], columns, spell, first)

    def _notes(self, description: str | None) -> Iterator[AdmissionNote]:
        """Yield the protocol's notes."""
        table, any_note = self.tables["NOTEEVENTS"], False
        notes = RawNotes(self.reading, NoteTypes(self.note_types))
        # Annotations name notes by their ROW_ID, which must then be there.
        there = [*read_header(table), *(["ROW_ID"] if self.mdace else [])]
        about = RawNoteColumns(notes, there, "ROW_ID", "CATEGORY", ("CHARTTIME", "CHARTDATE"))
        columns = ("SUBJECT_ID", "HADM_ID", "DESCRIPTION", *about.columns, "TEXT")
        where = {"CATEGORY": CATEGORY} if self.note_types is None else {}
        for chunk in self.reading.notes(table, columns, where):
            for subject, id, note_description, *values, text in chunk:
                if description is not None and note_description != description:
                    self.reading.dropped[
                        f"discharge notes whose DESCRIPTION isn't {description}"
                    ] += 1
                elif (note := about.read(values)) is not None:
                    any_note = any_note or bool(id and not is_blank(text))
                    yield subject, id, note, text
        if self.note_types is not None:
            notes.finish()
            notes.types.require_known(f"{table}, column CATEGORY")
        if not any_note:
            wanted = f"CATEGORY {CATEGORY!r}" + (
                f" and DESCRIPTION {description!r}" if description else ""
            )
            if self.note_types is not None:
                wanted = "one of these types"
            raise DataError(
                f"{table}: no row has {wanted}, a HADM_ID and a text. Copy or download the "
                "complete table."
            )

    def _code(self, raw: str, kind: str, table: str, as_caml: bool = False) -> Code:
        try:
            return Code(_spelled(raw, kind, as_caml), kind)
        except ValueError as error:
            raise DataError(f"{self.tables[table]}: column ICD9_CODE: {error}") from error


def _spelled(raw: str, kind: str, as_caml: bool) -> str:
    return procedure_as_caml(raw) if as_caml and kind == "procedure" else dotted(raw, kind, "icd9")


_PROTOCOLS = (PATIENT, HADM_DIGIT, MIMIC3_FULL, MIMIC3_FULL_CAML, MIMIC3_50, MIMIC3_CLEAN)


def _recognizes(folder: Path) -> Match:
    names = [entry.name.lower() for entry in list_folder(folder)]
    if any(name.startswith("noteevents") for name in names):
        return Match.CERTAIN
    # Without its notes, so that the error names the missing table.
    tables = any(name.split(".", 1)[0].upper() in TABLES for name in names)
    return Match.POSSIBLE if tables else Match.NONE


def _open(config: DataConfig, reading: Reading) -> ChosenSource:
    protocol = choose_protocol("mimic3", _PROTOCOLS, config.protocol)
    annotations = MdaceAnnotations(config.evidence_path, reading) if config.evidence_path else None
    options: dict[str, Any] = (
        {} if protocol.is_benchmark else {"label_pruning": config.label_pruning}
    )
    if config.note_types is not None:
        refuse_note_types(protocol)
        options["note_types"] = config.note_types
    source = Mimic3Source(config.path, reading, annotations, config.note_types, config.principal)
    order = ("principal",) if config.principal else ()
    return ChosenSource("mimic3", source, protocol, options, order=order)


register(
    SourceType(
        name="mimic3",
        looks_like=f"a folder with {', '.join(TABLES)} as .csv or .csv.gz",
        protocols=_PROTOCOLS,
        recognizes=_recognizes,
        open=_open,
        own_options=("evidence_path", "note_types"),
        system="icd9",
    )
)
