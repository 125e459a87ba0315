"""MIMIC-IV: ``hosp/`` with the codes of two ICD versions, ``note/`` with the discharge notes.

A protocol reads one ICD version; codes of the other version are ignored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from icdcli.data.benchmarks.protocols import (
    MIMIC4_ICD9,
    MIMIC4_ICD10,
    PATIENT,
    Protocol,
    choose_protocol,
)
from icdcli.data.encounters.note_types import NoteTypes
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import Admission, Code
from icdcli.data.sources.admission_join import AdmissionCodes, AdmissionNote, join_admissions
from icdcli.data.sources.admission_notes import RawNoteColumns, RawNotes, refuse_note_types
from icdcli.data.sources.long_format.principals import read_principals, with_principals
from icdcli.data.sources.lost_zeros import refuse_lost_zeros
from icdcli.data.sources.registry import ChosenSource, Match, SourceType, register
from icdcli.errors import DataError
from icdcli.icd.code_system import shape_of
from icdcli.icd.codes import System, dotted
from icdcli.io.csv_reader import Reading, read_header
from icdcli.io.raw_tables import find_tables, list_folder, matching_tables

CODE_TABLES = {"diagnosis": "diagnoses_icd", "procedure": "procedures_icd"}
TITLE_TABLES = {"diagnosis": "d_icd_diagnoses", "procedure": "d_icd_procedures"}
NOTES, OTHER_NOTES = "discharge", "radiology"
_VERSIONS: dict[System, str] = {"icd9": "9", "icd10": "10"}
_DEEPEST = 5  # folders below the given one: physionet.org/files/mimiciv/2.2/hosp


@dataclass(frozen=True)
class Mimic4Source:
    """The folder of ``hosp/`` and ``note/``, at any depth as downloaded, or of their tables.

    Attributes:
        folder: The folder.
        system: The ICD version whose codes are read.
        reading: How the tables are read, and the counts collected on the way.
        note_types: The types of the notes to read, of ``note/discharge`` and, if it is there,
            ``note/radiology``; they are joined in the order of their times. None: discharge
            summaries, in the order of the file, as benchmarks do.
        ordered: Whether admissions have their principal diagnosis.
    """

    folder: Path
    system: System = "icd10"
    reading: Reading = field(default_factory=Reading)
    note_types: Sequence[str] | None = None
    ordered: bool = False

    @cached_property
    def tables(self) -> dict[str, Path]:
        """Return the files of the five tables.

        Raises:
            DataError: If tables are missing (the message names all of them), or two folders fit.
        """
        missing = _missing_part(self.folder)
        if missing is not None:
            raise DataError(
                f"{self.folder}: has a part of MIMIC-IV, but not {missing}. Pass the folder that "
                "contains hosp/ (MIMIC-IV) and note/ (MIMIC-IV-Note)."
            )
        hosp, note = self._part("hosp"), self._part("note")
        more = self.note_types is not None and matching_tables(note, OTHER_NOTES)
        return find_tables(hosp, [*CODE_TABLES.values(), *TITLE_TABLES.values()]) | find_tables(
            note, [NOTES, *([OTHER_NOTES] if more else [])]
        )

    def files(self) -> list[Path]:
        """Return the files that the corpus depends on."""
        return list(self.tables.values())

    @cached_property
    def titles(self) -> dict[Code, str]:
        """Return the codes of the data set's own d_icd tables with their titles."""
        found: dict[Code, str] = {}
        version = {"icd_version": _VERSIONS[self.system]}
        for kind, name in TITLE_TABLES.items():
            for chunk in self.reading.rows(
                self.tables[name], ("icd_code", "long_title"), where=version
            ):
                for raw, title in chunk:
                    found[self._code(raw, kind, name)] = title.strip()
        return found

    def admissions(self, protocol: Protocol, work: Path) -> Iterator[Admission]:
        """Join notes and codes; see `icdcli.data.sources.admission_join.join_admissions`.

        Args:
            protocol: Decides which codes count.
            work: A private folder for temporary files.

        Raises:
            DataError: If a table can't be read.
        """
        admissions = join_admissions(
            *(self.reading, self._notes(), self._codes(), protocol.keep_codes, work),
            published=self.note_types is None,
        )
        return with_principals(admissions, self._principals()) if self.ordered else admissions

    def _codes(self) -> AdmissionCodes:
        found = AdmissionCodes()
        version = {"icd_version": _VERSIONS[self.system]}
        for kind, name in CODE_TABLES.items():

            def spell(raw: str, kind: str = kind, name: str = name) -> Code | str:
                return (
                    self._code(raw, kind, name)
                    if raw.strip()
                    else f"{kind} rows with an empty icd_code"
                )

            path = self.tables[name]
            raws = found.read(self.reading, path, ("hadm_id", "icd_code"), spell, version)
            if not raws:
                self._refuse_versions_as_numbers(path, version["icd_version"])
            if self.system == "icd9":
                refuse_lost_zeros(path, "icd_code", raws, kind, self.titles)
        if not found.admissions:
            raise DataError(
                f"{self.tables['diagnoses_icd']}: no row has icd_version {version['icd_version']} "
                "and a hadm_id. Copy or download the complete table, or set another code_system."
            )
        return found

    def _principals(self) -> dict[str, str | None]:
        name = CODE_TABLES["diagnosis"]
        first = {"seq_num": "1", "icd_version": _VERSIONS[self.system]}

        def spell(raw: str) -> Code | str:
            return self._code(raw, "diagnosis", name) if raw.strip() else ""

        columns = ("hadm_id", "icd_code")
        return read_principals(self.reading, self.tables[name], columns, spell, first)

    def _refuse_versions_as_numbers(self, path: Path, version: str) -> None:
        """Raise an error if a program has written version 9 as 9.0."""
        number = f"{version}.0"
        if any(self.reading.rows(path, ("icd_version",), where={"icd_version": number})):
            raise DataError(
                f"{path}: column icd_version was saved as numbers: it has {number}. Copy the "
                "original table, or save it again with all columns read as strings (pandas: "
                "dtype=str)."
            )

    def _notes(self) -> Iterator[AdmissionNote]:
        notes = RawNotes(self.reading, NoteTypes(self.note_types))
        for name in (NOTES, OTHER_NOTES):
            if (table := self.tables.get(name)) is None:
                continue
            about = RawNoteColumns(
                notes, read_header(table), "note_id", "note_type", ("charttime",)
            )
            for chunk in self.reading.notes(
                table, ("subject_id", "hadm_id", *about.columns, "text")
            ):
                for subject, id, *values, text in chunk:
                    if (note := about.read(values)) is not None:
                        yield subject, id, note, text
        if self.note_types is not None:
            notes.finish()
        notes.types.require_known(f"{self.tables[NOTES].parent}, column note_type")

    def _code(self, raw: str, kind: str, table: str) -> Code:
        try:
            return Code(dotted(raw, kind, self.system), kind)
        except ValueError as error:
            raise DataError(f"{self.tables[table]}: column icd_code: {error}") from error

    def _part(self, name: str) -> Path:
        """Return the folder of one part; the given folder if it has the tables of both parts."""
        found = parts(self.folder, name)
        if len(found) > 1:
            both = " and ".join(str(path) for path in found[:2])
            raise DataError(
                f"{self.folder}: both {both} fit. Set data_path to the folder of one release."
            )
        return found[0] if found else self.folder


def parts(folder: Path, name: str) -> list[Path]:
    """Return the folders of a name (``hosp``, ``note``) below a folder, from the nearest depth.

    Raises:
        DataError: If the folder doesn't exist or can't be read.
    """
    list_folder(folder)
    level = [folder]
    for _ in range(_DEEPEST):
        entries = [entry for parent in level for entry in _entries(parent)]
        level = [entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
        found = sorted(entry for entry in level if entry.name.lower() == name)
        if found:
            return found
    return []


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except PermissionError:
        return []  # a folder of another user


_PROTOCOLS = (PATIENT, MIMIC4_ICD9, MIMIC4_ICD10)


def _recognizes(folder: Path) -> Match:
    notes = any(entry.name.lower().startswith(f"{NOTES}.csv") for entry in list_folder(folder))
    if notes or parts(folder, "hosp") or _missing_part(folder) is not None:
        return Match.CERTAIN
    return Match.NONE


def _missing_part(folder: Path) -> str | None:
    """Return what a folder with the tables of one part lacks; None if it isn't such a folder."""
    notes = bool(matching_tables(folder, NOTES))
    codes = matching_tables(folder, CODE_TABLES["diagnosis"])
    if notes and not codes and not parts(folder, "hosp"):
        return "the codes, which are in hosp/"
    if not codes or notes or parts(folder, "note"):
        return None
    # MIMIC-III has a table of this name, too.
    if folder.resolve().name.lower() == "hosp" or _has_versions(codes[0]):
        return "the notes, which are in note/"
    return None


def _has_versions(table: Path) -> bool:
    try:
        return "icd_version" in read_header(table)
    except DataError:  # reported when the table is read
        return False


def _open(config: DataConfig, reading: Reading) -> ChosenSource:
    protocol = choose_protocol("mimic4", _PROTOCOLS, config.protocol)
    options: dict[str, Any] = (
        {} if protocol.is_benchmark else {"label_pruning": config.label_pruning}
    )
    configured = None if config.code_system is None else shape_of(config.code_system)
    system = protocol.system or configured or "icd10"
    options["code_system"] = system
    if config.note_types is not None:
        refuse_note_types(protocol)
        options["note_types"] = config.note_types
    source = Mimic4Source(config.path, system, reading, config.note_types, config.principal)
    order = ("principal",) if config.principal else ()
    return ChosenSource("mimic4", source, protocol, options, order=order)


register(
    SourceType(
        name="mimic4",
        looks_like="a folder with hosp/ (diagnoses_icd, procedures_icd, d_icd_…) and note/ "
        "(discharge), as .csv or .csv.gz",
        protocols=_PROTOCOLS,
        recognizes=_recognizes,
        open=_open,
        own_options=("note_types",),
    )
)
