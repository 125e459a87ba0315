"""New notes in OMOP's table NOTE of a database."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from icdcli.data.encounters.ids import known_id
from icdcli.data.encounters.times import read_time
from icdcli.data.formats.conversion import TEXT
from icdcli.data.formats.database import NOTE_COLUMNS, note_rows, notes_state
from icdcli.data.notes.text import Note, Origin, checked
from icdcli.errors import DataError
from icdcli.icd.days import read_day
from icdcli.io.tables.database import without_password

OMOP_COLUMNS = ("note_datetime", "note_date", "note_class_concept_id")
"""The columns of NOTE with the exact time, the day and the type of a note."""


@dataclass(frozen=True)
class DatabaseNotes:
    """The table NOTE of a database.

    Attributes:
        url: The address of the database.
        before: A prefix of the ids.
        date_column: The column of the days of discharge; None: they are unknown.
        by_encounter: Whether times and types are read, since notes are joined to encounters.
    """

    url: str
    before: str = ""
    date_column: str | None = None
    by_encounter: bool = False

    @property
    def remarks(self) -> list[str]:
        """Return how it is read."""
        return [f"{without_password(self.url)} is read as OMOP's table NOTE, read only"]

    @property
    def left_out(self) -> list[str]:
        """Return nothing: all rows are read."""
        return []

    def state(self) -> list[str]:
        """Return strings that change when the notes do."""
        return [*notes_state(self.url), str(self.date_column)]

    def __iter__(self) -> Iterator[Note]:
        """Yield the notes of the rows; a row without a text is a note without text.

        Raises:
            DataError: If a row can't be read, or has the id of another.
        """
        own = OMOP_COLUMNS if self.by_encounter else ()
        more = (*own, *(() if self.date_column is None else (self.date_column,)))
        previous: str | None = None
        for number, row in enumerate(note_rows(self.url, more), start=1):
            id, text, person, visit = row[: len(NOTE_COLUMNS)]
            where = f"{without_password(self.url)}, note {id}"
            if str(id) == previous:  # they are in the order of their ids
                raise DataError(f"{where}: is there twice. Keep one of the two rows.")
            if text is not None and not isinstance(text, str):
                raise DataError(f"{where}: note_text is {type(text).__name__}, not a text.")
            previous = str(id)
            exact, rough, kind = row[len(NOTE_COLUMNS) :][:3] if own else (None,) * 3
            reads = self.date_column
            try:
                day = None if self.date_column is None else read_day(row[-1], None)
                reads = f"{OMOP_COLUMNS[0]} or {OMOP_COLUMNS[1]}"
                time = read_time(exact) or read_time(rough)
            except ValueError as error:
                raise DataError(f"{where}, row {number}: {reads} {error}.") from None
            text = checked(text or "", where)
            digest = sha256(text.encode()).hexdigest()
            origin = Origin(TEXT, digest, None, known_id(person), known_id(visit))
            kind = None if kind is None else str(kind)
            yield Note(self.before + previous, text, day, origin, kind, time)
