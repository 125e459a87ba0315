"""Synthetic tables in the exact format of MIMIC-III v1.4, so that everything can be tried without credentialed data.

The file names, columns, quoting and oddities are those of the real tables: undotted codes with their leading zeros, notes
that belong to no admission, addenda that come much later in the file than the summaries they amend, admissions without
codes or without notes, codes that the dictionaries do not know. The same seed gives the same bytes.
"""

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random

from icdcli.data.synthetic.conditions import CARRIED_PLACES, Condition, sample_conditions
from icdcli.data.synthetic.notes import Note, between, compose_note, pick, sentence
from icdcli.data.synthetic.tables import Cell, finished_together, write_table
from icdcli.errors import ConfigError, DataError
from icdcli.icd.codes import KINDS, dotted
from icdcli.icd.titles import short_titles, titles
from icdcli.io.csv_reader import Reading, Row
from icdcli.io.raw_tables import find_tables, matching_tables

FEWEST_ADMISSIONS = 20
Progress = Callable[[int, int], None]

_CODE_TABLES = {"diagnosis": "DIAGNOSES_ICD", "procedure": "PROCEDURES_ICD"}
_DICTIONARIES = {"diagnosis": "D_ICD_DIAGNOSES", "procedure": "D_ICD_PROCEDURES"}
# In use, but not in the dictionaries: 160 codes of the real tables are so.
_NOT_IN_DICTIONARY = {("V49.86", "diagnosis"), ("E885.9", "diagnosis"), ("93.90", "procedure")}
_NEVER_USED_EVERY = 100

_ADMISSION_TYPES = (("EMERGENCY", "EMERGENCY ROOM ADMIT"), ("URGENT", "TRANSFER FROM HOSP/EXTRAM"),
                    ("ELECTIVE", "PHYS REFERRAL/NORMAL DELI"))  # fmt: skip
_OTHER_NOTES = (
    ("Radiology", "CHEST (PORTABLE AP)", 'Portable chest radiograph. Lines in "standard" position.\nNo pneumothorax.'),
    ("Nursing/other", "Report", "NPN 7p-7a: VSS overnight, afebrile.\nPt. stated \"I feel ok\". Continue to monitor."),
    ("ECG", "Report", "Sinus rhythm. Non-specific ST-T wave changes.\nNo previous tracing available for comparison."),
)  # fmt: skip


@dataclass(frozen=True)
class DemoSummary:
    """What was written.

    Attributes:
        folder: Where the tables lie.
        admissions: Rows of ADMISSIONS.
        subjects: Different patients among them.
        documents: Admissions with a discharge summary.
        notes: Rows of NOTEEVENTS, of any category.
        codes: Different codes in use.
        codes_per_admission: Mean number of codes of an admission.
        words_per_document: Mean number of words of a discharge summary, without addenda.
        not_counting: Share of the summaries' mentions that name something the admission is not coded with.
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


@dataclass
class _Stay:
    """One row of ADMISSIONS in the making, with what hangs on it."""

    subject_id: int
    hadm_id: int
    sex: str
    admitted: date
    discharged: date
    codes: Mapping[str, list[str]]
    note: Note | None = None


def write_demo_data(
    folder: Path,
    admissions: int = 2000,
    seed: int = 0,
    *,
    overwrite: bool = False,
    on_progress: Progress | None = None,
) -> DemoSummary:
    """Writes synthetic MIMIC-III tables, each as NAME.csv.gz.

    Args:
        folder: Where to; made where missing.
        admissions: How many hospital stays, at least 20.
        seed: The same seed gives the same bytes.
        overwrite: Whether tables that lie there already may be replaced.
        on_progress: Called with (admissions done, admissions in all) now and then.

    Returns:
        What was written.

    Raises:
        ConfigError: Too few admissions, tables already there, or a folder that can't be written.
    """
    if admissions < FEWEST_ADMISSIONS:
        raise ConfigError(
            f"admissions is {admissions}; synthetic data needs at least {FEWEST_ADMISSIONS}"
        )
    with finished_together(folder, overwrite) as building:
        rng = Random(seed)
        names = _packaged_titles()
        stays = []
        for stay in _draw_stays(rng, admissions):
            if rng.random() >= 0.02:
                stay.note = _note_for(rng, stay, names)
            stays.append(stay)
            if on_progress and len(stays) % 50 == 0:
                on_progress(len(stays), admissions)
        _write_patients(building, stays)
        _write_admissions(building, stays, names)
        for kind in KINDS:
            _write_codes(building, stays, kind)
            _write_dictionary(building, kind, {code for stay in stays for code in stay.codes[kind]})
        rows = _write_notes(building, rng, stays)
        if on_progress:
            on_progress(admissions, admissions)
    return _summary(folder, stays, rows)


def write_notes_for(
    tables: Path, folder: Path, seed: int = 0, *, overwrite: bool = False
) -> DemoSummary:
    """Writes notes for existing MIMIC-III tables that have none, such as the public demo's, beside copies of them.

    Args:
        tables: A folder with ADMISSIONS, DIAGNOSES_ICD and PROCEDURES_ICD, and PATIENTS where there is one, as .csv or
            .csv.gz, whatever the case of file names and headers.
        folder: Where to write NOTEEVENTS, the full ICD-9-CM dictionaries and the copies.
        seed: The same seed gives the same notes.
        overwrite: Whether tables that lie in `folder` already may be replaced.

    Returns:
        What was written.

    Raises:
        ConfigError: Tables already there, or a folder that can't be written.
        DataError: A missing or unreadable table, a missing column, or a code that is none.
    """
    sources = find_tables(tables, ("ADMISSIONS", *_CODE_TABLES.values()))
    codes = {kind: _read_codes(sources[name], kind) for kind, name in _CODE_TABLES.items()}
    patients = matching_tables(tables, "PATIENTS")[:1]
    sexes = {
        subject: sex for path in patients for subject, sex in _rows(path, "SUBJECT_ID", "GENDER")
    }
    rng, names, stays = Random(seed), _packaged_titles(), []
    for row in _rows(sources["ADMISSIONS"], "SUBJECT_ID", "HADM_ID", "ADMITTIME", "DISCHTIME"):
        stay = _read_stay(row, codes, sexes, sources["ADMISSIONS"])
        stay.note = _note_for(rng, stay, names)
        stays.append(stay)
    with finished_together(folder, overwrite) as building:
        for source in [*sources.values(), *patients]:
            stem, _, endings = source.name.partition(".")
            shutil.copyfile(source, building / f"{stem.upper()}.{endings.lower()}")
        for kind in KINDS:
            _write_dictionary(building, kind, used=None)
        rows = _write_notes(building, rng, stays)
    return _summary(folder, stays, rows)


def _packaged_titles() -> dict[tuple[str, str], str]:
    return {(code, kind): title for kind in KINDS for code, title in titles("icd9", kind).items()}


def _draw_stays(rng: Random, admissions: int) -> Iterator[_Stay]:
    """Draws patients with one to four admissions each; what is chronic stays with the patient."""
    hadm_id, subject_id, left = 100000, 1, admissions
    while left:
        subject_id += between(rng, 1, 4)
        sex = pick(rng, "FM")
        begin = date(between(rng, 2105, 2185), 1, 1) + timedelta(days=between(rng, 0, 360))
        carried: list[Condition] = []
        for _ in range(min(left, pick(rng, (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3)))):
            hadm_id += between(rng, 1, 9)
            end = begin + timedelta(days=between(rng, 1, 16))
            conditions = sample_conditions(rng, sex, carried) if rng.random() >= 0.02 else []
            codes: dict[str, list[str]] = {
                kind: [item.code for item in reversed(conditions) if item.kind == kind]
                for kind in KINDS
            }
            yield _Stay(subject_id, hadm_id, sex, begin, end, codes)
            carried = [condition for condition in conditions if condition.place in CARRIED_PLACES]
            begin = end + timedelta(days=between(rng, 10, 700))
            left -= 1


def _note_for(rng: Random, stay: _Stay, names: Mapping[tuple[str, str], str]) -> Note:
    dates = (stay.admitted, stay.discharged)
    return compose_note(
        rng, stay.codes["diagnosis"], stay.codes["procedure"], names, stay.sex, dates
    )


def _write_patients(folder: Path, stays: Sequence[_Stay]) -> None:
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


def _write_admissions(
    folder: Path, stays: Sequence[_Stay], names: Mapping[tuple[str, str], str]
) -> None:
    def row(number: int, stay: _Stay) -> tuple[Cell, ...]:
        # From the identifier, not the random source: the notes stay the same whatever is added to this table.
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


def _write_codes(folder: Path, stays: Sequence[_Stay], kind: str) -> None:
    pairs = (
        (stay, place, code) for stay in stays for place, code in enumerate(stay.codes[kind], 1)
    )
    rows = (
        (number, stay.subject_id, stay.hadm_id, place, code.replace(".", ""))
        for number, (stay, place, code) in enumerate(pairs, 1)
    )
    write_table(folder, _CODE_TABLES[kind], rows)


def _write_dictionary(folder: Path, kind: str, used: set[str] | None) -> None:
    """Writes the titles of the codes in use and of some that are not, or of all codes where `used` is None."""
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


def _write_notes(folder: Path, rng: Random, stays: Sequence[_Stay]) -> int:
    """Writes the summaries with other notes between them, then the addenda; gives the number of rows."""
    counted = 0

    def rows() -> Iterator[tuple[Cell, ...]]:
        nonlocal counted
        for body in (*_summaries(rng, stays), *_addenda(rng, stays)):
            counted += 1
            yield (counted, *body)

    write_table(folder, "NOTEEVENTS", rows())
    return counted


def _summaries(rng: Random, stays: Sequence[_Stay]) -> Iterator[tuple[Cell, ...]]:
    for stay in stays:
        if stay.note:
            who = (stay.subject_id, stay.hadm_id, str(stay.discharged))
            yield (*who, None, None, "Discharge summary", "Report", None, None, stay.note.text)
        for category, description, text in _OTHER_NOTES:
            if rng.random() < 0.3:
                hadm_id = (
                    stay.hadm_id if rng.random() < 0.8 else None
                )  # an outpatient's note has no admission
                when = (
                    str(stay.admitted),
                    f"{stay.admitted} 21:04:00",
                    f"{stay.admitted} 23:10:00",
                )
                caregiver, error = between(rng, 14000, 21000), "1" if rng.random() < 0.02 else None
                yield (
                    stay.subject_id,
                    hadm_id,
                    *when,
                    category,
                    description,
                    caregiver,
                    error,
                    text,
                )


def _addenda(rng: Random, stays: Sequence[_Stay]) -> Iterator[tuple[Cell, ...]]:
    for stay in stays:
        if stay.note and rng.random() < 0.06:
            text = "\n".join(
                (
                    f"Admission Date:  [**{stay.admitted}**]       Discharge Date:  [**{stay.discharged}**]",
                    "\nADDENDUM:",
                    sentence(
                        f"the patient was seen by {pick(rng, ('case management', 'physical therapy', 'the primary team'))}"
                    ),
                    'The final plan was "as dictated", with follow-up at [**Hospital1 18**].\n',
                )
            )
            who = (stay.subject_id, stay.hadm_id, str(stay.discharged))
            yield (*who, None, None, "Discharge summary", "Addendum", None, None, text)


def _summary(folder: Path, stays: Sequence[_Stay], rows: int) -> DemoSummary:
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
    """Reads HADM_ID to its dotted codes, without duplicates, in the order of the file."""
    codes: dict[str, list[str]] = defaultdict(list)
    for hadm_id, raw in _rows(path, "HADM_ID", "ICD9_CODE"):
        if not raw.strip():
            continue
        try:
            code = dotted(raw, kind, "icd9")
        except ValueError as error:
            raise DataError(
                f"{path}: {error}; check that the column ICD9_CODE holds ICD-9-CM codes"
            ) from error
        if code not in codes[hadm_id]:
            codes[hadm_id].append(code)
    return codes


def _read_stay(
    row: Row, codes: Mapping[str, Mapping[str, list[str]]], sexes: Mapping[str, str], path: Path
) -> _Stay:
    subject_id, hadm_id, *times = row
    try:
        admitted, discharged = (date.fromisoformat(time[:10]) for time in times)
        own = {kind: table.get(hadm_id, []) for kind, table in codes.items()}
        return _Stay(
            int(subject_id), int(hadm_id), sexes.get(subject_id, ""), admitted, discharged, own
        )
    except ValueError as error:
        raise DataError(
            f"{path}: the admission with HADM_ID {hadm_id!r} can't be read: {error}; check the row"
        ) from error
