"""A temporary file of notes, from which those of one encounter are read together.

An encounter's notes may be far apart in a file, so no encounter is complete before the file's end.
Memory holds only the positions of the notes in the temporary file.
"""

import os
import pickle
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from icdcli.data.encounters.joining import EncounterNote, NoteAbout

_BUFFER = 1 << 20
_SIZE = 4  # bytes of the length of what is known of a note


class NotesAside:
    """A private temporary file of notes, which are read back per encounter.

    Attributes:
        subjects: Encounter to the subject of its first note that has one, in the order of the first
            notes.
    """

    def __init__(self, folder: Path) -> None:
        self.subjects: dict[str, str | None] = {}
        self._path = folder / ".notes"
        # Encounter to offset, length, offset, length … Python's garbage collector skips tuples of
        # numbers, but would visit lists again and again.
        self._places: dict[str, tuple[int, ...]] = {}
        self._offset = self._written = 0
        self._waiting: list[bytes] = []
        self._chunk, self._chunk_offset = memoryview(b""), 0  # read back, one part at a time
        self._under_way: Future[int] | None = None

    def __enter__(self) -> "NotesAside":
        self._file = open(self._path, "w+b", opener=lambda path, flags: os.open(path, flags, 0o600))
        self._background = ThreadPoolExecutor(1)
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._background.shutdown()
            self._file.close()
        finally:
            self._path.unlink(missing_ok=True)

    def add(self, encounter: str, subject: str | None, content: bytes, about: NoteAbout) -> None:
        """Add one note.

        Args:
            encounter: The encounter's id.
            subject: The patient's id; None: unknown.
            content: The text as UTF-8 bytes.
            about: What else is known of the note.

        Raises:
            ValueError: If a note before it has another patient; the message is the end of a
                sentence.
        """
        known = self.subjects.setdefault(encounter, subject)
        if known != subject and subject is not None:
            if known is not None:
                raise ValueError(
                    f"has notes of two patients, {known} and {subject}. Give each encounter an id "
                    "of its own"
                )
            self.subjects[encounter] = subject
        known_of_it = pickle.dumps(about, pickle.HIGHEST_PROTOCOL)
        record = len(known_of_it).to_bytes(_SIZE) + known_of_it + content
        self._waiting.append(record)
        before = self._places.get(encounter, ())
        self._places[encounter] = (*before, self._offset, len(record))
        self._offset += len(record)
        if self._offset - self._written >= _BUFFER:
            self._write()

    def _write(self) -> None:
        """Write the waiting notes in another thread, while more are collected."""
        self._wait()
        content, self._waiting, self._written = b"".join(self._waiting), [], self._offset
        self._under_way = self._background.submit(self._file.write, content)

    def _wait(self) -> None:
        """Wait for the present write, and raise its error if it failed."""
        if self._under_way is not None:
            self._under_way.result()

    def notes(self, encounter: str) -> list[EncounterNote]:
        """Return an encounter's notes in the order in which they were added.

        It is fastest if the encounters are read in the order of `subjects`.
        """
        offset, length, *others = self._places[encounter]
        start = offset - self._chunk_offset
        if not 0 <= start <= len(self._chunk) - length:
            # The first notes of the next encounters follow it; other notes may be far away.
            self._chunk = memoryview(self._read(offset, max(_BUFFER, length)))
            self._chunk_offset, start = offset, 0
        first = _note(self._chunk[start : start + length])
        places = zip(others[::2], others[1::2], strict=True)
        return [first, *(_note(memoryview(self._read(*place))) for place in places)]

    def _read(self, offset: int, length: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), length, offset)
        self._file.seek(offset)  # on Windows; only one thread reads
        return self._file.read(length)

    def finish(self) -> None:
        """Write the rest, so that all notes can be read."""
        self._write()
        self._wait()
        self._file.flush()


def _note(record: memoryview) -> EncounterNote:
    end = _SIZE + int.from_bytes(record[:_SIZE])
    return EncounterNote(pickle.loads(record[_SIZE:end]), str(record[end:], "utf-8"))
