"""The columns of a raw table that say which note a row is: its id, its type and its time."""

from collections.abc import Sequence
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


class RawNoteColumns:
    """Those of the columns that a table has; older copies of a data set lack some.

    Attributes:
        columns: Their names, in the order in which `read` receives their values.
    """

    def __init__(
        self, reading: Reading, available: Sequence[str], id: str, type: str, times: Sequence[str]
    ) -> None:
        """Choose the columns.

        Args:
            reading: Counts notes that aren't read.
            available: The columns of the table.
            id: The column of ids; if it is missing, notes are numbered.
            type: The column of types.
            times: The columns of times, the most exact one first.
        """
        there = set(map(plain_name, available))
        self.columns = [name for name in (id, type, *times) if plain_name(name) in there]
        self._has_id, self._has_type = (plain_name(name) in there for name in (id, type))
        self._reading = reading
        self._number = self._read = self._without_time = 0

    def read(self, values: Sequence[str], types: NoteTypes) -> NoteAbout | None:
        """Return what is known of a note; None: its type isn't one of those to read."""
        self._number += 1
        left = list(values)
        id = whole_id(left.pop(0) if self._has_id else "") or str(self._number)
        type = left.pop(0) if self._has_type else None
        if not types.reads(type):
            self._reading.drop("notes of other types", 1)
            return None
        time = next(filter(None, map(_time, left)), None)
        self._read += 1
        self._without_time += time is None
        return NoteAbout(id, type.strip() or None if type else None, time)

    def finish(self) -> None:
        """Note how many notes have no time, once all are read and ordered by it."""
        if self._without_time:
            self._reading.choices["notes without a time"] = (
                f"{self._without_time:,} of {self._read:,}; they come last in their admission"
            )


def _time(value: str) -> datetime | None:
    try:
        return read_time(value)
    except ValueError:
        return None  # counted with those that are missing
