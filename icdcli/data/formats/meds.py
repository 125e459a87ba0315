"""MEDS, the Medical Event Data Standard: events of patients in Parquet, in files of their own.

Each event has ``subject_id``, ``time`` and ``code``, and perhaps ``text_value``. A note is an event
with a text whose code says so in its first part: ``NOTE//Discharge summary``. A diagnosis is an
event such as ``ICD10CM//I10`` or ``DIAGNOSIS//ICD//10//I10``.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from icdcli.data.encounters.ids import known_id
from icdcli.data.encounters.note_types import NoteTypes
from icdcli.errors import DataError
from icdcli.io.tables.parquet import open_parquet

_NEEDED = ("subject_id", "time", "code")
_TEXT = "text_value"
_VISITS = ("hadm_id", "visit_occurrence_id", "encounter_id", "visit_id")
_NOTE = r"(?i)^[^/]*(note|report|summary)"
_CODE = r"(?i)^(DIAGNOSIS|PROCEDURE)//ICD//|^ICD"
_NAMED = re.compile(r"(DIAGNOSIS|PROCEDURE)//ICD//(9|10)(?:CM|PCS)?//(.+)", re.IGNORECASE)
_KINDS = {"icd10pcs": "procedure", "icd9proc": "procedure"}
_ROWS_AT_ONCE = 4096


SPLITS_FILE = Path("metadata", "subject_splits.parquet")
"""The file with the split of each patient, in the folder of a data set (meds 0.4)."""
_SPLITS = {"train": "train", "tuning": "validation", "held_out": "test"}


class MedsNote(NamedTuple):
    """An event with a note; its number is that among all events, from 1."""

    number: int
    subject: str
    visit: str | None
    time: datetime | None
    code: str
    text: str


class MedsCode(NamedTuple):
    """An event with a code of the ICD: its patient, its visit, and what its code says.

    Attributes:
        subject: The patient.
        visit: The visit; None: unknown.
        system: The name of the coding system.
        code: The code.
        kind: Its kind.
    """

    subject: str
    visit: str | None
    system: str
    code: str
    kind: str


def is_meds(path: Path) -> bool:
    """Return whether a Parquet file, or the files of a folder, have events of MEDS."""
    try:
        first = next(iter(meds_files(path)), None)
        return first is not None and {*_NEEDED, _TEXT} <= set(_names(first))
    except (OSError, pa.ArrowException):
        return False  # reading it reports the problem


def _names(file: Path) -> list[str]:
    with open_parquet(file) as opened:
        return list(opened.schema_arrow.names)


def meds_files(path: Path) -> list[Path]:
    """Return a file, or the files of a data set: those in and below ``data/``, or of the folder."""
    if not path.is_dir():
        return [path] if path.name.lower().endswith(".parquet") else []
    if (path / "data").is_dir():
        return sorted((path / "data").rglob("*.parquet"))
    return sorted(path.glob("*.parquet"))


class MedsEvents:
    """The events of a data set.

    Attributes:
        path: The file or folder.
        files: Its files.
        visit_column: The column of visits; None: there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.files = path, meds_files(path)
        names = [name for file in self.files[:1] for name in _schema(file).names]
        if missing := [name for name in (*_NEEDED, _TEXT) if name not in names]:
            raise DataError(f"{path}: isn't MEDS, whose events have {', '.join(missing)}, too.")
        self.visit_column = next((name for name in _VISITS if name in names), None)

    def codes(self) -> Iterator[MedsCode]:
        """Yield the events with codes of the ICD."""
        for file in self.files:
            for _, batch in self._batches(file, ("subject_id", "code")):
                found = batch.filter(pc.match_substring_regex(batch.column("code"), _CODE))
                for row in found.to_pylist():
                    system, code, kind = _parts(row["code"])
                    visit = self._visit(row)
                    yield MedsCode(self._subject(row, file), visit, system, code, kind)

    def notes(self, named: Sequence[str] | None = None) -> Iterator[MedsNote]:
        """Yield the events with notes.

        Args:
            named: The codes of events that are notes, or their first parts, as `NoteTypes` compares
                them; None: those whose first part has the word note, report or summary.

        Raises:
            DataError: If a file can't be read, or if no event with a text has one of the names.
        """
        types, number = NoteTypes(named), 0
        for file in self.files:
            for start, batch in self._batches(file, (*_NEEDED, _TEXT)):
                codes = batch.column("code")
                if named is None:
                    wanted = pc.match_substring_regex(codes, _NOTE)
                else:
                    with_text = codes.filter(pc.is_valid(batch.column(_TEXT)))
                    wanted = pc.is_in(codes, pa.array(_named(with_text, types), codes.type))
                kept = pc.and_(wanted, pc.is_valid(batch.column(_TEXT)))
                places = pc.indices_nonzero(kept)
                for place, row in zip(
                    places.to_pylist(), batch.take(places).to_pylist(), strict=True
                ):
                    yield MedsNote(
                        number + start + place + 1,
                        self._subject(row, file),
                        self._visit(row),
                        row["time"],
                        row["code"],
                        row[_TEXT],
                    )
            with open_parquet(file) as opened:
                number += opened.metadata.num_rows
        types.require_known(str(self.path))

    @staticmethod
    def _subject(row: dict[str, Any], file: Path) -> str:
        """Return the patient of an event, whom each event of MEDS must have.

        Raises:
            DataError: If it has none.
        """
        subject = known_id(row["subject_id"])
        if subject is None:
            raise DataError(f"{file}: an event with a note or a code has no subject_id.")
        return subject

    def _visit(self, row: dict[str, Any]) -> str | None:
        return known_id(row.get(self.visit_column or ""))

    def _batches(self, file: Path, columns: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield batches of some columns, each with the number of its first row."""
        wanted = [*columns, *([self.visit_column] if self.visit_column else [])]
        number = 0
        try:
            with open_parquet(file) as opened:
                for batch in opened.iter_batches(_ROWS_AT_ONCE, columns=wanted):
                    if pa.types.is_dictionary(batch.column("code").type):
                        codes = batch.column("code").dictionary_decode()
                        place = batch.schema.get_field_index("code")
                        batch = batch.set_column(place, "code", codes)
                    yield number, batch
                    number += batch.num_rows
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{file}: can't be read ({type(error).__name__}).") from None


def subject_splits(path: Path) -> dict[str, str]:
    """Return the split of each patient, as icdcode names it; patients of other splits have none.

    Args:
        path: The folder of a data set with `SPLITS_FILE`.

    Raises:
        DataError: If the file can't be read, lacks a column, or has two splits for a patient.
    """
    file, found = path / SPLITS_FILE, dict[str, str]()
    columns = ("subject_id", "split")
    if missing := [name for name in columns if name not in _schema(file).names]:
        raise DataError(f"{file}: has no column {' and '.join(missing)}.")
    try:
        with open_parquet(file) as opened:
            rows = opened.read(list(columns)).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file}: can't be read ({type(error).__name__}).") from None
    for row in rows:
        subject, split = known_id(row["subject_id"]), _SPLITS.get(str(row["split"]))
        if subject is None or split is None:
            continue
        if found.setdefault(subject, split) != split:
            raise DataError(f"{file}: patient {subject} is in two splits. Keep one row.")
    return found


def _schema(file: Path) -> pa.Schema:
    try:
        with open_parquet(file) as opened:
            return opened.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file}: can't be read ({type(error).__name__}).") from None


def _named(codes: pa.Array, types: NoteTypes) -> list[str]:
    """Return those of some codes that are named as types, or whose first parts are."""
    found: list[str] = []
    for one in codes.drop_null().value_counts().to_pylist():
        code, count = one["values"], one["counts"]
        names = dict.fromkeys((code, code.partition("/")[0]))
        if {name for name in names if types.reads(name, count)}:  # which counts both
            found.append(code)
    return found


def _parts(code: str) -> tuple[str, str, str]:
    """Return the system, the code and the kind that an event's code names."""
    if named := _NAMED.fullmatch(code):
        kind = named[1].lower()
        suffix = "PCS" if kind == "procedure" and named[2] == "10" else ""
        return f"ICD{named[2]}{suffix}", named[3], kind
    system, _, written = code.partition("/")
    return system, written.lstrip("/"), _KINDS.get(system.lower(), "diagnosis")
