"""New notes joined to encounters, as the documents of a corpus are.

All notes are read and put aside in a private temporary folder, since those of an encounter may be
far apart; memory holds one encounter at a time.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from xxhash import xxh3_128_hexdigest

from icdcli.data.encounters.joining import NoteAbout, join_notes
from icdcli.data.encounters.note_types import NoteTypes
from icdcli.data.encounters.notes_aside import NotesAside
from icdcli.data.formats.conversion import TEXT
from icdcli.data.notes.text import LONGEST, Note, Origin, is_text
from icdcli.errors import DataError, counted


@dataclass(frozen=True)
class ByEncounter:
    """How notes are joined to encounters.

    Attributes:
        encounter_column: The column of encounters in tables; None: only OMOP's tables have one.
        time_column: The column of times in tables, by which notes are ordered; None: the usual one
            of OMOP, or the order of the rows.
        note_type_column: The column of types in tables; None: the usual one of OMOP, or none.
        note_types: The types of the notes to read; None: all.
        subject_column: The column of patients in tables; None: ``subject_id`` if there is one.
    """

    encounter_column: str | None = None
    time_column: str | None = None
    note_type_column: str | None = None
    note_types: tuple[str, ...] | None = None
    subject_column: str | None = None


@dataclass
class EncounterJoiner:
    """Joins notes, and counts what became of them in the last pass.

    Attributes:
        by: How they are joined.
    """

    by: ByEncounter
    _read: int = field(default=0, repr=False)
    _encounters: int = field(default=0, repr=False)
    _without_time: int = field(default=0, repr=False)
    _alone: int = field(default=0, repr=False)
    _other_types: int = field(default=0, repr=False)

    @property
    def state(self) -> str:
        """Return a hash of how notes are joined."""
        return xxh3_128_hexdigest(json.dumps(asdict(self.by)).encode())

    @property
    def remarks(self) -> list[str]:
        """Return what became of the notes, after all were read."""
        timed = self._read > self._without_time
        order = "of their times" if timed else "of the files, since none has a time"
        notes, encounters = counted(self._read, "note"), counted(self._encounters, "encounter")
        counts = {
            "without a time, which come last": self._without_time if timed else 0,
            "of other types, which aren't read": self._other_types,
            "without an encounter, which are coded on their own": self._alone,
        }
        found = [f"{notes} of {encounters}, joined in the order {order}"] if self._read else []
        found += [f"notes {which}: {count:,}" for which, count in counts.items() if count]
        return ["; ".join(found)] if found else []

    def join(self, notes: Iterator[Note]) -> Iterator[Note]:
        """Yield the encounters in the order of their first notes, each as one note.

        A note without an encounter stays as it is, and so does an encounter of which no note has a
        text.

        Args:
            notes: The notes.

        Raises:
            DataError: If an encounter has notes of two patients, two notes with one id or more text
                than a note may have, or if no note is of a type.
        """
        self._read = self._without_time = self._alone = self._other_types = 0
        alone: dict[str, None] = {}
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="icdcode-"))
                aside = stack.enter_context(NotesAside(Path(folder)))
                self._read_all(notes, aside, alone)
                aside.finish()
            except OSError as error:
                raise DataError(
                    f"the notes can't be stored in {tempfile.gettempdir()} ({error.strerror}). Set "
                    "TMPDIR to a folder with more space."
                ) from None
            self._alone, self._encounters = len(alone), len(aside.subjects) - len(alone)
            for key in aside.subjects:
                yield self._joined(aside, key, alone)

    def _read_all(self, notes: Iterator[Note], aside: NotesAside, alone: dict[str, None]) -> None:
        """Put all notes aside, and remember those without an encounter."""
        types = NoteTypes(self.by.note_types)
        for note in notes:
            if not types.reads(note.type):
                self._other_types += 1
                continue
            encounter = note.origin.encounter if note.origin is not None else None
            if encounter is None:
                alone[note.id] = None
            self._put_aside(aside, encounter, note)
        if self.by.note_types is not None:
            types.require_known("the notes", "--note-types")

    def _put_aside(self, aside: NotesAside, encounter: str | None, note: Note) -> None:
        patient = note.origin.patient if note.origin is not None else None
        about = NoteAbout(note.id, note.type, note.time, (note.day, note.origin))
        if encounter is not None:
            self._read += 1
            self._without_time += note.time is None
        try:
            aside.add(_key(encounter, note.id), patient, note.text.encode(), about)
        except ValueError as error:
            raise DataError(f"encounter {encounter}: {error}.") from None

    def _joined(self, aside: NotesAside, key: str, alone: dict[str, None]) -> Note:
        """Return an encounter as one note, or a note that has none."""
        notes = aside.notes(key)
        days, origins = zip(*(one.about.more for one in notes), strict=True)
        day = max(filter(None, days), default=None)
        is_alone, id = key[0] == _ALONE, key[1:]
        if is_alone:
            (one,) = notes
            return Note(id, one.text, day, origins[0], *one.about[1:3])
        if id in alone:
            raise DataError(
                f"encounter {id}: a note without an encounter has this id. Give it another one."
            )
        with_text = [one for one in notes if is_text(one.text)]
        seen: set[str] = set()
        for one in with_text:
            if one.about.id in seen:
                raise DataError(
                    f"encounter {id}: has two notes with the id {one.about.id}. Give each an id of "
                    "its own."
                )
            seen.add(one.about.id)
        first = next(filter(None, origins), None)
        if not with_text:
            return Note(id, "", day, first)
        joined = join_notes(with_text)
        if len(joined.text) > LONGEST:
            raise DataError(
                f"encounter {id}: its {len(with_text):,} notes have {len(joined.text):,} "
                f"characters together, more than the {LONGEST:,} of a note. Choose some of them "
                "with --note-types."
            )
        digest = sha256(joined.text.encode()).hexdigest()
        origin = (
            Origin(TEXT, digest)
            if first is None
            else replace(
                first, media_type=TEXT, sha256=digest, resource=None, patient=aside.subjects[key]
            )
        )
        ordered = tuple(one for _, one in joined.mores)
        return Note(id, joined.text, day, origin, notes=joined.notes, origins=ordered)


_ALONE, _TOGETHER = "-+"


def _key(encounter: str | None, note: str) -> str:
    """Return the name under which a note is put aside."""
    return f"{_ALONE}{note}" if encounter is None else f"{_TOGETHER}{encounter}"
