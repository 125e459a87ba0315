"""Parquet files: their columns, and their rows a few at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from icdcli.errors import DataError

_PAGE_BUFFER = 1 << 20  # bytes; without it, all of a row group's column is in memory


def parquet_schema(path: Path) -> pa.Schema:
    """Return the columns of a Parquet file and their types.

    Raises:
        DataError: If the file can't be read.
    """
    with _parquet(path) as file:
        return file.schema_arrow


def read_parquet(
    path: Path, columns: Sequence[str], rows_at_once: int
) -> Iterator[tuple[list[Sequence[Any]], int]]:
    """Yield some rows at a time, as values of `columns`, with the number of rows in the file.

    Raises:
        DataError: If the file can't be read or is damaged.
    """
    with _parquet(path) as file:
        for batch in file.iter_batches(batch_size=rows_at_once, columns=list(columns)):
            values = [batch.column(column).to_pylist() for column in columns]
            yield list(zip(*values, strict=True)), file.metadata.num_rows


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, buffer_size=_PAGE_BUFFER, pre_buffer=False) as file:
            yield file
    except OSError as error:
        reason = error.strerror or "damaged"
    except (pa.ArrowException, UnicodeDecodeError) as error:
        reason = f"damaged: {type(error).__name__}"  # the error's text may quote the file
    else:
        return
    raise DataError(f"{path}: can't be read as a Parquet file ({reason}). Write or copy it again.")
