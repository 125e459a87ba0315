"""Databases, read through SQLAlchemy: for reading only, a few rows at a time.

Messages name a database without its password, and never what it says of rows. All that is read
from one connection is of one moment, in SQLite and in PostgreSQL.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from icdcli.errors import ConfigError, DataError
from icdcli.extras import require_extra
from icdcli.offline import refuse_connection

if TYPE_CHECKING:
    from sqlalchemy import ColumnClause, Connection, Engine

_URL = re.compile(r"(?:sqlite|postgres|postgresql|mysql|mariadb|mssql|oracle)(?:\+\w+)?:/.*")
_PASSWORD = re.compile(r"(?<=:/)(/?[^/@:]*):.*@", re.DOTALL)
_SECRET = re.compile(
    r"([?&;]\s*(?:\w*(?:password|passwd|pwd|token|secret)\w*|odbc_connect)=)[^&]*", re.IGNORECASE
)


def is_database(name: str) -> bool:
    """Return whether an argument is the address of a database."""
    return _URL.fullmatch(name) is not None


def without_password(url: str) -> str:
    """Return the address of a database as messages and files show it."""
    return _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))


@dataclass(frozen=True)
class Database:
    """A connection to a database.

    Attributes:
        name: Its address, as messages show it.
        connection: The connection of SQLAlchemy.
    """

    name: str
    connection: "Connection"

    def columns(self, table: str) -> set[str] | None:
        """Return the columns of a table, in small letters; None: there is no such table."""
        from sqlalchemy import inspect

        found = inspect(self.connection)
        if not found.has_table(table):
            return None
        return {column["name"].lower() for column in found.get_columns(table)}

    def require(self, table: str, wanted: Sequence[str]) -> set[str]:
        """Return the columns of a table.

        Raises:
            DataError: If the table or one of the wanted columns is missing.
        """
        there = self.columns(table)
        if there is None:
            raise DataError(
                f"{self.name}: has no table {table}. Give the address of an OMOP database; its "
                "schema must be in the search path."
            )
        if missing := [one for one in wanted if one.lower() not in there]:
            raise DataError(
                f"{self.name}: the table {table} has no column {missing[0]!r}. It needs "
                f"{', '.join(wanted)}."
            )
        return there

    def chunks(
        self,
        table: str,
        columns: Sequence[str],
        order: str,
        rows_at_once: int,
        among: Mapping[str, Sequence[str]] | None = None,
    ) -> Iterator[Sequence[Sequence[Any]]]:
        """Yield some rows of a table at a time, each row as values of some columns.

        Args:
            table: The table.
            columns: The columns.
            order: The column to order them by.
            rows_at_once: How many are fetched and yielded at a time.
            among: Column to the values of the rows to read; None: all rows.
        """
        from sqlalchemy import column, select
        from sqlalchemy import table as table_named

        chosen: list[ColumnClause[Any]] = [column(name) for name in columns]
        query = select(*chosen).select_from(table_named(table)).order_by(column(order))
        for name, values in (among or {}).items():
            query = query.where(column(name).in_(values))
        streamed = self.connection.execution_options(yield_per=rows_at_once)
        yield from streamed.execute(query).partitions()


@contextmanager
def connected(url: str) -> Iterator[Database]:
    """Connect to a database, for reading only.

    Raises:
        DataError: If it can't be read.
        ConfigError: If SQLAlchemy or the driver isn't installed.
    """
    name = without_password(url)
    require_extra("formats", f"{name}: a database", ["sqlalchemy"])
    from sqlalchemy.exc import SQLAlchemyError

    engine = _engine(url, name)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection.execution_options(
                    postgresql_readonly=True, isolation_level="REPEATABLE READ"
                )
            elif engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            yield Database(name, connection)
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
        if parsed.drivername in ("postgres", "postgresql"):  # not psycopg2, which is the older one
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
