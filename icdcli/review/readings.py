"""Read and append the decisions of a reading: one reviewer's, or shared, work on one note.

A note has one reading, which reviewers share, or two blind ones by different reviewers; a third
settles where these two differ. Each event has the number of the one before it plus one, and the
database accepts a number once: of two reviewers who decide at the same time, one is refused and
receives the other's events.
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from icdcli.errors import ConfigError, DataError
from icdcli.review.decisions import DecisionDraft, DecisionEvent
from icdcli.review.schema import EventRow, NoteRow, TextRow
from icdcli.review.state import ReviewState, check_draft, fold
from icdcli.review.store import Store
from icdcli.review.suggestions import SuggestionSet, read_suggestions

ADJUDICATION = 3
"""The number of the reading that settles the differences of two blind ones."""

HardFindings = Callable[[ReviewState], Collection[str]]
"""Returns the hard findings of the checks of the codes of a state."""


class StaleDecisionError(DataError):
    """A decision on a state that others have changed; nothing was stored.

    Attributes:
        newer: The events that its author hasn't seen.
        state: The state after them.
    """

    def __init__(self, message: str, newer: Sequence[DecisionEvent], state: ReviewState) -> None:
        super().__init__(message)
        self.newer, self.state = tuple(newer), state


@dataclass(frozen=True)
class Appended:
    """Decisions that are stored, on the disk.

    Attributes:
        events: The events of the call.
        state: The state after them.
    """

    events: tuple[DecisionEvent, ...]
    state: ReviewState


def outcome_of(codes: Collection[str]) -> str:
    """Return a hash of a set of codes, by which submitted readings are compared."""
    return hashlib.sha256("\n".join(sorted(codes)).encode()).hexdigest()


def read_events(store: Store, id: str, reading: int = 1) -> list[DecisionEvent]:
    """Return the events of a reading in their order.

    Args:
        store: The store.
        id: The note.
        reading: The number of the reading.

    Raises:
        DataError: If the store doesn't have the note.
    """
    with store.reading() as connection:
        return stored_events(connection, _note(store, connection, id).number, reading)


def read_state(store: Store, id: str, reading: int = 1) -> ReviewState:
    """Return the state of a reading; see `read_events`."""
    return fold(read_events(store, id, reading))


def append_decisions(
    store: Store,
    id: str,
    drafts: Sequence[DecisionDraft],
    *,
    author: str,
    seen: int,
    reading: int = 1,
    suggestion_set: int | None = None,
    hard_findings: Collection[str] | HardFindings = (),
) -> Appended:
    """Store decisions: all of them or, if one is refused, none.

    When it returns, they are on the disk. Drafts whose ``request`` is stored already are returned
    as they are, so that a client that got no answer can send them again.

    Args:
        store: The store.
        id: The note.
        drafts: The decisions, in their order.
        author: The reviewer.
        seen: The number of the last event that the reviewer has seen; 0: none.
        reading: The number of the reading.
        suggestion_set: The number of the suggestions that the reviewer has seen; None: the newest.
        hard_findings: The hard findings in the codes, which need an override before submission; or
            a function that returns those of a state, since drafts before the submission may change
            the codes.

    Raises:
        StaleDecisionError: If the reading has newer events.
        ConfigError: If a decision isn't possible, or the reading isn't the author's.
        DataError: If the store doesn't have the note or the suggestions.
    """
    if not author.strip():
        raise ConfigError("a decision needs the name of its author.")
    try:
        with store.writing() as connection:
            note = _note(store, connection, id)
            events = stored_events(connection, note.number, reading)
            if (sent := _sent_before(events, drafts)) is not None:
                return Appended(tuple(sent), fold(events))
            _check_reader(connection, note, reading, author)
            if seen != (events[-1].number if events else 0):
                raise _stale(id, events, seen)
            shown = read_suggestions(connection, note.number, number=suggestion_set)
            if suggestion_set is not None and shown is None:
                raise DataError(f"note {id!r}: has no suggestions {suggestion_set}.")
            added = _made(store, events, drafts, author, shown, note.characters, hard_findings)
            rows = [_row(note.number, reading, one) for one in added]
            if rows:
                connection.execute(insert(EventRow), rows)
            return Appended(tuple(added), fold([*events, *added]))
    except IntegrityError:
        # Another connection has stored an event with this number since this one has read; it may
        # be the same draft, sent twice.
        events = read_events(store, id, reading)
        if (sent := _sent_before(events, drafts)) is not None:
            return Appended(tuple(sent), fold(events))
        raise _stale(id, events, seen) from None


def _stale(id: str, events: Sequence[DecisionEvent], seen: int) -> StaleDecisionError:
    newer = [one for one in events if one.number > seen]
    authors = ", ".join(sorted({one.author for one in newer})) or "nobody"
    return StaleDecisionError(
        f"note {id!r}: there are {len(newer)} newer decisions, by {authors}. Nothing was stored: "
        "look at them, then decide again.",
        newer,
        fold(events),
    )


def _sent_before(
    events: Sequence[DecisionEvent], drafts: Sequence[DecisionDraft]
) -> list[DecisionEvent] | None:
    """Return the events of drafts that are stored already; None: they aren't."""
    stored = {one.request: one for one in events if one.request is not None}
    found = [stored[one.request] for one in drafts if one.request in stored]
    return found if found and len(found) == len(drafts) else None


def _made(
    store: Store,
    events: Sequence[DecisionEvent],
    drafts: Sequence[DecisionDraft],
    author: str,
    shown: SuggestionSet | None,
    characters: int,
    hard_findings: Collection[str] | HardFindings,
) -> list[DecisionEvent]:
    """Return the events of drafts, each checked in the state that it is made in."""
    suggestions = shown.suggestions if shown else ()
    made: list[DecisionEvent] = []
    state = fold(events)
    for draft in drafts:
        hard = hard_findings
        if callable(hard):
            hard = hard(state) if draft.kind == "submit" else ()
        check_draft(
            state,
            draft,
            characters=characters,
            suggested=[one.code for one in suggestions],
            required=[one.code for one in suggestions if one.is_predicted],
            hard_findings=hard,
        )
        event = DecisionEvent(
            number=state.number + 1,
            author=author,
            at=store.clock(),
            kind=draft.kind,
            details=dict(draft.details),
            before=state.part(draft.kind, draft.details),
            seconds=float(draft.seconds),
            suggestion_set=shown.number if shown else None,
            model=shown.model if shown else None,
            editions=dict(shown.editions) if shown else {},
            request=draft.request,
        )
        state = fold([*events, *made, event])
        after = state.part(draft.kind, draft.details)
        made.append(DecisionEvent(**{**vars(event), "after": after}))
    return made


def _row(note: int, reading: int, event: DecisionEvent) -> dict[str, Any]:
    outcome = outcome_of(event.after["codes"]) if event.kind == "submit" else None
    return {**vars(event), "note": note, "reading": reading, "outcome": outcome}


def stored_events(connection: Connection, note: int, reading: int) -> list[DecisionEvent]:
    """Return what `read_events` does, for the number of a note."""
    query = (
        select(EventRow)
        .where(EventRow.note == note, EventRow.reading == reading)
        .order_by(EventRow.number)
    )
    return [event_of_row(row) for row in connection.execute(query)]


def event_of_row(row: Any) -> DecisionEvent:
    """Return the event of a row of the table of events."""
    return DecisionEvent(**{name: getattr(row, name) for name in DecisionEvent.__annotations__})


def _note(store: Store, connection: Connection, id: str) -> Any:
    query = (
        select(NoteRow.number, NoteRow.readings, TextRow.characters)
        .join(TextRow, TextRow.sha256 == NoteRow.text_sha256)
        .where(NoteRow.id == id)
    )
    row = connection.execute(query).first()
    if row is None:
        raise DataError(f"{store.name}: has no note {id!r}.")
    return row


def _check_reader(connection: Connection, note: Any, reading: int, author: str) -> None:
    """Check that a reading exists, and that its author may work on it.

    Raises:
        ConfigError: If not.
    """
    if reading not in range(1, note.readings + 1) and not (
        reading == ADJUDICATION and note.readings > 1
    ):
        raise ConfigError(f"the note has no reading {reading}.")
    if note.readings == 1:
        return
    query = (
        select(EventRow.reading, EventRow.author)
        .where(EventRow.note == note.number)
        .group_by(EventRow.reading, EventRow.author)
    )
    authors: dict[int, set[str]] = {}
    for number, name in connection.execute(query):
        authors.setdefault(number, set()).add(name)
    if any(author in names for number, names in authors.items() if number != reading):
        raise ConfigError(
            "two reviewers and an adjudicator decide on this note independently; "
            f"{author} has decided on it before."
        )
    if reading != ADJUDICATION and authors.get(reading, {author}) != {author}:
        raise ConfigError("another reviewer has begun this blind reading. Take the other one.")
    if reading == ADJUDICATION and len(submitted_outcomes(connection, note.number)) < 2:
        raise ConfigError("the two readings aren't submitted yet, so that nothing can be settled.")


def submitted_outcomes(connection: Connection, note: int) -> dict[int, str]:
    """Return the outcome of each reading of a note that is submitted."""
    query = (
        select(EventRow.reading, EventRow.kind, EventRow.outcome)
        .where(EventRow.note == note, EventRow.kind.in_(("submit", "reopen")))
        .order_by(EventRow.reading, EventRow.number)
    )
    last = {reading: (kind, outcome) for reading, kind, outcome in connection.execute(query)}
    return {
        reading: outcome
        for reading, (kind, outcome) in last.items()
        if kind == "submit" and outcome is not None
    }
