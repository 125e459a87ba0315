"""OMOP's table NOTE in a database."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from icdcli.io.tables.database import connected

if TYPE_CHECKING:
    from sqlalchemy import ColumnClause

NOTE_COLUMNS = ("note_id", "note_text", "person_id", "visit_occurrence_id")
"""The columns that are read, in this order."""

NOTES_AT_ONCE = 64
"""The rows of NOTE that are fetched at a time, since notes may be long."""

_TABLE = "note"


def note_rows(url: str, more: Sequence[str] = ()) -> Iterator[Sequence[Any]]:
    """Yield the rows of NOTE, ordered by ``note_id``, as values of `NOTE_COLUMNS` and of others.

    Args:
        url: The address of the database.
        more: Other columns.

    Raises:
        DataError: If it can't be read, or lacks the table or a column.
        ConfigError: If SQLAlchemy or the driver isn't installed.
    """
    wanted = [*NOTE_COLUMNS, *more]
    with connected(url) as database:
        database.require(_TABLE, wanted)
        for chunk in database.chunks(_TABLE, wanted, "note_id", NOTES_AT_ONCE):
            yield from chunk


def notes_state(url: str) -> list[str]:
    """Return strings that change when notes are added, removed or get longer or shorter."""
    from sqlalchemy import column, func, select, table

    with connected(url) as database:
        database.require(_TABLE, NOTE_COLUMNS)
        id: ColumnClause[Any] = column("note_id")
        text: ColumnClause[Any] = column("note_text")
        measures = (func.count(), func.min(id), func.max(id), func.sum(func.length(text)))
        found = database.connection.execute(select(*measures).select_from(table(_TABLE))).one()
        return [str(value) for value in found]
