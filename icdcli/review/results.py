"""What reviewers have decided: the final codes of notes, and pairs of blind readings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from icdcli.review.decisions import DecisionEvent
from icdcli.review.readings import ADJUDICATION, event_of_row
from icdcli.review.schema import EventRow, NoteRow
from icdcli.review.state import ReviewState, fold
from icdcli.review.store import Store

_AT_ONCE = 200  # notes whose events are in memory together


@dataclass(frozen=True)
class SubmittedReading:
    """A reading that is submitted.

    Attributes:
        note: The number of the note.
        id: The note.
        reading: The number of the reading.
        events: Its events.
        state: The state after them.
    """

    note: int
    id: str
    reading: int
    events: tuple[DecisionEvent, ...]
    state: ReviewState

    @property
    def reviewers(self) -> tuple[str, ...]:
        """Return the authors of its events, each once, in the order of their first decision."""
        return tuple(dict.fromkeys(one.author for one in self.events))

    @property
    def seconds(self) -> float:
        """Return the time that was spent on it."""
        return sum(one.seconds for one in self.events)

    @property
    def submitted(self) -> DecisionEvent:
        """Return the event of its last submission."""
        return next(one for one in reversed(self.events) if one.kind == "submit")

    @property
    def submitted_at(self) -> datetime:
        """Return when it was submitted for the last time."""
        return self.submitted.at


@dataclass(frozen=True)
class NoteReadings:
    """The submitted readings of a note.

    Attributes:
        id: The note.
        expected: How many reviewers read it independently.
        submitted: Number of the reading to the reading.
    """

    id: str
    expected: int
    submitted: dict[int, SubmittedReading]

    @property
    def final(self) -> SubmittedReading | None:
        """Return the reading that counts; None: the note isn't finished.

        It is the adjudicator's, if there is one; of two readings with the same codes, the first.
        """
        if ADJUDICATION in self.submitted:
            return self.submitted[ADJUDICATION]
        if len(self.submitted) < self.expected:
            return None
        codes = {frozenset(one.state.codes) for one in self.submitted.values()}
        return self.submitted[1] if len(codes) == 1 else None

    @property
    def blind(self) -> tuple[SubmittedReading, SubmittedReading] | None:
        """Return the two blind readings; None: there aren't two that are submitted."""
        if {1, 2} <= self.submitted.keys():
            return self.submitted[1], self.submitted[2]
        return None


def submitted_readings(store: Store) -> Iterator[NoteReadings]:
    """Yield the notes with a submitted reading, in the order of import."""
    with store.reading() as connection:
        notes = connection.execute(
            select(NoteRow.number, NoteRow.id, NoteRow.readings)
            .where(
                select(EventRow.sequence)
                .where(EventRow.note == NoteRow.number, EventRow.kind == "submit")
                .exists()
            )
            .order_by(NoteRow.number)
        ).all()
        for start in range(0, len(notes), _AT_ONCE):
            part = notes[start : start + _AT_ONCE]
            events = _events(connection, [row.number for row in part])
            for row in part:
                readings = {
                    reading: SubmittedReading(row.number, row.id, reading, tuple(found), state)
                    for reading, found in events[row.number].items()
                    if (state := fold(found)).submitted
                }
                if readings:
                    yield NoteReadings(row.id, row.readings, readings)


def _events(
    connection: Connection, notes: Sequence[int]
) -> dict[int, dict[int, list[DecisionEvent]]]:
    query = (
        select(EventRow)
        .where(EventRow.note.in_(notes))
        .order_by(EventRow.note, EventRow.reading, EventRow.number)
    )
    found: dict[int, dict[int, list[DecisionEvent]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.note, {}).setdefault(row.reading, []).append(event_of_row(row))
    return found
