"""The tables of an OMOP database that training reads, copied to Parquet.

All values are written as strings, as an export to CSV has them. Rows are fetched and written a few
at a time, in the order of their ids, so that the same rows give the same files.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from icdcli.data.formats.database import NOTE_COLUMNS, NOTES_AT_ONCE
from icdcli.data.notes.database_notes import OMOP_COLUMNS
from icdcli.data.sources.omop import (
    CODE_TABLES_OF_OMOP,
    CONCEPT,
    NOTE_TABLE,
    VOCABULARIES_OF_OMOP,
)
from icdcli.errors import DataError
from icdcli.io.progress import Progress
from icdcli.io.tables.database import Database, connected
from icdcli.io.tables.row_writer import ParquetRowWriter

_ROWS_AT_ONCE = 4096  # of tables other than NOTE
_GROUP_CHARACTERS = 16 << 20


@dataclass(frozen=True)
class _Table:
    """A table to copy.

    Attributes:
        name: Its name.
        needed: The columns that it must have; the first one orders the rows, and isn't copied if it
            is only there for that.
        more: Columns to copy if it has them.
        is_needed: Whether it must be there, with rows.
        ids_copied: Whether the first column is copied.
        rows_at_once: How many rows are fetched at a time.
        among: Column to the values of the rows to copy.
    """

    name: str
    needed: tuple[str, ...]
    more: tuple[str, ...] = ()
    is_needed: bool = False
    ids_copied: bool = True
    rows_at_once: int = _ROWS_AT_ONCE
    among: Mapping[str, Sequence[str]] = field(default_factory=dict)


def _code_table(start: str, is_needed: bool) -> _Table:
    columns = ("visit_occurrence_id", f"{start}_source_value", f"{start}_source_concept_id")
    name = f"{start}_occurrence"
    return _Table(name, (f"{name}_id", *columns), is_needed=is_needed, ids_copied=False)


_ICD = tuple(name for names in VOCABULARIES_OF_OMOP.values() for name in names)
_TABLES = (
    _Table(NOTE_TABLE, NOTE_COLUMNS, OMOP_COLUMNS, is_needed=True, rows_at_once=NOTES_AT_ONCE),
    *(_code_table(start, kind == "diagnosis") for kind, start in CODE_TABLES_OF_OMOP.items()),
    _Table(
        CONCEPT,
        ("concept_id", "vocabulary_id", "concept_code"),
        among={"vocabulary_id": _ICD},
    ),
)


def copy_omop_tables(
    url: str, folder: Path, on_progress: Progress | None = None
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Copy the tables of a database to a folder, each as ``NAME.parquet``.

    Args:
        url: The address of the database.
        folder: The folder.
        on_progress: Called with the rows that are copied.

    Returns:
        File to its number of rows, and the tables that weren't copied, since they are missing or
        have no rows that count.

    Raises:
        DataError: If it can't be read, or lacks a table or a column.
        ConfigError: If SQLAlchemy or the driver isn't installed.
        OSError: If a file can't be written.
    """
    rows: dict[str, int] = {}
    left_out = []
    with connected(url) as database:
        chosen = [(table, _columns(database, table)) for table in _TABLES]  # before any is copied
        for table, columns in chosen:
            path = folder / f"{table.name}.parquet"
            count = 0 if columns is None else _copy(database, table, columns, path, on_progress)
            if count:
                rows[path.name] = count
            elif table.is_needed:
                raise DataError(f"{database.name}: the table {table.name} has no rows.")
            else:
                left_out.append(table.name)
    return rows, tuple(left_out)


def _columns(database: Database, table: _Table) -> list[str] | None:
    """Return the columns to copy; None: there is no such table."""
    if not table.is_needed and database.columns(table.name) is None:
        return None
    there = database.require(table.name, table.needed)
    needed = table.needed if table.ids_copied else table.needed[1:]
    return [*needed, *(name for name in table.more if name in there)]


def _copy(
    database: Database,
    table: _Table,
    columns: Sequence[str],
    path: Path,
    on_progress: Progress | None,
) -> int:
    """Copy a table, and return the number of rows; without any, there is no file."""
    schema = pa.schema([(name, pa.string()) for name in columns])
    found = database.rows(
        table.name, columns, table.needed[0], table.rows_at_once, among=table.among
    )
    count = 0
    with ParquetRowWriter(path, schema, _GROUP_CHARACTERS) as writer:
        for count, row in enumerate(found, start=1):
            if any(isinstance(value, bytes | bytearray | memoryview) for value in row):
                where = f"{database.name}, table {table.name}, row {count}"
                raise DataError(f"{where}: has bytes, not a text. Store texts as texts.")
            writer.add([list(map(_text, row))])
            if on_progress and count % _ROWS_AT_ONCE == 0:
                on_progress(f"copying {table.name}", count, 0, "rows")
    return count


def _text(value: Any) -> str | None:
    """Return a value as a string; None: there is none."""
    if isinstance(value, float | Decimal):
        if math.isnan(value):
            return None
        if math.isfinite(value) and value == int(value):  # as NUMERIC and pandas have ids
            return str(int(value))
    return value if value is None or isinstance(value, str) else str(value)
