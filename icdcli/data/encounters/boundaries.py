"""Where each note of an encounter is in the text that they were joined to.

A document of a corpus, or a note to predict codes for, may be several notes of one encounter, with
a blank line between two of them. Positions in the joined text then have a place in one of the
notes.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

BETWEEN = "\n\n"
"""What is between two notes: a blank line, which also ends a sentence."""


class NoteBoundary(NamedTuple):
    """A note in the text of its encounter.

    Attributes:
        note_id: Its id, unique within the encounter.
        type: Its type, such as ``Discharge summary``; None: unknown.
        time: Its time, without a time zone (UTC if the source has one); None: unknown.
        begin: Its first character in the joined text.
        end: The character after its last.
    """

    note_id: str
    type: str | None
    time: datetime | None
    begin: int
    end: int


class NotePlace(NamedTuple):
    """A place in one note of an encounter.

    Attributes:
        note_id: The note's id.
        begin: The first character, counted from the beginning of this note.
        end: The character after the last.
    """

    note_id: str
    begin: int
    end: int


def place_in_note(notes: Sequence[NoteBoundary], begin: int, end: int) -> NotePlace:
    """Return the place in a note of some characters of the joined text.

    Args:
        notes: The notes, in the order of the text; at least one.
        begin: The first character in the joined text.
        end: The character after the last.

    Raises:
        ValueError: If they aren't within one note.
    """
    note = notes[max(bisect_right(notes, begin, key=lambda one: one.begin) - 1, 0)]
    if not note.begin <= begin <= end <= note.end:
        raise ValueError(f"the characters from {begin} to {end} aren't within one note")
    return NotePlace(note.note_id, begin - note.begin, end - note.begin)
