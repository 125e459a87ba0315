"""Import notes into a review store, and read them."""

import hashlib
import pickle
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from tempfile import TemporaryFile
from typing import IO

from sqlalchemy import ColumnElement, Connection, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from icdcli.data.notes.text import Note
from icdcli.errors import DataError
from icdcli.io.progress import Progress
from icdcli.review.schema import NoteRow, TextRow
from icdcli.review.store import Store, make_way

_AT_ONCE = 500  # notes of one statement
_SPLITS = ("train", "validation", "test")


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

    All notes are checked before the first is stored. They are then stored in blocks, with pauses in
    which reviewers' decisions are stored: no decision waits for the whole import. A call that is
    killed has stored some blocks, and the same call adds the rest.

    Args:
        store: The store.
        notes: The notes. A few hundred are in memory at a time.
        on_progress: Receives the progress.

    Raises:
        DataError: If the store has another text for an id, or a note can't be stored.
    """
    with TemporaryFile() as checked:  # what was checked is what is stored; it has no name
        known, blocks = _check(store, notes, checked, on_progress)
        checked.seek(0)
        return _store(store, (pickle.load(checked) for _ in range(blocks)), known, on_progress)


def _check(
    store: Store,
    notes: Iterable[ReviewNote | Note],
    into: IO[bytes],
    on_progress: Progress | None,
) -> tuple[int, int]:
    """Check all notes, and write blocks of those that the store doesn't have to a file.

    Returns:
        The number of notes that it has, and the number of blocks.
    """
    source, given, known, blocks = iter(notes), 0, 0, 0
    seen: dict[str, str] = {}
    while block := [as_review_note(note) for note in islice(source, _AT_ONCE)]:
        with store.reading() as connection:
            fresh = _unknown(connection, block, seen)
            _refuse_purged(connection, fresh)
        given, known = given + len(block), known + len(block) - len(fresh)
        if fresh:
            pickle.dump(fresh, into)
            blocks += 1
        if on_progress:
            on_progress("checking the notes", given, 0, "notes")
    return known, blocks


def _store(
    store: Store, blocks: Iterable[list[ReviewNote]], known: int, on_progress: Progress | None
) -> ImportedNotes:
    settings = store.settings()
    share, seed = float(settings["double_share"]), int(settings["double_seed"])
    new = double = empty = 0
    for block in blocks:
        began = time.monotonic()
        block = [replace(note, readings=1 + is_double(note.id, share, seed)) for note in block]
        try:
            fresh = _insert_unknown(store, block)
        except IntegrityError:  # another import has just added one of them
            fresh = _insert_unknown(store, block)
        new, known = new + len(fresh), known + len(block) - len(fresh)
        double += sum(note.readings > 1 for note in fresh)
        empty += sum(not (note.text or "").strip() for note in fresh)
        if on_progress:
            on_progress("importing", new + known, 0, "notes")
        make_way(store, time.monotonic() - began)
    return ImportedNotes(new, known, double, empty)


def _insert_unknown(store: Store, block: list[ReviewNote]) -> list[ReviewNote]:
    """Insert the notes that no other import has added since they were checked; return them."""
    with store.writing() as connection:
        fresh = _unknown(connection, block, {})
        _insert(store, connection, fresh)
    return fresh


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


def note_count(store: Store) -> int:
    """Return the number of notes of a store."""
    with store.reading() as connection:
        return int(connection.scalar(select(func.count()).select_from(NoteRow)) or 0)


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


def as_review_note(note: ReviewNote | Note) -> ReviewNote:
    """Return a note to review, if it can be stored.

    Raises:
        DataError: If it has no id or no text, or one that can't be stored.
    """
    found = note if isinstance(note, ReviewNote) else _of_note(note)
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


def _of_note(note: Note) -> ReviewNote:
    encounter, subject = (
        (note.origin.encounter, note.origin.patient) if note.origin else (None, None)
    )
    return ReviewNote(note.id, note.text, encounter, subject, note.day)


def _sha256(text: str, id: str) -> str:
    try:
        return hashlib.sha256(text.encode()).hexdigest()
    except UnicodeEncodeError:
        raise DataError(
            f"note {id!r} contains half of a character (a lone surrogate). Save it as UTF-8."
        ) from None


def _unknown(
    connection: Connection, block: list[ReviewNote], seen: dict[str, str]
) -> list[ReviewNote]:
    """Return the notes that the store doesn't have, each id once.

    Args:
        connection: A connection.
        block: The notes.
        seen: The hashes of the texts of the import by ids; added to.

    Raises:
        DataError: If an id has another text.
    """
    query = select(NoteRow.id, NoteRow.text_sha256).where(NoteRow.id.in_([n.id for n in block]))
    stored = dict(connection.execute(query).all())
    stored |= {note.id: seen[note.id] for note in block if note.id in seen}
    fresh = []
    for note in block:
        sha256 = _sha256(note.text or "", note.id)
        if note.id not in stored:
            stored[note.id] = seen[note.id] = sha256
            fresh.append(note)
        elif stored[note.id] != sha256:
            raise DataError(
                f"note {note.id!r}: there is another text with this id. It wasn't imported. Give "
                "the changed note an id of its own."
            )
    return fresh


def _refuse_purged(connection: Connection, notes: list[ReviewNote]) -> None:
    ids = {_sha256(note.text or "", note.id): note.id for note in notes}
    purged = connection.scalars(
        select(TextRow.sha256).where(TextRow.sha256.in_(ids), TextRow.content.is_(None))
    )
    if (sha256 := purged.first()) is not None:
        raise DataError(
            f"note {ids[sha256]!r}: its text was purged from this store, with the note that had "
            "it. It wasn't imported. Leave it out, or use another store."
        )


def _insert(store: Store, connection: Connection, notes: list[ReviewNote]) -> None:
    if not notes:
        return
    _refuse_purged(connection, notes)
    hashes = [_sha256(note.text or "", note.id) for note in notes]
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
