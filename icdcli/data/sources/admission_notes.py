"""The columns of a raw table that say which note a row is: its id, its type and its time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from icdcli.data.benchmarks.protocols import PATIENT, Protocol
from icdcli.data.encounters.joining import NoteAbout
from icdcli.data.encounters.note_types import NoteTypes
from icdcli.data.encounters.times import read_time
from icdcli.data.sources.admission_join import whole_id
from icdcli.errors import ConfigError
from icdcli.io.csv_reader import Reading, plain_name


def refuse_note_types(protocol: Protocol) -> None:
    """Raise an error if a protocol defines which notes are read, so that nothing can be chosen.

    Raises:
        ConfigError: If so.
    """
    if protocol is not PATIENT:
        raise ConfigError(
            f"note_types: protocol {protocol.name} defines which notes are read. Leave it out, or "
            f"set protocol: {PATIENT.name}."
        )


@dataclass
class RawNotes:
    """The notes of one data set, in one table or several.

    Attributes:
        reading: Counts notes that aren't read.
        types: The types of the notes to read.
        number: The number of notes so far, by which they are named if a table has no ids.
    """

    reading: Reading
    types: NoteTypes
    number: int = 0
    _read: int = 0
    _without_time: int = 0

    def reads(self, type: str | None) -> bool:
        """Return whether a note of a type is read; if not, count it."""
        if self.types.reads(type):
            return True
        self.reading.drop("notes of other types", 1)
        return False

    def add(self, time: datetime | None) -> None:
        """Count a note that is read."""
        self._read += 1
        self._without_time += time is None

    def finish(self) -> None:
        """Note how many notes have no time, once all are read and ordered by it."""
        if self._without_time:
            self.reading.choices["notes without a time"] = (
                f"{self._without_time:,} of {self._read:,}; they come last in their admission"
            )


class RawNoteColumns:
    """Those of the columns that a table has; older copies of a data set lack some.

    Attributes:
        columns: Their names, in the order in which `read` receives their values.
    """

    def __init__(
        self, notes: RawNotes, available: Sequence[str], id: str, type: str, times: Sequence[str]
    ) -> None:
        """Choose the columns.

        Args:
            notes: The notes of the data set.
            available: The columns of the table.
            id: The column of ids; if it is missing, notes are numbered.
            type: The column of types.
            times: The columns of times, the most exact one first.
        """
        there = set(map(plain_name, available))
        self.columns = [name for name in (id, type, *times) if plain_name(name) in there]
        self._has_id, self._has_type = (plain_name(name) in there for name in (id, type))
        self._notes = notes

    def read(self, values: Sequence[str]) -> NoteAbout | None:
        """Return what is known of a note; None: its type isn't one of those to read."""
        self._notes.number += 1
        left = list(values)
        id = whole_id(left.pop(0) if self._has_id else "") or str(self._notes.number)
        type = left.pop(0) if self._has_type else None
        if not self._notes.reads(type):
            return None
        time = next(filter(None, map(_time, left)), None)
        self._notes.add(time)
        return NoteAbout(id, type.strip() or None if type else None, time)


def _time(value: str) -> datetime | None:
    try:
        return read_time(value)
    except ValueError:
        return None  # counted with those that are missing
