"""Import notes into a review store, read them, and purge their texts."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice

from sqlalchemy import ColumnElement, Connection, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from icdcli.data.notes.text import Note
from icdcli.errors import ConfigError, DataError
from icdcli.io.progress import Progress
from icdcli.review.schema import EventRow, NoteRow, TextRow
from icdcli.review.store import Store

_AT_ONCE = 500  # notes of one statement
_SPLITS = ("train", "validation", "test")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class ReviewNote:
    """A note to review, or one of the store.

    Attributes:
        id: The note's id.
        text: The text, unchanged; None: it has been purged.
        encounter: The id of the encounter; None: unknown.
        subject: The id of the patient; None: unknown.
        day: The day of the discharge; None: unknown.
        language: The language, such as ``en``; None: unknown.
        split: ``train``, ``validation`` or ``test``, if it is already decided.
        readings: How many reviewers read it independently: 1, or 2.
    """

    id: str
    text: str | None
    encounter: str | None = None
    subject: str | None = None
    day: date | None = None
    language: str | None = None
    split: str | None = None
    readings: int = 1

    def __repr__(self) -> str:
        # A traceback or a log that shows a note must not show its text.
        size = "purged" if self.text is None else f"{len(self.text):,} characters"
        return f"ReviewNote({self.id!r}, {size})"


@dataclass(frozen=True)
class ImportedNotes:
    """What an import did.

    Attributes:
        new: The number of notes that the store didn't have.
        known: The number of notes that it had, with the same texts.
        double: The number of new notes that two reviewers read.
        empty: The number of new notes without text.
    """

    new: int
    known: int
    double: int
    empty: int


@dataclass(frozen=True)
class PurgedTexts:
    """What a purge did.

    Attributes:
        texts: The number of texts that were purged.
        notes: The number of notes that had them.
    """

    texts: int
    notes: int


def is_double(id: str, share: float, seed: int) -> bool:
    """Return whether two reviewers read a note, which depends on its id, share and seed only.

    A note that is read twice at one share is so at every higher one.
    """
    digest = hashlib.sha256(f"icdcode double {seed}:{id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share


def import_notes(
    store: Store, notes: Iterable[ReviewNote | Note], on_progress: Progress | None = None
) -> ImportedNotes:
    """Add notes to a store: all of them, or none if one of them can't be added.

    A note whose id and text the store has is left as it is, so that an import can be repeated.

    Args:
        store: The store.
        notes: The notes. A few hundred are in memory at a time.
        on_progress: Receives the progress.

    Raises:
        DataError: If the store has another text for an id, or a note can't be stored.
    """
    settings = store.settings()
    share, seed = float(settings["double_share"]), int(settings["double_seed"])
    new = known = double = empty = 0
    source = iter(notes)
    with store.writing() as connection:
        while block := [_as_review_note(note) for note in islice(source, _AT_ONCE)]:
            fresh = _unknown(connection, block)
            fresh = [replace(note, readings=1 + is_double(note.id, share, seed)) for note in fresh]
            _insert(store, connection, fresh)
            new, known = new + len(fresh), known + len(block) - len(fresh)
            double += sum(note.readings > 1 for note in fresh)
            empty += sum(not (note.text or "").strip() for note in fresh)
            if on_progress:
                on_progress("importing", new + known, 0, "notes")
    return ImportedNotes(new, known, double, empty)


def stored_note(store: Store, id: str) -> ReviewNote:
    """Return a note of a store.

    Raises:
        DataError: If the store doesn't have it.
    """
    found = _stored(store, NoteRow.id == id)
    if found is None:
        raise DataError(f"{store.name}: has no note {id!r}.")
    return found


def numbered_note(store: Store, number: int) -> ReviewNote | None:
    """Return the note with a number, its place in the order of import; None: there is none."""
    return _stored(store, NoteRow.number == number)


def _stored(store: Store, condition: ColumnElement[bool]) -> ReviewNote | None:
    with store.reading() as connection:
        query = (
            select(NoteRow, TextRow.content)
            .join(TextRow, TextRow.sha256 == NoteRow.text_sha256)
            .where(condition)
        )
        row = connection.execute(query).first()
    if row is None:
        return None
    return ReviewNote(
        row.id,
        row.content,
        row.encounter,
        row.subject,
        date.fromisoformat(row.day) if row.day else None,
        row.language,
        row.split,
        row.readings,
    )


def note_numbers(connection: Connection, ids: Sequence[str], name: str) -> dict[str, int]:
    """Return the numbers of notes.

    Args:
        connection: A connection.
        ids: The ids of the notes.
        name: The store, for the message.

    Raises:
        DataError: If there is no such note.
    """
    found: dict[str, int] = {}
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        query = select(NoteRow.id, NoteRow.number).where(NoteRow.id.in_(part))
        found.update(dict(connection.execute(query).all()))
    missing = [id for id in ids if id not in found]
    if missing:
        raise DataError(f"{name}: has no note {missing[0]!r}.")
    return found


def purge_texts(store: Store, ids: Sequence[str]) -> PurgedTexts:
    """Delete the texts of notes; decisions, suggestions and positions of evidence are kept.

    What reviewers have typed (reasons and comments) is kept, too.

    Args:
        store: The store.
        ids: The notes.

    Raises:
        ConfigError: If another note has the same text: its text would be deleted, too.
        DataError: If the store doesn't have one of the notes.
    """
    with store.writing() as connection:
        numbers = sorted(note_numbers(connection, ids, store.name).values())
        texts = notes = 0
        for start in range(0, len(numbers), _AT_ONCE):
            part = numbers[start : start + _AT_ONCE]
            hashes = set(
                connection.scalars(select(NoteRow.text_sha256).where(NoteRow.number.in_(part)))
            )
            _refuse_shared(connection, hashes, set(numbers))
            done = connection.execute(
                update(TextRow)
                .where(TextRow.sha256.in_(hashes), TextRow.content.is_not(None))
                .values(content=None)
            )
            texts, notes = texts + done.rowcount, notes + len(part)
    if store.is_sqlite:
        # secure_delete overwrites the pages of the file; the journal has their old content.
        with store.engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    return PurgedTexts(texts, notes)


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


def _as_review_note(note: ReviewNote | Note) -> ReviewNote:
    found = note if isinstance(note, ReviewNote) else ReviewNote(note.id, note.text, day=note.day)
    if not found.id or not found.id.strip():
        raise DataError("a note has no id. Give every note an id.")
    if found.text is None:
        raise DataError(f"note {found.id!r} has no text.")
    for value in (found.id, found.text):
        if "\x00" in value:
            raise DataError(f"note {found.id!r} contains a NUL character. Remove it.")
    if found.split is not None and found.split not in _SPLITS:
        raise DataError(
            f"note {found.id!r}: its split is none of {', '.join(_SPLITS)}. Correct the split."
        )
    return found


def _sha256(text: str, id: str) -> str:
    try:
        return hashlib.sha256(text.encode()).hexdigest()
    except UnicodeEncodeError:
        raise DataError(
            f"note {id!r} contains half of a character (a lone surrogate). Save it as UTF-8."
        ) from None


def _unknown(connection: Connection, block: list[ReviewNote]) -> list[ReviewNote]:
    """Return the notes that the store doesn't have, each id once.

    Raises:
        DataError: If an id has another text.
    """
    query = select(NoteRow.id, NoteRow.text_sha256).where(NoteRow.id.in_([n.id for n in block]))
    stored = dict(connection.execute(query).all())
    fresh = []
    for note in block:
        sha256 = _sha256(note.text or "", note.id)
        if note.id not in stored:
            stored[note.id] = sha256
            fresh.append(note)
        elif stored[note.id] != sha256:
            raise DataError(
                f"note {note.id!r}: there is another text with this id. No note was imported. "
                "Give the changed note an id of its own."
            )
    return fresh


def _insert(store: Store, connection: Connection, notes: list[ReviewNote]) -> None:
    if not notes:
        return
    hashes = [_sha256(note.text or "", note.id) for note in notes]
    purged = set(
        connection.scalars(
            select(TextRow.sha256).where(TextRow.sha256.in_(hashes), TextRow.content.is_(None))
        )
    )
    for note, sha256 in zip(notes, hashes, strict=True):
        if sha256 in purged:
            raise DataError(
                f"note {note.id!r}: its text was purged from this store, with the note that had "
                "it. No note was imported. Leave it out, or use another store."
            )
    dialect = sqlite if store.is_sqlite else postgresql
    texts = {
        sha256: {"sha256": sha256, "characters": len(note.text or ""), "content": note.text}
        for note, sha256 in zip(notes, hashes, strict=True)
    }
    connection.execute(dialect.insert(TextRow).on_conflict_do_nothing(), list(texts.values()))
    now = store.clock()
    rows = [
        {
            "id": note.id,
            "text_sha256": sha256,
            "encounter": note.encounter,
            "subject": note.subject,
            "day": note.day.isoformat() if note.day else None,
            "language": note.language,
            "split": note.split,
            "readings": note.readings,
            "imported_at": now,
        }
        for note, sha256 in zip(notes, hashes, strict=True)
    ]
    connection.execute(insert(NoteRow), rows)


def _refuse_shared(connection: Connection, hashes: set[str], purged: set[int]) -> None:
    query = select(NoteRow.id, NoteRow.number).where(NoteRow.text_sha256.in_(hashes))
    others = [id for id, number in connection.execute(query) if number not in purged]
    if others:
        shown = ", ".join(map(repr, others[:_SHOWN]))
        more = f" and {len(others) - _SHOWN:,} more" if len(others) > _SHOWN else ""
        raise ConfigError(
            f"the same text is in {shown}{more}. No text was purged. Purge these notes, too."
        )
