"""Purge the texts of notes that are reviewed; decisions are kept."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, func, select, update

from icdcli.errors import ConfigError
from icdcli.io.progress import Progress
from icdcli.review.notes import note_numbers
from icdcli.review.schema import EventRow, NoteRow, TextRow
from icdcli.review.store import Store, make_way

_AT_ONCE = 200  # notes of one transaction: their pages are overwritten
_SHOWN = 3


@dataclass(frozen=True)
class PurgedTexts:
    """What a purge did.

    Attributes:
        texts: The number of texts that were purged.
        notes: The number of notes that had them.
    """

    texts: int
    notes: int


def purge_texts(
    store: Store, ids: Sequence[str], on_progress: Progress | None = None
) -> PurgedTexts:
    """Delete the texts of notes; decisions, suggestions and positions of evidence are kept.

    What reviewers have typed (reasons and comments) is kept, too. A call that is killed has purged
    some of the texts, and the same call purges the rest.

    Args:
        store: The store.
        ids: The notes.
        on_progress: Receives the progress.

    Raises:
        ConfigError: If another note has the same text: its text would be deleted, too.
        DataError: If the store doesn't have one of the notes.
    """
    with store.reading() as connection:
        numbers = sorted(note_numbers(connection, ids, store.name).values())
        parts = [numbers[start : start + _AT_ONCE] for start in range(0, len(numbers), _AT_ONCE)]
        for part in parts:
            _refuse_shared(connection, _hashes(connection, part), set(numbers))
    texts = 0
    for part in parts:
        began = time.monotonic()
        with store.writing() as connection:
            hashes = _hashes(connection, part)
            _refuse_shared(connection, hashes, set(numbers))  # an import may have added one
            done = connection.execute(
                update(TextRow)
                .where(TextRow.sha256.in_(hashes), TextRow.content.is_not(None))
                .values(content=None)
            )
        texts += done.rowcount
        if on_progress is not None:
            on_progress("purging texts", min(texts, len(numbers)), len(numbers), "notes")
        make_way(store, time.monotonic() - began)
    if store.is_sqlite:
        # secure_delete overwrites the pages of the file; the journal has their old content.
        with store.engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    return PurgedTexts(texts, len(numbers))


def submitted_notes(store: Store, before: date | None = None) -> list[str]:
    """Return the notes of which all readings are submitted, in the order of import.

    Args:
        store: The store.
        before: Only notes whose last decision was made before this day.
    """
    last = (
        select(EventRow.note, EventRow.reading, func.max(EventRow.number).label("number"))
        .where(EventRow.kind.in_(("submit", "reopen")))
        .group_by(EventRow.note, EventRow.reading)
        .subquery()
    )
    submitted = (
        select(EventRow.note, func.count().label("readings"))
        .join(
            last,
            (EventRow.note == last.c.note)
            & (EventRow.reading == last.c.reading)
            & (EventRow.number == last.c.number),
        )
        .where(EventRow.kind == "submit", EventRow.reading <= 2)
        .group_by(EventRow.note)
        .subquery()
    )
    query = (
        select(NoteRow.id)
        .join(submitted, submitted.c.note == NoteRow.number)
        .where(submitted.c.readings >= NoteRow.readings)
        .order_by(NoteRow.number)
    )
    if before is not None:
        latest = select(func.max(EventRow.at)).where(EventRow.note == NoteRow.number)
        query = query.where(func.substr(latest.scalar_subquery(), 1, 10) < before.isoformat())
    with store.reading() as connection:
        return list(connection.scalars(query))


def _hashes(connection: Connection, numbers: Sequence[int]) -> set[str]:
    return set(connection.scalars(select(NoteRow.text_sha256).where(NoteRow.number.in_(numbers))))


def _refuse_shared(connection: Connection, hashes: set[str], purged: set[int]) -> None:
    query = select(NoteRow.id, NoteRow.number).where(NoteRow.text_sha256.in_(hashes))
    others = [id for id, number in connection.execute(query) if number not in purged]
    if others:
        shown = ", ".join(map(repr, others[:_SHOWN]))
        more = f" and {len(others) - _SHOWN:,} more" if len(others) > _SHOWN else ""
        raise ConfigError(
            f"the same text is in {shown}{more}. Its text wasn't purged. Purge these notes, too."
        )
