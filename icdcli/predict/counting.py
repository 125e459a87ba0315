"""Read and count all notes before the first is coded, which may take hours."""

from collections.abc import Callable

from icdcli.data.markup import MISREAD
from icdcli.data.notes.files import Notes
from icdcli.data.notes.text import Note
from icdcli.io.progress import Progress

OnMessage = Callable[[str], object]


def check_notes(
    notes: Notes,
    on_progress: Progress | None = None,
    on_warning: OnMessage | None = None,
    on_message: OnMessage | None = None,
    require: Callable[[Note], None] | None = None,
) -> int:
    """Check that all notes can be read, before the first is coded, and return their number.

    Args:
        notes: The notes.
        on_progress: Receives the progress.
        on_warning: Called with a message if some notes have no text or were read in a wrong
            encoding before, or if files were left out.
        on_message: Called with a message about how notes were read, if that isn't obvious.
        require: Raises an error if a note can't be used.

    Raises:
        DataError: If a note can't be read, or if no note has any text.
    """
    count = notes.check(on_progress, require)
    problems = notes.left_out
    if notes.without_text:
        problems.append(f"{notes.without_text:,} of {count:,} notes have no text and get no codes")
    if notes.misread:
        problems.append(f"{notes.misread:,} of {count:,} notes have {MISREAD}")
    if on_warning is not None:
        for message in problems:
            on_warning(message)
    if on_message is not None:
        for message in notes.remarks:
            on_message(message)
    return count
