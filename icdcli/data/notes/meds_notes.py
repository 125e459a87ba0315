"""New notes in events of MEDS."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from icdcli.data.formats.conversion import TEXT
from icdcli.data.formats.meds import MedsEvents
from icdcli.data.notes.text import Note, Origin, checked
from icdcli.io.fingerprints import file_states


@dataclass(frozen=True)
class MedsNotes:
    """A file or data set of events.

    Attributes:
        path: The file or folder.
        before: A prefix of the ids.
    """

    path: Path
    before: str = ""
    _count: list[int] = field(default_factory=list, repr=False, compare=False)

    @property
    def remarks(self) -> list[str]:
        """Return how it was read, after all notes were."""
        visits = MedsEvents(self.path).visit_column
        where = f", visits by {visits}" if visits else ""
        count = sum(self._count)
        return [f"{self.path} is read as MEDS: {count:,} events with notes{where}"]

    @property
    def left_out(self) -> list[str]:
        """Return nothing: other events have no notes."""
        return []

    def state(self) -> list[str]:
        """Return the state of each file (`file_states`)."""
        return [state.key for state in file_states(MedsEvents(self.path).files).values()]

    def __iter__(self) -> Iterator[Note]:
        """Yield the notes in the order of the files; the id is the number of the event, from 1.

        Raises:
            DataError: If a file can't be read, or a text isn't plain text.
        """
        self._count[:] = [0]
        for found in MedsEvents(self.path).notes():
            self._count[0] += 1
            text = checked(found.text, f"{self.path}, event {found.number:,}")
            digest = sha256(text.encode()).hexdigest()
            origin = Origin(TEXT, digest, None, found.subject, found.visit)
            id = f"{self.before}{found.number}"
            yield Note(id, text, None, origin, found.code, found.time)
