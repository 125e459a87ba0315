"""Synthetic tables in the exact format of MIMIC-III v1.4, to try icdcode without credentialed data.

They have the file names, columns, quoting and irregularities of the real tables: codes without dots
but with their leading zeros, notes without an admission, addenda that come much later in the file
than their summaries, admissions without codes or without notes, codes that the dictionaries lack.
The same seed gives the same bytes.
"""

import csv
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random

from icdcli.data.synthetic.stays import (
    DISCHARGE_SUMMARY,
    Stay,
    Titles,
    addendum_rows,
    make_stays,
    note_for,
    packaged_titles,
    require_enough,
    summary_rows,
)
from icdcli.data.synthetic.tables import Cell, publish_tables, write_table
from icdcli.errors import ConfigError, DataError
from icdcli.icd.codes import KINDS, dotted
from icdcli.icd.titles import short_titles, titles
from icdcli.io.csv_reader import Reading, Row
from icdcli.io.files import replacing, writing
from icdcli.io.raw_tables import find_tables, matching_tables

TABLE = "notes.csv"
"""The file that `write_demo_table` writes."""

_CODE_TABLES = {"diagnosis": "DIAGNOSES_ICD", "procedure": "PROCEDURES_ICD"}
_DICTIONARIES = {"diagnosis": "D_ICD_DIAGNOSES", "procedure": "D_ICD_PROCEDURES"}
# In use, but not in the dictionaries, like 160 codes of the real tables.
_NOT_IN_DICTIONARY = {("V49.86", "diagnosis"), ("E885.9", "diagnosis"), ("93.90", "procedure")}
_NEVER_USED_EVERY = 100

_ADMISSION_TYPES = (("EMERGENCY", "EMERGENCY ROOM ADMIT"), ("URGENT", "TRANSFER FROM HOSP/EXTRAM"),
                    ("ELECTIVE", "PHYS REFERRAL/NORMAL DELI"))  # fmt: skip


@dataclass(frozen=True)
class DemoSummary:
    """The counts of the tables that were written.

    Attributes:
        folder: The folder of the tables, or the one table.
        admissions: Rows of ADMISSIONS, or of the one table.
        subjects: Distinct patients.
        documents: Admissions with a discharge summary.
        notes: Rows of NOTEEVENTS, of any category.
        codes: Distinct codes in use.
        codes_per_admission: Mean number of codes per admission.
        words_per_document: Mean number of words per discharge summary, without addenda.
        not_counting: Share of the mentions that are of conditions the admission isn't coded with.
    """

    folder: Path
    admissions: int
    subjects: int
    documents: int
    notes: int
    codes: int
    codes_per_admission: float
    words_per_document: float
    not_counting: float


def write_demo_data(
    folder: Path,
    admissions: int = 2000,
    seed: int = 0,
    *,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> DemoSummary:
    """Write synthetic MIMIC-III tables, each as NAME.csv.gz.

    Args:
        folder: The folder to write to; it is made if it doesn't exist.
        admissions: The number of hospital stays, at least 20.
        seed: The same seed gives the same bytes.
        overwrite: Replace existing tables.
        on_progress: Called from time to time with the admissions done and their total.

    Returns:
        The counts of the tables.

    Raises:
        ConfigError: If there are too few admissions, tables exist already, or the folder can't be
            written.
    """
    require_enough(admissions)
    with publish_tables(folder, overwrite) as building:
        rng = Random(seed)
        names = packaged_titles()
        stays = make_stays(rng, admissions, names, on_progress)
        _write_patients(building, stays)
        _write_admissions(building, stays, names)
        for kind in KINDS:
            _write_codes(building, stays, kind)
            _write_dictionary(building, kind, {code for stay in stays for code in stay.codes[kind]})
        rows = _write_notes(building, rng, stays)
    return _summary(folder, stays, rows)


def write_demo_table(
    folder: Path,
    admissions: int = 2000,
    seed: int = 0,
    *,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> DemoSummary:
    """Write one table, ``notes.csv``, with the notes and codes that `write_demo_data` writes.

    Its columns are ``id``, ``patient``, ``note`` and ``icd``; it has the admissions with a
    discharge summary and codes.

    Args:
        folder: The folder to write to; it is made if it doesn't exist.
        admissions: The number of hospital stays, at least 20.
        seed: The same seed gives the same bytes.
        overwrite: Replace an existing table.
        on_progress: Called from time to time with the admissions done and their total.

    Returns:
        The counts of the table.

    Raises:
        ConfigError: If there are too few admissions, the table exists already, or the folder can't
            be written.
    """
    require_enough(admissions)
    if (path := folder / TABLE).exists() and not overwrite:
        raise ConfigError(f"{path} exists. Choose another folder, or replace it with --overwrite.")
    rng = Random(seed)
    stays = make_stays(rng, admissions, packaged_titles(), on_progress)
    texts: dict[Cell, list[str]] = defaultdict(list)
    for _, hadm_id, *_, category, _, _, _, text in (
        *summary_rows(rng, stays),
        *addendum_rows(rng, stays),
    ):
        if category == DISCHARGE_SUMMARY:
            texts[hadm_id].append(str(text))
    coded = [stay for stay in stays if stay.note and any(stay.codes.values())]
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as building, building.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(("id", "patient", "note", "icd"))
            for stay in coded:
                codes = ";".join(code for kind in KINDS for code in stay.codes[kind])
                note = "\n".join(texts[stay.hadm_id])
                rows.writerow((stay.hadm_id, stay.subject_id, note, codes))
    return _summary(path, coded, len(coded))


def write_notes_for(
    tables: Path, folder: Path, seed: int = 0, *, overwrite: bool = False
) -> DemoSummary:
    """Write notes for MIMIC-III tables without notes, such as the public demo, and copy the tables.

    Args:
        tables: A folder with ADMISSIONS, DIAGNOSES_ICD, PROCEDURES_ICD and optionally PATIENTS, as
            .csv or .csv.gz; names and headers in upper or lower case.
        folder: The folder for NOTEEVENTS, the complete ICD-9-CM dictionaries and the copies.
        seed: The same seed gives the same notes.
        overwrite: Replace existing tables in `folder`.

    Returns:
        The counts of the tables.

    Raises:
        ConfigError: If tables exist already, or the folder can't be written.
        DataError: If a table or column is missing or can't be read, or a code isn't valid.
    """
    sources = find_tables(tables, ("ADMISSIONS", *_CODE_TABLES.values()))
    codes = {kind: _read_codes(sources[name], kind) for kind, name in _CODE_TABLES.items()}
    patients = matching_tables(tables, "PATIENTS")[:1]
    sexes = {
        subject: sex for path in patients for subject, sex in _rows(path, "SUBJECT_ID", "GENDER")
    }
    rng, names, stays = Random(seed), packaged_titles(), []
    for row in _rows(sources["ADMISSIONS"], "SUBJECT_ID", "HADM_ID", "ADMITTIME", "DISCHTIME"):
        stay = _read_stay(row, codes, sexes, sources["ADMISSIONS"])
        stay.note = note_for(rng, stay, names)
        stays.append(stay)
    with publish_tables(folder, overwrite) as building:
        for source in [*sources.values(), *patients]:
            stem, _, endings = source.name.partition(".")
            shutil.copyfile(source, building / f"{stem.upper()}.{endings.lower()}")
        for kind in KINDS:
            _write_dictionary(building, kind, used=None)
        rows = _write_notes(building, rng, stays)
    return _summary(folder, stays, rows)


def _write_patients(folder: Path, stays: Sequence[Stay]) -> None:
    patients = {stay.subject_id: stay for stay in stays}
    rows = (
        (
            row,
            subject_id,
            stay.sex,
            f"{stay.admitted.year - 40 - subject_id % 45}-01-01 00:00:00",
            None,
            None,
            None,
            0,
        )
        for row, (subject_id, stay) in enumerate(patients.items(), 1)
    )
    write_table(folder, "PATIENTS", rows)


def _write_admissions(folder: Path, stays: Sequence[Stay], names: Titles) -> None:
    def row(number: int, stay: Stay) -> tuple[Cell, ...]:
        # Derived from the id, not drawn, so that changes of this table don't change the notes.
        kind, place = _ADMISSION_TYPES[stay.hadm_id % len(_ADMISSION_TYPES)]
        main = next(iter(stay.codes["diagnosis"]), "")
        reason = names.get((main, "diagnosis"), "OBSERVATION").upper()
        times = (f"{stay.admitted} 08:30:00", f"{stay.discharged} 14:15:00", None)
        person = (
            "Medicare",
            "ENGL",
            "UNOBTAINABLE",
            "MARRIED",
            "UNKNOWN/NOT SPECIFIED",
            None,
            None,
        )
        return (
            number,
            stay.subject_id,
            stay.hadm_id,
            *times,
            kind,
            place,
            "HOME",
            *person,
            reason,
            0,
            1,
        )

    write_table(folder, "ADMISSIONS", (row(number, stay) for number, stay in enumerate(stays, 1)))


def _write_codes(folder: Path, stays: Sequence[Stay], kind: str) -> None:
    pairs = (
        (stay, place, code) for stay in stays for place, code in enumerate(stay.codes[kind], 1)
    )
    rows = (
        (number, stay.subject_id, stay.hadm_id, place, code.replace(".", ""))
        for number, (stay, place, code) in enumerate(pairs, 1)
    )
    write_table(folder, _CODE_TABLES[kind], rows)


def _write_dictionary(folder: Path, kind: str, used: set[str] | None) -> None:
    """Write the titles of the codes in use and some others, or of all codes if `used` is None."""
    short = short_titles(kind)
    listed = [
        (code, title)
        for place, (code, title) in enumerate(titles("icd9", kind).items())
        if used is None
        or (
            (code in used or place % _NEVER_USED_EVERY == 0)
            and (code, kind) not in _NOT_IN_DICTIONARY
        )
    ]
    rows = (
        (row, code.replace(".", ""), short[code], title)
        for row, (code, title) in enumerate(listed, 1)
    )
    write_table(folder, _DICTIONARIES[kind], rows)


def _write_notes(folder: Path, rng: Random, stays: Sequence[Stay]) -> int:
    """Write the summaries mixed with other notes, then the addenda; return the number of rows."""
    counted = 0

    def rows() -> Iterator[tuple[Cell, ...]]:
        nonlocal counted
        for body in (*summary_rows(rng, stays), *addendum_rows(rng, stays)):
            counted += 1
            yield (counted, *body)

    write_table(folder, "NOTEEVENTS", rows())
    return counted


def _summary(folder: Path, stays: Sequence[Stay], rows: int) -> DemoSummary:
    notes = [stay.note for stay in stays if stay.note]
    used = Counter((code, kind) for stay in stays for kind in KINDS for code in stay.codes[kind])
    mentions = sum(note.counting + note.not_counting for note in notes)
    return DemoSummary(
        folder=folder,
        admissions=len(stays),
        subjects=len({stay.subject_id for stay in stays}),
        documents=len(notes),
        notes=rows,
        codes=len(used),
        codes_per_admission=used.total() / max(1, len(stays)),
        words_per_document=sum(len(note.text.split()) for note in notes) / max(1, len(notes)),
        not_counting=sum(note.not_counting for note in notes) / max(1, mentions),
    )


def _rows(path: Path, *columns: str) -> Iterator[Row]:
    return (row for chunk in Reading().rows(path, columns) for row in chunk)


def _read_codes(path: Path, kind: str) -> dict[str, list[str]]:
    """Return the dotted codes of each HADM_ID, without duplicates, in the order of the file."""
    codes: dict[str, list[str]] = defaultdict(list)
    for hadm_id, raw in _rows(path, "HADM_ID", "ICD9_CODE"):
        if not raw.strip():
            continue
        try:
            code = dotted(raw, kind, "icd9")
        except ValueError as error:
            raise DataError(
                f"{path}: {error}. Check that the column ICD9_CODE has ICD-9-CM codes."
            ) from error
        if code not in codes[hadm_id]:
            codes[hadm_id].append(code)
    return codes


def _read_stay(
    row: Row, codes: Mapping[str, Mapping[str, list[str]]], sexes: Mapping[str, str], path: Path
) -> Stay:
    subject_id, hadm_id, *times = row
    try:
        admitted, discharged = (date.fromisoformat(time[:10]) for time in times)
        own = {kind: table.get(hadm_id, []) for kind, table in codes.items()}
        return Stay(
            int(subject_id), int(hadm_id), sexes.get(subject_id, ""), admitted, discharged, own
        )
    except ValueError as error:
        raise DataError(
            f"{path}: the admission with HADM_ID {hadm_id!r} can't be read ({error}). Check the "
            "row."
        ) from error
