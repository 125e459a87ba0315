"""Tables of records in several formats, each with one reader.

What a column must hold, and which rows are refused, is decided by the caller. Messages name the
place and the kind of an error, never the content of the table, which may be patient text.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from icdcli.io.csv_reader import Reading, read_header
from icdcli.io.tables.objects import cells_of, object_keys, read_jsonl
from icdcli.io.tables.parquet import parquet_schema, read_parquet

_CSV, _JSONL = (".csv", ".tsv", ".tab"), (".jsonl", ".ndjson", ".json")
_PARQUET = ".parquet"
ENDINGS = ".csv, .tsv, .jsonl, .ndjson, .json (all also with .gz) or .parquet"
"""The endings of the names of tables, as messages list them."""
_ROWS_BETWEEN_REPORTS = 4096
_ROWS_AT_ONCE = 256  # of a Parquet file; notes may be long


def is_csv(path: Path) -> bool:
    """Return whether a table is CSV, by its name."""
    return _ending(path).endswith(_CSV)


def is_jsonl(path: Path) -> bool:
    """Return whether a table is JSONL, by its name."""
    return _ending(path).endswith(_JSONL)


def is_parquet(path: Path) -> bool:
    """Return whether a table is Parquet, by its name."""
    return path.name.lower().endswith(_PARQUET)


def is_table(path: Path) -> bool:
    """Return whether a file is a table, by its name."""
    return is_csv(path) or is_jsonl(path) or is_parquet(path)


def _ending(path: Path) -> str:
    return path.name.lower().removesuffix(".gz")


def column_names(path: Path, reading: Reading, longest_line: int | None = None) -> list[str]:
    """Return a table's columns: those of the header, of all objects or of the schema.

    Args:
        path: The table.
        reading: Decides what happens to a bad row.
        longest_line: See `read_jsonl`.

    Raises:
        DataError: If the table can't be read or is empty.
    """
    if is_csv(path):
        return read_header(path)
    if is_jsonl(path):
        return object_keys(path, reading, longest_line)
    return [str(name) for name in parquet_schema(path).names]


def table_rows(
    path: Path, columns: Sequence[str], reading: Reading, longest_line: int | None = None
) -> Iterator[Sequence[Any]]:
    """Yield the rows of a table as values of `columns`, whatever its format.

    Args:
        path: The table.
        columns: Names of columns, as `column_names` returns them.
        reading: Decides what happens to a bad row, and how many rows are in memory at a time.
        longest_line: See `read_jsonl`.

    Raises:
        DataError: If the table can't be read.
    """
    if is_csv(path):
        for chunk in reading.rows(path, columns):
            yield from chunk
        return
    stage = f"reading {path.name}"
    if is_jsonl(path):
        for number, record in enumerate(read_jsonl(path, reading, longest_line), start=1):
            yield cells_of(record, columns, path, number)
            if reading.on_progress and number % _ROWS_BETWEEN_REPORTS == 0:
                reading.on_progress(stage, number, 0, "rows")
        return
    number = 0
    for rows, total in read_parquet(path, columns, min(reading.chunk_size, _ROWS_AT_ONCE)):
        yield from rows
        number += len(rows)
        if reading.on_progress:
            reading.on_progress(stage, number, total, "rows")
