"""Parquet files that are written as their rows come."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_GROUP_ROWS = 65_536


class ParquetRowWriter:
    """Writes rows to a private Parquet file; without any, it makes no file.

    It is a context, whose end writes the last rows.

    Args:
        path: The file.
        schema: Its columns.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema
        self._columns: list[list[Any]] = [[] for _ in schema]
        self._file: pq.ParquetWriter | None = None

    def __enter__(self) -> "ParquetRowWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._write()
        finally:
            if self._file is not None:
                self._file.close()

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows that belong together; they are in one row group.

        Args:
            rows: Rows with a value for each column.

        Raises:
            OSError: If the file can't be written.
        """
        for row in rows:
            for column, value in zip(self._columns, row, strict=True):
                column.append(value)
        if len(self._columns[0]) >= _GROUP_ROWS:
            self._write()

    def _write(self) -> None:
        if not self._columns[0]:
            return
        if self._file is None:
            self._path.touch(mode=0o600)
            self._file = pq.ParquetWriter(
                self._path, self._schema, compression="snappy", write_page_checksum=True
            )
        arrays = [
            pa.array(column, kind)
            for column, kind in zip(self._columns, self._schema.types, strict=True)
        ]
        self._file.write_table(pa.table(arrays, schema=self._schema))
        self._columns = [[] for _ in self._schema]
