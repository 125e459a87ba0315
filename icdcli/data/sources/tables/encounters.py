"""The rows of a table that are the notes of encounters: one document per encounter.

A row brings a note, codes, or both. The codes of an encounter are those of all of its rows, those
of notes that aren't read included. A note that is in several rows, as in tables with one row per
code, counts once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from xxhash import xxh3_64_intdigest, xxh3_128_digest

from icdcli.data.encounters.joining import NoteAbout
from icdcli.data.encounters.note_types import NoteTypes
from icdcli.data.encounters.notes_aside import NotesAside
from icdcli.data.markup import MISREAD, is_misread
from icdcli.data.sources.admission import Admission, Code
from icdcli.data.sources.admission_join import AdmissionCodes, joined_admission
from icdcli.data.sources.tables.evidence import short_value
from icdcli.data.sources.tables.reader import RowReader
from icdcli.io.csv_reader import Reading

_BETWEEN_REPORTS = 256


@dataclass(slots=True)
class _Facts:
    """What the rows of an encounter have in common.

    Attributes:
        row: Its first row.
        subject: Its patient; None: unknown.
        split: Its split; None: none.
        day: The latest day of its rows.
        codes: The hash of the first codes that a row has; 0: none has any.
        differ: Whether rows have different codes.
    """

    row: int
    subject: str | None = None
    split: str | None = None
    day: date | None = None
    codes: int = 0
    differ: bool = False


@dataclass
class EncounterRows:
    """The encounters of a table.

    Attributes:
        cells: Reads the cells.
        reading: Counts what is dropped.
        codes_of: Returns the codes of a row with a number.
        code_of: Returns the code of a string.
        splits_count: Whether the column of splits is read.
        note_types: The types of the notes to read; None: all.
    """

    cells: RowReader
    reading: Reading
    codes_of: Callable[[Mapping[str, Any], int], frozenset[Code]]
    code_of: Callable[[str], Code]
    splits_count: bool = False
    note_types: Sequence[str] | None = None
    _facts: dict[str, _Facts] = field(default_factory=dict, repr=False)
    _notes: dict[bytes, tuple[bytes, int]] = field(default_factory=dict, repr=False)
    _read: int = 0
    _without_time: int = 0

    def admissions(self, records: Iterable[Sequence[Any]], work: Path) -> Iterator[Admission]:
        """Yield the encounters with a note and a code, in the order of their first notes.

        Args:
            records: The rows, as values of the columns.
            work: A private folder for a temporary file.

        Raises:
            DataError: If a row can't be read, or contradicts another of its encounter.
        """
        types, codes = NoteTypes(self.note_types), AdmissionCodes()
        with NotesAside(work) as aside:
            for number, values in enumerate(records, start=1):
                row = self.cells.columns.row(values)
                encounter = self.cells.name(row, "encounter_column", number)
                if not any(values):  # such as the rows below a table in Excel
                    self.reading.drop("rows without text", 1)
                elif encounter is None:
                    self.reading.drop("rows without an encounter's id", 1)
                else:
                    has_codes = self._add_facts(row, encounter, number, codes)
                    self._add_note(aside, types, row, encounter, number, has_codes)
            aside.finish()
            if "note_type_column" in self.cells.columns.names:
                column = self.cells.columns.name("note_type_column")
                types.require_known(f"{self.cells.path}, column {column}")
            yield from self._joined(aside, codes)

    def _add_facts(
        self, row: Mapping[str, Any], encounter: str, number: int, codes: AdmissionCodes
    ) -> bool:
        """Add what a row says of its encounter, and return whether the row has codes."""
        facts = self._facts.setdefault(encounter, _Facts(number))
        subject = self.cells.name(row, "subject_column", number)
        if None not in (subject, facts.subject) and subject != facts.subject:
            raise self.cells.wrong(
                number,
                "encounter_column",
                f"{short_value(encounter)} is also in rows above, with another patient. Give each "
                "encounter an id of its own.",
            )
        facts.subject = facts.subject or subject
        if self.splits_count:
            split = self.cells.split(row, number)
            if facts.split not in (None, split):
                raise self.cells.wrong(
                    number,
                    "split_column",
                    f"is {split}, but row {facts.row} of the same encounter has {facts.split}. "
                    "Give all rows of an encounter the same split.",
                )
            facts.split = split
        day = self.cells.day(row, number)
        if day is not None and (facts.day is None or day > facts.day):
            facts.day = day
        found = self.codes_of(row, number)
        if found:
            digest = xxh3_64_intdigest("\n".join(sorted(map(str, found))).encode())
            if digest != facts.codes:  # mostly all rows of an encounter have the same codes
                codes.add(encounter, found)
            facts.differ = facts.differ or facts.codes not in (0, digest)
            facts.codes = facts.codes or digest
        return bool(found)

    def _add_note(
        self,
        aside: NotesAside,
        types: NoteTypes,
        row: Mapping[str, Any],
        encounter: str,
        number: int,
        has_codes: bool,
    ) -> None:
        """Put the note of a row aside, unless it has none, or one that was read already."""
        type, text = self.cells.type(row, number), self.cells.text(row, number)
        if text is None:
            self.reading.drop("rows without text", int(not has_codes))
            return
        id = self.cells.id(row, number)
        if self._is_known(encounter, id if "id_column" in row else None, text, number):
            if row.get("evidence_column"):
                raise self.cells.wrong(
                    number, "evidence_column", "is of a note in several rows. Put it into one row."
                )
            return
        if not types.reads(type):
            self.reading.drop("notes of other types", 1)
            return
        spans = self.cells.evidence(row, text, self.code_of, number)
        about = NoteAbout(id, type, self.cells.time(row, number), spans or None)
        aside.add(encounter, None, text.encode(), about)
        self._read += 1
        self._without_time += about.time is None

    def _is_known(self, encounter: str, id: str | None, text: str, number: int) -> bool:
        """Return whether the encounter has this note already; without ids, by its text.

        Raises:
            DataError: If it has another note with its id.
        """
        digest = xxh3_128_digest(text.encode())
        name = digest.hex() if id is None else id
        key = xxh3_128_digest(f"{len(encounter)} {encounter} {name}".encode())
        known, first = self._notes.setdefault(key, (digest, number))
        if known != digest:
            raise self.cells.wrong(
                number,
                "id_column",
                f"{short_value(name)} is also in row {first} of the same encounter, with another "
                "text. Give each note of an encounter an id of its own.",
            )
        return first != number

    def _joined(self, aside: NotesAside, codes: AdmissionCodes) -> Iterator[Admission]:
        encounters = aside.subjects.keys()
        codes_of = codes.of(encounters)
        self.reading.drop("encounters without text", len(self._facts.keys() - encounters))
        self.reading.drop("encounters without codes", len(encounters) - len(codes_of))
        misread = 0
        for number, encounter in enumerate(encounters, start=1):
            if encounter in codes_of:
                facts = self._facts[encounter]
                found = joined_admission(
                    *(encounter, facts.subject, aside.notes(encounter), codes_of[encounter]),
                    *(facts.split, facts.day),
                )
                misread += is_misread(found.text)
                yield found
            if self.reading.on_progress and number % _BETWEEN_REPORTS == 0:
                self.reading.on_progress("joining notes", number, len(encounters), "encounters")
        self._say(len(encounters), misread)

    def _say(self, encounters: int, misread: int) -> None:
        """Note how the rows were joined."""
        choices, columns = self.reading.choices, self.cells.columns
        by = next((one for one in ("time_column", "date_column") if one in columns.names), None)
        order = "of the table" if by is None else f"of {columns.name(by)}"
        last = (
            f"; {self._without_time:,} without a time come last in their encounter"
            if by is not None and self._without_time
            else ""
        )
        choices["notes"] = (
            f"{self._read:,} notes of {encounters:,} encounters, joined in the order {order}{last}"
        )
        if differ := sum(facts.differ for facts in self._facts.values()):
            choices["codes"] = (
                f"{differ:,} of {len(self._facts):,} encounters have rows with different codes: "
                "the codes of all rows count"
            )
        if misread:
            choices["texts"] = f"{misread:,} of the documents have {MISREAD}"
