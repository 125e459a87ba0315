"""Parquet: a file, or a folder of files as Spark and Dask write them.

The files of a folder are read in the order of their names. Folders such as ``split=train`` in it
give the rows below them a column of this name, as these programs do.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from icdcli.errors import DataError
from icdcli.io.remote.paths import is_remote

_ENDING = ".parquet"
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_PAGE_BUFFER = 1 << 20  # bytes; without it, all of a row group's column is in memory


def is_parquet(path: Path) -> bool:
    """Return whether a path is a Parquet file by its name, or a folder of such files."""
    return is_parquet_folder(path) or (path.name.lower().endswith(_ENDING) and not path.is_dir())


def is_parquet_folder(path: Path) -> bool:
    """Return whether a folder has Parquet files, and no others but hidden ones and logs."""
    if not path.is_dir():
        return False
    found = False
    try:
        for file in _files(path):  # ends at the first other file, since a folder may be large
            if not file.name.lower().endswith(_ENDING):
                return False
            found = True
    except OSError:
        return False
    return found


def parquet_files(path: Path) -> list[Path]:
    """Return the files of a folder in their order, or the file itself.

    Raises:
        DataError: If a folder can't be read.
    """
    if not path.is_dir():
        return [path]
    try:
        return sorted(_files(path))
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}).") from None


def parquet_schema(path: Path) -> pa.Schema:
    """Return the columns of a file or a folder of files, and their types.

    Raises:
        DataError: If a file can't be read, or if the files have different columns.
    """
    schema: pa.Schema | None = None
    for file in parquet_files(path):
        with _parquet(file) as opened:
            own = opened.schema_arrow
        for name in _partition(path, file):
            if name not in own.names:
                own = own.append(pa.field(name, pa.string()))
        if schema is not None and sorted(own.names) != sorted(schema.names):
            raise DataError(
                f"{file}: has other columns than the files before it. Write the table again."
            )
        schema = own if schema is None else schema
    assert schema is not None, "a folder without files is no table"
    return schema


def read_parquet(
    path: Path, columns: Sequence[str], rows_at_once: int
) -> Iterator[tuple[list[Sequence[Any]], int]]:
    """Yield some rows at a time, as values of `columns`, with the number of rows of the table.

    Raises:
        DataError: If a file can't be read or is damaged.
    """
    files = parquet_files(path)
    total = 0
    for file in files:
        with _parquet(file) as opened:
            total += opened.metadata.num_rows
    for file in files:
        with _parquet(file) as opened:
            fixed = _partition(path, file)
            inside = [column for column in columns if column not in fixed]
            for batch in opened.iter_batches(batch_size=rows_at_once, columns=inside):
                values = [
                    [fixed[column]] * len(batch)
                    if column in fixed
                    else batch.column(column).to_pylist()
                    for column in columns
                ]
                yield list(zip(*values, strict=True)), total


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files in and below a folder but for hidden ones and logs, such as _SUCCESS."""
    for path in folder.iterdir():
        if path.name.startswith((".", "_")) and "=" not in path.name:
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def _partition(path: Path, file: Path) -> dict[str, str | None]:
    """Return the values that the names of folders give to all rows of a file."""
    if path == file:
        return {}
    pairs = (part.split("=", 1) for part in file.relative_to(path).parts[:-1] if "=" in part)
    return {unquote(name): None if value == _NO_VALUE else unquote(value) for name, value in pairs}


@contextmanager
def open_parquet(path: Path, **options: Any) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file of this machine or of another.

    Iterating over its batches keeps one group of rows in memory. (PyArrow's own default,
    ``pre_buffer=True``, keeps all that was read of the file until the end.)

    Args:
        path: The file.
        options: Other options of `pyarrow.parquet.ParquetFile`.

    Raises:
        OSError: If it can't be read.
        pyarrow.ArrowException: If it is damaged.
    """
    with (
        path.open("rb") if is_remote(path) else nullcontext(path) as source,
        pq.ParquetFile(source, pre_buffer=False, **options) as file,
    ):
        yield file


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with open_parquet(path, buffer_size=_PAGE_BUFFER) as file:
            yield file
    except OSError as error:
        reason = error.strerror or "damaged"
    except (pa.ArrowException, UnicodeDecodeError) as error:
        reason = f"damaged: {type(error).__name__}"  # the error's text may quote the file
    else:
        return
    raise DataError(f"{path}: can't be read as a Parquet file ({reason}). Write or copy it again.")
