"""New notes in tables: CSV, JSONL or Parquet with a column of texts, read a few rows at a time.

Unlike the tables of a corpus (`icdcli.data.sources.table`) these have no codes, and no row is
dropped, so that the predictions fit the rows.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from icdcli.data.encounters.ids import known_id
from icdcli.data.encounters.times import read_time
from icdcli.data.formats.conversion import TEXT
from icdcli.data.notes.beginnings import USUAL_TEXT
from icdcli.data.notes.database_notes import OMOP_COLUMNS
from icdcli.data.notes.encounters import ByEncounter
from icdcli.data.notes.text import LONGEST, Note, Origin, checked
from icdcli.data.sources.tables.cells import note_type_of
from icdcli.data.usual_columns import USUAL_NOTE_ID, USUAL_TEXTS, found_column
from icdcli.errors import ConfigError, DataError
from icdcli.icd.days import read_day
from icdcli.io.csv_reader import StrictReading, match_columns, plain_name
from icdcli.io.fingerprints import file_states
from icdcli.io.tables.parquet import is_parquet, parquet_schema
from icdcli.io.tables.records import column_names, is_csv, is_sheet, table_files, table_rows
from icdcli.io.tables.spreadsheet import sheet_epoch

_ROWS_AT_ONCE = 64  # notes may be long
_LONGEST_LINE = 8 * LONGEST  # bytes of a line of JSONL, in which a character may take six
_USUAL_ID, _USUAL_PATIENT = "id", "subject_id"
_WORDS = {
    **{"id": "ids", "day": "days", "patient": "patients", "encounter": "encounters"},
    **{"time": "times", "type": "types", "rough time": "days"},
}
_PATIENT, _VISIT, _OMOP_TEXT = "person_id", "visit_occurrence_id", "note_text"
_OMOP = {"note_id", _PATIENT}  # columns that no table of notes has but OMOP's

T = TypeVar("T")


def find_table(
    path: Path,
    text_column: str | None = None,
    id_column: str | None = None,
    before: str = "",
    date_column: str | None = None,
    encoding: str | None = None,
    by_encounter: ByEncounter | None = None,
) -> "NoteTable":
    """Return a table of notes; without a column of texts, OMOP's table NOTE is recognized.

    Args:
        path: The file.
        text_column: The column of texts; None: ``text``, one with a usual name, or in NOTE
            ``note_text``.
        id_column: The column of ids; None: ``id``, in NOTE ``note_id``.
        before: A prefix of the ids.
        date_column: The column of the days of discharge; None: they are unknown.
        encoding: The encoding of a file without a mark; None: it is found.
        by_encounter: How notes are joined to encounters; None: they aren't.

    Raises:
        ConfigError: If notes are to be joined, and no column of encounters is named.
        DataError: If it is NOTE without a column of texts, or can't be read.
    """
    if text_column is None and (is_csv(path) or is_parquet(path)):
        names = set(
            map(plain_name, column_names(path, StrictReading(encoding=encoding), _LONGEST_LINE))
        )
        if names >= _OMOP and USUAL_TEXT not in names:
            if _OMOP_TEXT not in names:
                raise DataError(
                    f"{path}: has columns of OMOP's table NOTE, but not {_OMOP_TEXT}. Export the "
                    "complete table, or pass --text-column with the column of the notes."
                )
            origin = (_PATIENT, _VISIT) if _VISIT in names else None
            ids = id_column or "note_id"
            by = None if by_encounter is None else _as_omop(by_encounter, names)
            return NoteTable(path, _OMOP_TEXT, ids, before, date_column, origin, encoding, by)
    if by_encounter is not None and by_encounter.encounter_column is None:
        raise ConfigError(
            f"{path}: which column has the encounters isn't known. Pass --encounter-column."
        )
    text = text_column or USUAL_TEXT
    return NoteTable(path, text, id_column, before, date_column, None, encoding, by_encounter)


def _as_omop(by: ByEncounter, names: Set[str]) -> ByEncounter:
    """Return how notes of OMOP's table NOTE are joined, if columns aren't named."""
    time, day, type = (one if one in names else None for one in OMOP_COLUMNS)
    return replace(
        by,
        encounter_column=by.encounter_column or _VISIT,
        time_column=by.time_column or time or day,
        note_type_column=by.note_type_column or type,
    )


@dataclass(frozen=True)
class NoteTable:
    """A table of notes.

    Attributes:
        path: The file.
        text_column: The column of texts, in upper or lower case.
        id_column: The column of ids; None: ``id`` if there is one, else the row's number, from 1.
        before: A prefix of the ids.
        date_column: The column of the days of discharge; None: they are unknown.
        origin_columns: The columns of patients and encounters; none: they are unknown.
        encoding: The encoding of a file without a mark; None: it is found.
        by_encounter: How notes are joined to encounters; None: they aren't.
    """

    path: Path
    text_column: str = USUAL_TEXT
    id_column: str | None = None
    before: str = ""
    date_column: str | None = None
    origin_columns: tuple[str, str] | None = None
    encoding: str | None = None
    by_encounter: ByEncounter | None = None
    _choices: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def remarks(self) -> list[str]:
        """Return how the table was read, if that isn't obvious; known once it was read."""
        omop = f"{self.path} is read as OMOP's table NOTE: {', '.join(self.columns)}"
        choices = [f"{name}: {words}" for name, words in self._choices.items()]
        return [*([omop] if self.origin_columns else []), *choices]

    @property
    def left_out(self) -> list[str]:
        """Return nothing: all rows are read."""
        return []

    @property
    def columns(self) -> list[str]:
        """Return the names of the columns to read; the first is that of the texts.

        Raises:
            DataError: If the table can't be read, or a column is missing or ambiguous.
        """
        return [*self._roles.values()]

    @cached_property
    def _roles(self) -> dict[str, str]:
        """Return the columns by what they are for."""
        available = column_names(self.path, StrictReading(encoding=self.encoding), _LONGEST_LINE)
        plain = {*map(plain_name, available)}
        text = self.text_column
        if text == USUAL_TEXT:
            text = found_column(self.path, available, text, USUAL_TEXTS, "text_column")
            if text != USUAL_TEXT:
                self._choices[f"notes of {self.path.name}"] = f"column {text!r}, a usual name"
        by = self.by_encounter or ByEncounter()
        patient, encounter = self.origin_columns or (None, by.encounter_column)
        encounter = by.encounter_column or encounter
        patient = by.subject_column or patient
        if by.encounter_column is not None and patient is None and _USUAL_PATIENT in plain:
            patient = _USUAL_PATIENT
        taken = {plain_name(one) for one in (text, by.encounter_column) if one}
        ids = (_USUAL_ID, *([USUAL_NOTE_ID] if by.encounter_column is not None else []))
        usual = next((name for name in ids if name in plain - taken), None)
        if self.id_column is None and usual == USUAL_NOTE_ID:
            self._choices[f"ids of {self.path.name}"] = f"column {usual!r}, a usual name"
        wanted = {
            "text": text,
            "id": self.id_column or usual,
            "day": self.date_column,
            "patient": patient,
            "encounter": encounter,
            "time": by.time_column,
            "type": by.note_type_column,
            "rough time": self._rough_time(by, plain),
        }
        named = {role: name for role, name in wanted.items() if name is not None}
        places = match_columns(self.path, available, [*named.values()])
        found = dict(zip(named, (available[place] for place in places), strict=True))
        for role, name in found.items():
            # Ids are shown in messages and results; the text must not be.
            if role != "text" and name == found["text"]:
                raise DataError(
                    f"{self.path}: the columns of texts and of {_WORDS[role]} are both {name!r}. "
                    "Correct one of them."
                )
        return found

    def _rough_time(self, by: ByEncounter, available: Set[str]) -> str | None:
        """Return OMOP's column of days, which counts if a note has no exact time."""
        exact, day, _ = OMOP_COLUMNS
        is_rough = self.origin_columns is not None and by.time_column == exact and day in available
        return day if is_rough else None

    def state(self) -> list[str]:
        """Return the file's state (`file_states`) and the columns to read."""
        states = file_states(table_files(self.path)).values()
        named = [self.encoding] if self.encoding else []
        return [*(state.key for state in states), *self.columns, *named]

    def __iter__(self) -> Iterator[Note]:
        """Yield the notes of the rows; an empty cell is a note without text (`Note.has_text`).

        Raises:
            DataError: If a row can't be read or has the id of another; the message names it.
        """
        self._require_texts()
        reading = StrictReading(chunk_size=_ROWS_AT_ONCE, encoding=self.encoding)
        rows_of: dict[str, int] = {}
        records = table_rows(self.path, self.columns, reading, _LONGEST_LINE)
        for number, values in enumerate(records, start=1):
            row = dict(zip(self._roles, values, strict=True))
            text = row["text"]
            if text is not None and not isinstance(text, str):
                raise self._wrong(number, "text", f"is {type(text).__name__}, not a text.")
            id = self._id(row["id"], number) if "id" in row else str(number)
            patient, encounter = (
                self._named(row, role, number) for role in ("patient", "encounter")
            )
            key = self._key(id, encounter)
            if (first := rows_of.setdefault(key, number)) != number:
                raise self._wrong(
                    number,
                    "id",
                    f"is the same as in row {first}, but ids must be unique. Pass --id-column with "
                    "a column of unique ids, or rename this column to use the row numbers. If a "
                    "note is in several rows, keep one of them.",
                )
            text = checked(text or "", f"{self.path}, row {number}")
            origin = _origin(text, patient, encounter) if "encounter" in row else None
            yield Note(
                self.before + id,
                text,
                self._read(read_day, row, "day", number),
                origin,
                self._read(lambda value, _: note_type_of(value), row, "type", number),
                self._read(read_time, row, "time", number)
                or self._read(read_time, row, "rough time", number),
            )
        self._choices.update(reading.choices)

    def _key(self, id: str, encounter: str | None) -> str:
        """Return what must be unique: an id, which in an encounter is that of one of its notes."""
        if self.by_encounter is None:
            return id
        encounter = encounter or ""
        return f"{len(encounter)} {encounter} {id}"

    def _id(self, value: Any, number: int) -> str:
        # A float may have been an id that lost its leading zeros or its last digits.
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self._wrong(
                number,
                "id",
                f"is {'empty' if value is None else type(value).__name__}. Write ids as strings.",
            )
        return checked(str(value), self._place(number, "id"))

    def _named(self, row: Mapping[str, Any], role: str, number: int) -> str | None:
        """Return the id of a patient or an encounter; None: the cell has none."""
        name = known_id(row.get(role))
        return None if name is None else checked(name, self._place(number, role))

    def _read(
        self,
        read: Callable[[Any, date | None], T],
        row: Mapping[str, Any],
        role: str,
        number: int,
    ) -> T:
        """Return what is in the cell of a role."""
        try:
            return read(row.get(role), self._epoch)
        except ValueError as error:
            raise self._wrong(number, role, f"{error}.") from None

    @cached_property
    def _epoch(self) -> date | None:
        return sheet_epoch(self.path) if is_sheet(self.path) else None

    def _wrong(self, number: int, role: str, problem: str) -> DataError:
        return DataError(f"{self._place(number, role)}: {problem}")

    def _place(self, number: int, role: str) -> str:
        return f"{self.path}, row {number}, column {self._roles[role]!r}"

    def _require_texts(self) -> None:
        """Raise an error if the column of texts in a Parquet file has another type."""
        if not is_parquet(self.path):
            return
        kind = parquet_schema(self.path).field(self.columns[0]).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (
            pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
            or pa.types.is_string_view(kind)
        ):
            raise DataError(f"{self.path}, column {self.columns[0]!r}: has {kind}, not texts.")


def _origin(text: str, patient: str | None, encounter: str | None) -> Origin:
    """Return the origin of a text in a row."""
    return Origin(TEXT, sha256(text.encode()).hexdigest(), None, patient, encounter)
