"""OMOP's table NOTE in a database, by SQLAlchemy: read only, a few rows at a time.

Messages name the database without its password, and never what it says of rows.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from icdcli.errors import ConfigError, DataError
from icdcli.extras import require_extra
from icdcli.offline import refuse_connection

if TYPE_CHECKING:
    from sqlalchemy import ColumnClause, Connection, Engine

NOTE_COLUMNS = ("note_id", "note_text", "person_id", "visit_occurrence_id")
"""The columns that are read, in this order."""

_URL = re.compile(r"(?:sqlite|postgresql|mysql|mariadb|mssql|oracle)(?:\+\w+)?://.*")
_TABLE = "note"
_ROWS_AT_ONCE = 64  # notes may be long


def is_database(name: str) -> bool:
    """Return whether an argument is the address of a database."""
    return _URL.fullmatch(name) is not None


def without_password(url: str) -> str:
    """Return the address of a database as messages show it."""
    return re.sub(r"(?<=://)([^/@:]*):[^/]*@", r"\1:***@", url)


def note_rows(url: str, more: Sequence[str] = ()) -> Iterator[Sequence[Any]]:
    """Yield the rows of NOTE, ordered by ``note_id``, as values of `NOTE_COLUMNS` and of others.

    Args:
        url: The address of the database.
        more: Other columns.

    Raises:
        DataError: If it can't be read, or lacks the table or a column.
        ConfigError: If SQLAlchemy or the driver isn't installed.
    """
    from sqlalchemy import column, select, table

    wanted = [*NOTE_COLUMNS, *more]
    with _connected(url) as connection:
        _require(connection, wanted, url)
        columns: list[ColumnClause[Any]] = [column(name) for name in wanted]
        query = select(*columns).select_from(table(_TABLE)).order_by(column("note_id"))
        streamed = connection.execution_options(yield_per=_ROWS_AT_ONCE)
        for row in streamed.execute(query):
            yield tuple(row)


def notes_state(url: str) -> list[str]:
    """Return strings that change when notes are added, removed or get longer or shorter."""
    from sqlalchemy import column, func, select, table

    with _connected(url) as connection:
        _require(connection, NOTE_COLUMNS, url)
        id: ColumnClause[Any] = column("note_id")
        text: ColumnClause[Any] = column("note_text")
        measures = (func.count(), func.min(id), func.max(id), func.sum(func.length(text)))
        found = connection.execute(select(*measures).select_from(table(_TABLE))).one()
        return [str(value) for value in found]


@contextmanager
def _connected(url: str) -> Iterator["Connection"]:
    """Connect to a database, for reading only."""
    name = without_password(url)
    require_extra("formats", f"{name}: a database", ["sqlalchemy"])
    from sqlalchemy.exc import SQLAlchemyError

    engine = _engine(url, name)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection.execution_options(postgresql_readonly=True)
            yield connection
    except SQLAlchemyError as error:
        kind = type(getattr(error, "orig", None) or error).__name__
        raise DataError(
            f"{name}: can't be read ({kind}). Check the address, the user and the permissions."
        ) from None
    finally:
        engine.dispose()


def _engine(url: str, name: str) -> "Engine":
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":  # not psycopg2, which is the older one
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() != "sqlite":
            refuse_connection(name, parsed.host or str(parsed.query.get("host", "localhost")))
            return create_engine(parsed)
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise ConfigError(f"{name}: isn't the address of a database that is known.") from None
    except ImportError as error:
        raise ConfigError(
            f"{name}: the driver {error.name} isn't installed. Install it, or name another one in "
            "the address, such as postgresql+psycopg://."
        ) from None
    # A missing file would be made, and a file that exists could be changed.
    path = Path(parsed.database or "")
    if not path.is_file():
        raise DataError(f"{name}: no such file.")
    read_only = f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true"
    return create_engine(read_only)


def _require(connection: "Connection", wanted: Sequence[str], url: str) -> None:
    """Raise an error if the table or a column is missing."""
    from sqlalchemy import inspect

    name, found = without_password(url), inspect(connection)
    if not found.has_table(_TABLE):
        raise DataError(
            f"{name}: has no table {_TABLE}. Give the address of an OMOP database; its schema must "
            "be in the search path."
        )
    there = {one["name"].lower() for one in found.get_columns(_TABLE)}
    if missing := [one for one in wanted if one.lower() not in there]:
        raise DataError(
            f"{name}: the table {_TABLE} has no column {missing[0]!r}. It needs "
            f"{', '.join(wanted)}."
        )
