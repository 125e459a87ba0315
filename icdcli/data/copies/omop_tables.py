"""The tables of an OMOP database that training reads, copied to Parquet.

All values are written as strings, as an export to CSV has them. Rows are fetched and written a few
at a time, in the order of their ids, so that the same rows give the same files.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

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

_ROWS_AT_ONCE = 4096  # of tables other than NOTE
_GROUP_BYTES = 16 << 20  # of a row group, which readers have in memory as a whole


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
    chunks = database.chunks(
        table.name, columns, table.needed[0], table.rows_at_once, among=table.among
    )
    count, size = 0, 0
    group: list[pa.RecordBatch] = []
    with ExitStack() as stack:
        file: pq.ParquetWriter | None = None
        for chunk in chunks:
            where = f"{database.name}, table {table.name}, rows {count + 1} to {count + len(chunk)}"
            made = [_strings(values, where) for values in zip(*chunk, strict=True)]
            group.append(pa.record_batch(made, schema=schema))
            count += len(chunk)
            size += group[-1].nbytes
            file = file or stack.enter_context(
                pq.ParquetWriter(path, schema, write_page_checksum=True)
            )
            if size >= _GROUP_BYTES:
                file.write_table(pa.Table.from_batches(group))
                group, size = [], 0
            if on_progress:
                on_progress(f"copying {table.name}", count, 0, "rows")
        if file is not None and group:
            file.write_table(pa.Table.from_batches(group))
    return count


def _strings(values: Sequence[Any], where: str) -> pa.StringArray:
    """Return the values of a column as strings.

    Raises:
        DataError: If one is binary.
    """
    kinds = set(map(type, values)) - {type(None)}
    if kinds & {bytes, bytearray, memoryview}:
        raise DataError(f"{where}: a value is bytes, not a text. Store texts as texts.")
    if kinds == {int}:
        with suppress(OverflowError):  # beyond 64 bits
            return pc.cast(pa.array(values, pa.int64()), pa.string())
    return pa.array(values if kinds <= {str} else list(map(_text, values)), pa.string())


def _text(value: Any) -> str | None:
    """Return a value as a string; None: there is none."""
    if isinstance(value, float | Decimal):
        if math.isnan(value):
            return None
        if math.isfinite(value) and value == int(value):  # as NUMERIC and pandas have ids
            return str(int(value))
    return None if value is None else str(value)
