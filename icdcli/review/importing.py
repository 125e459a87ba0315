"""Import notes from files into a review store, with what tables say of their patients."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icdcli.data.notes.files import NoteFiles, Notes, find_notes
from icdcli.data.notes.tables import NoteTable
from icdcli.errors import ConfigError, DataError
from icdcli.io.csv_reader import StrictReading, match_columns, plain_name
from icdcli.io.progress import Progress
from icdcli.io.tables.records import column_names, table_rows
from icdcli.predict.counting import check_notes
from icdcli.review.notes import ImportedNotes, ReviewNote, as_review_note, import_notes
from icdcli.review.store import Store
from icdcli.run_dir import RunDir

ABOUT_NOTES = {
    "subject_id": "subject",
    "encounter": "encounter",
    "language": "language",
    "split": "split",
}
"""Columns of tables that are imported if they are there, and what they say of a note."""

_READING = StrictReading(chunk_size=64)


@dataclass(frozen=True)
class NoteColumns:
    """The columns of tables of notes; None: the usual ones.

    Attributes:
        text: The column of texts; None: ``text``.
        id: The column of ids; None: ``id`` if there is one.
        day: The column of the days of discharge; None: they are unknown.
    """

    text: str | None = None
    id: str | None = None
    day: str | None = None


def import_files(
    store: Store,
    names: Sequence[str],
    columns: NoteColumns | None = None,
    *,
    language: str | None = None,
    on_progress: Progress | None = None,
    on_warning: Callable[[str], object] | None = None,
    on_message: Callable[[str], object] | None = None,
) -> ImportedNotes:
    """Add the notes of files to a store; see `import_notes`.

    An id doesn't depend on the other files of a call, so that a call can be repeated with more of
    them. Tables may have the columns of `ABOUT_NOTES`.

    Args:
        store: The store.
        names: Files, folders, pipes, and ``-`` for standard input, as ``icdcode predict`` reads
            them.
        columns: The columns of tables.
        language: The language of notes whose table doesn't say it.
        on_progress: Receives the progress.
        on_warning: Called with a message for each warning.
        on_message: Called with a message about how notes were read.

    Raises:
        ConfigError: If a name is that of a run, or columns are given without a table.
        DataError: If a note can't be read or stored; none is stored then.
    """
    columns = columns or NoteColumns()
    for name in names:
        if RunDir(Path(name)).args.is_file() or (Path(name) / "manifest.json").is_file():
            raise ConfigError(f"{name}: is a run, not a file of notes. Pass it as the run.")
    tables = (columns.text, columns.id, columns.day)
    found = [find_notes([name], None, *tables) for name in dict.fromkeys(names)]
    parts = [part for one in found for part in map(_with_own_ids, one.parts)]
    for part in parts:
        if on_warning is not None and (warning := _warning(part)):
            on_warning(warning)
    notes = Notes(names, parts)
    check_notes(notes, on_progress, on_warning, on_message)
    read = (note for part in parts for note in _about(part, language))
    return import_notes(store, read, on_progress)


def _with_own_ids(part: NoteFiles) -> NoteFiles:
    """Return a part; rows of a table without ids get the table's name before their number."""
    if isinstance(part, NoteTable) and _lacks_ids(part):
        return replace(part, before=f"{part.path.name}:")
    return part


def _lacks_ids(table: NoteTable) -> bool:
    return len(table.columns) - (table.date_column is not None) < 2


def _warning(part: NoteFiles) -> str | None:
    if not isinstance(part, NoteTable) or not _lacks_ids(part):
        return None
    return (
        f"{part.path}: has no column 'id', so that the ids of notes are row numbers "
        f"({part.before}1). Don't reorder the rows before another import, or pass --id-column"
    )


def _about(part: NoteFiles, language: str | None) -> Iterator[ReviewNote]:
    """Yield the notes of a part with what its table says of them."""
    if not isinstance(part, NoteTable):
        for note in part:
            yield replace(as_review_note(note), language=language)
        return
    names = column_names(part.path, _READING)
    lower = [plain_name(name) for name in names]
    wanted = [name for name in ABOUT_NOTES if name in lower]
    columns = [names[place] for place in match_columns(part.path, names, wanted)]
    if not columns:
        for note in part:
            yield replace(as_review_note(note), language=language)
        return
    rows = table_rows(part.path, columns, _READING)
    for number, (note, values) in enumerate(zip(part, rows, strict=True), start=1):
        about: dict[str, Any] = {"language": language}
        for name, value in zip(wanted, values, strict=True):
            if value is not None and value != "":
                if isinstance(value, bool) or not isinstance(value, str | int):
                    raise DataError(
                        f"{part.path}, row {number}, column {name!r}: is {type(value).__name__}. "
                        "Write it as a string."
                    )
                about[ABOUT_NOTES[name]] = str(value)
        yield replace(as_review_note(note), **about)
