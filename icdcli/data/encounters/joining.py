"""Joining the notes of an encounter to one text, in the order of their times."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Any, NamedTuple

from icdcli.data.encounters.boundaries import BETWEEN, NoteBoundary


class NoteAbout(NamedTuple):
    """What is known of a note besides its text.

    Attributes:
        id: Its id, unique within its encounter.
        type: Its type; None: unknown.
        time: Its time; None: unknown.
        more: Anything else that its source must know when it is joined.
    """

    id: str
    type: str | None = None
    time: datetime | None = None
    more: Any = None


@dataclass(frozen=True, slots=True)
class EncounterNote:
    """A note before it is joined with the others of its encounter."""

    about: NoteAbout
    text: str = field(repr=False)  # not for logs and tracebacks


class JoinedNotes(NamedTuple):
    """The notes of an encounter as one text.

    Attributes:
        text: The text.
        notes: Where each note is in it, in the order of the text.
        mores: `NoteAbout.more` of each of these notes.
    """

    text: str
    notes: tuple[NoteBoundary, ...]
    mores: tuple[Any, ...]


def join_notes(
    notes: Sequence[EncounterNote], between: str = BETWEEN, by_time: bool = True
) -> JoinedNotes:
    """Join the notes of an encounter.

    Args:
        notes: The notes in the order of their source; at least one.
        between: What comes between two notes.
        by_time: Join them in the order of their times: notes of the same time keep the order of
            their source, and notes without a time come last.
    """
    if len(notes) == 1:
        (one,) = notes
        boundary = NoteBoundary(*one.about[:3], 0, len(one.text))
        return JoinedNotes(one.text, (boundary,), (one.about.more,))
    if by_time:
        notes = sorted(
            notes, key=lambda one: (one.about.time is None, one.about.time or datetime.min)
        )
    steps = [len(one.text) + len(between) for one in notes]
    begins = list(accumulate(steps, initial=0))[:-1]
    return JoinedNotes(
        between.join(one.text for one in notes),
        tuple(
            NoteBoundary(*one.about[:3], begin, begin + len(one.text))
            for one, begin in zip(notes, begins, strict=True)
        ),
        tuple(one.about.more for one in notes),
    )
