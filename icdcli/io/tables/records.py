"""Tables of records in several formats, each with one reader.

What a column must hold, and which rows are refused, is decided by the caller. Messages name the
place and the kind of an error, never the content of the table, which may be patient text.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from icdcli.io.csv_reader import Reading, read_header
from icdcli.io.tables.objects import cells_of, object_keys, read_jsonl
from icdcli.io.tables.parquet import is_parquet, parquet_files, parquet_schema, read_parquet
from icdcli.io.tables.spreadsheet import sheet_choice, sheet_header, sheet_rows

_CSV, _JSONL = (".csv", ".tsv", ".tab"), (".jsonl", ".ndjson", ".json")
_SHEET = (".xlsx", ".xlsm")
ENDINGS = ".csv, .tsv, .jsonl, .ndjson, .json (all also with .gz), .xlsx or .parquet"
"""The endings of the names of tables, as messages list them."""
_ROWS_BETWEEN_REPORTS = 4096
_ROWS_AT_ONCE = 256  # of a Parquet file; notes may be long


def is_csv(path: Path) -> bool:
    """Return whether a table is CSV, by its name."""
    return _ending(path).endswith(_CSV)


def is_jsonl(path: Path) -> bool:
    """Return whether a table is JSONL, by its name."""
    return _ending(path).endswith(_JSONL)


def is_json(path: Path) -> bool:
    """Return whether a file may be one JSON object or array, by its name."""
    return _ending(path).endswith(".json")


def is_sheet(path: Path) -> bool:
    """Return whether a table is an Excel workbook, by its name."""
    return path.name.lower().endswith(_SHEET)


def is_table(path: Path) -> bool:
    """Return whether a file is a table, by its name, or a folder has the files of one."""
    return (not path.is_dir() and (is_csv(path) or is_jsonl(path) or is_sheet(path))) or (
        is_parquet(path)
    )


def table_files(path: Path) -> list[Path]:
    """Return the files of a table: itself, unless it is a folder of Parquet files."""
    return parquet_files(path)


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
        return read_header(path, reading.encoding)
    if is_jsonl(path):
        return object_keys(path, reading, longest_line)
    if is_sheet(path):
        return sheet_header(path)
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
    if is_jsonl(path) or is_sheet(path):
        rows_of = _json_rows if is_jsonl(path) else _sheet_rows
        for number, row in enumerate(rows_of(path, columns, reading, longest_line), start=1):
            yield row
            if reading.on_progress and number % _ROWS_BETWEEN_REPORTS == 0:
                reading.on_progress(stage, number, 0, "rows")
        return
    number = 0
    for rows, total in read_parquet(path, columns, min(reading.chunk_size, _ROWS_AT_ONCE)):
        yield from rows
        number += len(rows)
        if reading.on_progress:
            reading.on_progress(stage, number, total, "rows")


def _json_rows(
    path: Path, columns: Sequence[str], reading: Reading, longest_line: int | None
) -> Iterator[Sequence[Any]]:
    for number, record in enumerate(read_jsonl(path, reading, longest_line), start=1):
        yield cells_of(record, columns, path, number)


def _sheet_rows(
    path: Path, columns: Sequence[str], reading: Reading, _longest_line: int | None
) -> Iterator[Sequence[Any]]:
    if choice := sheet_choice(path):
        reading.choices[f"rows of {path.name}"] = choice
    return sheet_rows(path, columns)
