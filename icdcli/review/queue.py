"""The queue: which note a reviewer reads next, by uncertainty, by age or by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy.orm import aliased

from icdcli.errors import ConfigError
from icdcli.review.notes import note_numbers
from icdcli.review.readings import ADJUDICATION
from icdcli.review.schema import EventRow, NoteRow, QueueRow, SuggestionRow, SuggestionSetRow
from icdcli.review.store import Store

QueueOrder = Literal["uncertainty", "age"]
TaskStatus = Literal["open", "started", "submitted"]
_MARKS = ("submit", "reopen")
_LOCK = 0x1CDC0DF  # of PostgreSQL: one reviewer at a time takes a task


@dataclass(frozen=True)
class ReviewTask:
    """A reading of a note that is to be done, or done.

    Attributes:
        id: The note.
        reading: The number of the reading; 3: two blind readings differ, and a third settles it.
        status: ``open`` (nobody has decided anything), ``started`` or ``submitted``.
        uncertainty: How many wrong choices are expected of the newest suggestions; None: the note
            has none.
        priority: What was set by hand; the highest comes first.
        assignee: The reviewer that it is assigned to; None: everybody.
        reviewer: The author of the first decision; None: there is none.
        day: The day of the discharge; None: unknown.
        language: The language of the note; None: unknown.
        number: The number of the note in the store.
    """

    id: str
    reading: int
    status: TaskStatus
    uncertainty: float | None
    priority: int
    assignee: str | None
    reviewer: str | None
    day: str | None
    language: str | None
    number: int


@dataclass(frozen=True)
class TaskFilter:
    """Which tasks are listed; None: all.

    Attributes:
        status: Those with this status.
        assignee: Those assigned to this reviewer.
        language: Those of notes in this language.
        code: Those of notes whose newest suggestions have this code.
        reading: Those of this reading; 3: adjudication.
    """

    status: TaskStatus | None = None
    assignee: str | None = None
    language: str | None = None
    code: str | None = None
    reading: int | None = None


def list_tasks(
    store: Store,
    which: TaskFilter | None = None,
    *,
    order: QueueOrder = "uncertainty",
    limit: int = 100,
    offset: int = 0,
) -> list[ReviewTask]:
    """Return tasks: those with the highest priority first, then by the order.

    Args:
        store: The store.
        which: The tasks to list; None: all.
        order: ``uncertainty``: the most uncertain first; ``age``: the first imported first.
        limit: The most tasks to return.
        offset: The number of tasks to leave out at the beginning.
    """
    tasks = _tasks(which or TaskFilter())
    query = _ordered(select(tasks), tasks, order).limit(limit).offset(offset)
    with store.reading() as connection:
        return [_task(row) for row in connection.execute(query)]


def take_task(
    store: Store,
    reviewer: str,
    which: TaskFilter | None = None,
    *,
    order: QueueOrder = "uncertainty",
    adjudicates: bool = False,
) -> ReviewTask | None:
    """Return the next task of a reviewer and assign it, so that nobody else receives it.

    What the reviewer has started or was assigned comes before what is open to everybody, if its
    priority isn't lower. Tasks that others have started or were assigned are left out, and so are
    notes that the reviewer has decided on in another reading.

    Args:
        store: The store.
        reviewer: The reviewer.
        which: Only these tasks; None: all.
        order: See `list_tasks`.
        adjudicates: Whether the reviewer may settle differences.

    Returns:
        The task; None: there is none.
    """
    tasks = _tasks(which or TaskFilter())
    other = aliased(EventRow)
    in_another_reading = (
        select(other.sequence)
        .where(other.note == tasks.c.number, other.author == reviewer)
        .where(other.reading != tasks.c.reading)
        .exists()
    )
    assigned = aliased(QueueRow)
    in_another_task = (
        select(assigned.sequence)
        .where(assigned.note == tasks.c.number, assigned.reading != tasks.c.reading)
        .where(assigned.assignee == reviewer)
        .exists()
    )
    own = or_(tasks.c.reviewer == reviewer, tasks.c.assignee == reviewer)
    query = (
        select(tasks)
        .where(tasks.c.status != "submitted")
        .where(or_(tasks.c.assignee.is_(None), tasks.c.assignee == reviewer))
        .where(or_(tasks.c.reviewer.is_(None), tasks.c.reviewer == reviewer))
        .where(not_(in_another_reading), not_(in_another_task))
    )
    if not adjudicates:
        query = query.where(tasks.c.reading != ADJUDICATION)
    query = _ordered(query, tasks, order, first=case((own, 0), else_=1)).limit(1)
    with store.writing() as connection:
        if not store.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        row = connection.execute(query).first()
        if row is None:
            return None
        if row.assignee is None:
            _change(store, connection, [row.number], row.reading, reviewer, row.priority, reviewer)
    return _task(row, assignee=reviewer)


def change_queue(
    store: Store,
    ids: Sequence[str],
    *,
    author: str,
    priority: int = 0,
    assignee: str | None = None,
    reading: int = 1,
) -> None:
    """Set the priority and the assignee of notes by hand.

    Args:
        store: The store.
        ids: The notes.
        author: Who does it.
        priority: The highest comes first; 0: as all others.
        assignee: Only this reviewer receives them; None: everybody does.
        reading: The number of the reading.

    Raises:
        ConfigError: If there is no such reading.
        DataError: If the store doesn't have one of the notes.
    """
    if reading not in (1, 2, ADJUDICATION):
        raise ConfigError(f"there is no reading {reading}: expected 1, 2 or {ADJUDICATION}.")
    with store.writing() as connection:
        numbers = list(note_numbers(connection, ids, store.name).values())
        _change(store, connection, numbers, reading, author, priority, assignee)


def assignee_of(connection: Connection, note: int, reading: int) -> str | None:
    """Return the reviewer that a reading is assigned to; None: everybody may read it."""
    query = (
        select(QueueRow.assignee)
        .where(QueueRow.note == note, QueueRow.reading == reading)
        .order_by(QueueRow.sequence.desc())
        .limit(1)
    )
    found: str | None = connection.scalar(query)
    return found


def count_tasks(store: Store, which: TaskFilter | None = None) -> dict[TaskStatus, int]:
    """Return the number of tasks by status: the progress."""
    tasks = _tasks(which or TaskFilter())
    query = select(tasks.c.status, func.count()).group_by(tasks.c.status)
    with store.reading() as connection:
        found: dict[str, int] = dict(connection.execute(query).all())
    return {
        "open": found.get("open", 0),
        "started": found.get("started", 0),
        "submitted": found.get("submitted", 0),
    }


def _change(
    store: Store,
    connection: Connection,
    numbers: Sequence[int],
    reading: int,
    author: str,
    priority: int,
    assignee: str | None,
) -> None:
    now = store.clock()
    rows = [
        {
            "note": number,
            "reading": reading,
            "author": author,
            "at": now,
            "priority": priority,
            "assignee": assignee,
        }
        for number in numbers
    ]
    if rows:
        connection.execute(insert(QueueRow), rows)


def _last_mark(column: Any, note: Any, reading: Any) -> Any:
    """Return the column of the last submission or reopening of a reading."""
    marks = aliased(EventRow)
    return (
        select(getattr(marks, column))
        .where(marks.note == note, marks.reading == reading, marks.kind.in_(_MARKS))
        .order_by(marks.number.desc())
        .limit(1)
        .scalar_subquery()
    )


def _tasks(which: TaskFilter) -> Any:
    """Return the query of all tasks, as a subquery."""
    notes = NoteRow
    number: Any = notes.number
    kinds = [_last_mark("kind", number, reading) for reading in (1, 2)]
    outcomes = [_last_mark("outcome", number, reading) for reading in (1, 2)]
    differ = and_(kinds[0] == "submit", kinds[1] == "submit", outcomes[0] != outcomes[1])
    readings = union_all(
        select(number.label("number"), literal(1).label("reading")),
        select(number, literal(2)).where(notes.readings > 1),
        select(number, literal(ADJUDICATION)).where(notes.readings > 1, differ),
    ).subquery()
    first, sets = aliased(EventRow), aliased(SuggestionSetRow)
    author = (
        select(first.author)
        .where(first.note == readings.c.number, first.reading == readings.c.reading)
        .where(first.number == 1)
        .scalar_subquery()
    )

    def newest(column: Any) -> Any:
        return (
            select(column)
            .where(sets.note == readings.c.number)
            .order_by(sets.number.desc())
            .limit(1)
            .correlate(readings)
            .scalar_subquery()
        )

    mark = _last_mark("kind", readings.c.number, readings.c.reading)
    status = case((author.is_(None), "open"), (mark == "submit", "submitted"), else_="started")
    last = (
        select(func.max(QueueRow.sequence).label("sequence"))
        .group_by(QueueRow.note, QueueRow.reading)
        .subquery()
    )
    changes = (
        select(QueueRow.note, QueueRow.reading, QueueRow.priority, QueueRow.assignee)
        .join(last, last.c.sequence == QueueRow.sequence)
        .subquery()
    )
    query = (
        select(
            readings.c.number,
            readings.c.reading,
            notes.id,
            notes.day,
            notes.language,
            author.label("reviewer"),
            status.label("status"),
            newest(sets.uncertainty).label("uncertainty"),
            func.coalesce(changes.c.priority, 0).label("priority"),
            changes.c.assignee,
        )
        .join(notes, number == readings.c.number)
        .outerjoin(
            changes,
            and_(changes.c.note == readings.c.number, changes.c.reading == readings.c.reading),
        )
    )
    conditions: list[ColumnElement[bool]] = [true()]
    if which.assignee is not None:
        conditions.append(changes.c.assignee == which.assignee)
    if which.language is not None:
        conditions.append(notes.language == which.language)
    if which.reading is not None:
        conditions.append(readings.c.reading == which.reading)
    if which.code is not None:
        conditions.append(
            select(SuggestionRow.rank)
            .where(SuggestionRow.suggestion_set == newest(sets.number))
            .where(SuggestionRow.code == which.code)
            .correlate(readings)
            .exists()
        )
    if which.status is not None:
        conditions.append(status == which.status)
    return query.where(*conditions).subquery()


def _ordered(query: Select[Any], tasks: Any, order: QueueOrder, first: Any = None) -> Select[Any]:
    keys = [tasks.c.priority.desc()]
    if first is not None:
        keys.append(first)
    if order == "uncertainty":
        keys.append(func.coalesce(tasks.c.uncertainty, -1.0).desc())
    elif order != "age":
        raise ConfigError(f"order: expected uncertainty or age, not {order!r}.")
    return query.order_by(*keys, tasks.c.number, tasks.c.reading)


def _task(row: Any, assignee: str | None = None) -> ReviewTask:
    return ReviewTask(
        row.id,
        row.reading,
        row.status,
        row.uncertainty,
        row.priority,
        assignee or row.assignee,
        row.reviewer,
        row.day,
        row.language,
        row.number,
    )
