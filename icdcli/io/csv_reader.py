"""Reading one raw table: a CSV file, compressed or not, as rows of strings in bounded memory.

Types are never guessed, so ``NA`` and leading zeros survive. Every row must be as wide as the
header. A table is read once, from front to back; its hash and its number of rows are known
afterwards (`Reading.hashes`, `Reading.rows_read`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from icdcli.errors import DataError, nearest
from icdcli.io.byte_stream import Block, ByteStream
from icdcli.io.csv_columns import (
    Column,
    ColumnMaker,
    arrow_strings,
    equal_fields,
    packed,
    python_strings,
    utf8_contents,
)
from icdcli.io.csv_scan import SEPARATORS, Examiner, Parsed, Scanned, parse, scan
from icdcli.io.csv_window import CsvWindow
from icdcli.io.progress import Progress

_MOST_NAMES = 30  # columns that a message names
_LONGEST_NAME = 60  # characters of a column's name
_MOST_WORDS = 5  # of a column's name

Row = tuple[str, ...]
NoteRow = tuple[Any, ...]
"""Strings, and last the note as UTF-8 bytes."""


@dataclass
class Reading:
    """How raw tables are read, and the counts that are collected on the way.

    Attributes:
        chunk_size: The most rows per chunk.
        skip_bad_rows: Count and skip rows that are not valid CSV; else the first one is an error.
        on_progress: Called with the bytes read of each table (of a ``.gz`` file, compressed bytes)
            and the rows kept.
        hashes: File to XXH3 hash, for every file that was read to its end.
        rows_read: File to number of rows, bad ones included, for every file that was read to its
            end.
        dropped: Reason to the number of rows, notes or documents that were dropped for it.
        first_bad_row: File name to the line of its first bad row and the problem with it.
        choices: What was chosen by what the tables contain, in words: ``codes``, ``columns of
            notes.csv``.
        encoding: The encoding of tables in CSV and JSONL without a mark; None: UTF-8, or for CSV
            what its content shows.
    """

    chunk_size: int = 100_000
    skip_bad_rows: bool = False
    on_progress: Progress | None = None
    hashes: dict[Path, str] = field(default_factory=dict)
    rows_read: dict[Path, int] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    first_bad_row: dict[str, str] = field(default_factory=dict)
    choices: dict[str, str] = field(default_factory=dict)
    encoding: str | None = None

    def rows(
        self, path: Path, columns: Sequence[str], where: Mapping[str, str] | None = None
    ) -> Iterator[list[Row]]:
        """Read some columns of a CSV file, front to back.

        Args:
            path: A CSV file with a header, compressed if its name ends in ``.gz``; in UTF-8, in
                UTF-16 with its byte order mark, or in what `encodings.recognized` finds. Columns
                are separated by what the header has most of: ``,``, ``;``, tabs or ``|``.
            columns: The requested columns; upper and lower case are the same.
            where: Column to exact value; rows with other values are skipped.

        Yields:
            Chunks of rows. A row has the values of `columns` in that order, unchanged.

        Raises:
            DataError: If the table can't be read; the message names the line if it is known.
        """
        yield from self._rows(path, columns, where, [python_strings] * len(columns))

    def notes(
        self, path: Path, columns: Sequence[str], where: Mapping[str, str] | None = None
    ) -> Iterator[list[NoteRow]]:
        """Read like `rows`, with the last column as UTF-8 bytes.

        For notes that are only written again: decoding them would mean two copies.

        Raises:
            DataError: As `rows`.
        """
        yield from self._rows(
            path, columns, where, [*[python_strings] * (len(columns) - 1), utf8_contents]
        )

    def _rows(
        self,
        path: Path,
        columns: Sequence[str],
        where: Mapping[str, str] | None,
        values: Sequence[ColumnMaker[Any]],
    ) -> Iterator[list[tuple[Any, ...]]]:
        for columns_of_block in self._columns(path, columns, where, values):
            rows = list(zip(*columns_of_block, strict=True))
            for start in range(0, len(rows), self.chunk_size):
                yield rows[start : start + self.chunk_size]

    def arrays(
        self, path: Path, columns: Sequence[str], where: Mapping[str, str] | None = None
    ) -> Iterator[Sequence[pa.StringArray]]:
        """Read like `rows`, as Arrow arrays of strings; for tables of many short rows.

        Yields:
            One Arrow array per column, for some rows at a time.

        Raises:
            DataError: As `rows`.
        """
        return self._columns(path, columns, where, [arrow_strings] * len(columns))

    def _columns(
        self,
        path: Path,
        columns: Sequence[str],
        where: Mapping[str, str] | None,
        values: Sequence[ColumnMaker[Column]],
    ) -> Iterator[list[Column]]:
        stream = ByteStream(path, Examiner(), self.encoding)
        with stream.blocks() as blocks:
            table = _Table(self, path, columns, where or {}, values)
            kept = 0
            for found in table.read(blocks):
                kept += len(found[0])
                yield found
                self._report(stream, kept)
        if not stream.encoding.startswith("utf"):
            why = "" if self.encoding else ", which its content shows"
            self.choices[f"encoding of {path.name}"] = f"{stream.encoding}{why}"
        assert stream.hash is not None, "a file that was read to its end has a hash"
        self.hashes[path], self.rows_read[path] = stream.hash, table.rows
        self._report(stream, kept)

    def _report(self, stream: ByteStream, kept: int) -> None:
        if self.on_progress:
            size = max(stream.position, stream.path.stat().st_size)
            self.on_progress(
                f"reading {stream.path.name}", stream.position, size, "bytes", f"{kept:,} kept"
            )

    def drop(self, reason: str, count: int) -> None:
        """Count dropped rows, notes or documents; a count of 0 leaves no entry."""
        if count:
            self.dropped[reason] += count

    def bad(self, path: Path, line: int, problem: str) -> None:
        """Count a bad row.

        Raises:
            DataError: If bad rows aren't skipped.
        """
        if not self.skip_bad_rows:
            raise DataError(f"{path}, line {line}: {problem}. Fix the row or pass --skip-bad-rows.")
        self.dropped[f"rows of {path.name} that are no valid CSV"] += 1
        self.first_bad_row.setdefault(path.name, f"line {line}: {problem}")


class StrictReading(Reading):
    """Reading for commands without --skip-bad-rows: a bad row is always an error."""

    def bad(self, path: Path, line: int, problem: str) -> None:
        """Raise the error about a bad row."""
        raise DataError(f"{path}, line {line}: {problem}.")


def read_header(path: Path, encoding: str | None = None) -> list[str]:
    """Return the column names of a CSV file, unchanged.

    Args:
        path: The file.
        encoding: Its encoding if it has no mark; None: found in its content.

    Raises:
        DataError: If the file can't be read, is empty or isn't CSV.
    """
    with ByteStream(path, encoding=encoding).blocks() as blocks:
        return CsvWindow(path, blocks, encoding).header()


def match_columns(path: Path, available: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Find columns by name, whether in upper or lower case, with or without blanks around it.

    Args:
        path: The table, for the message.
        available: The table's columns.
        wanted: The names to find.

    Returns:
        The index of each wanted column among the available ones.

    Raises:
        DataError: If a column is missing, or several differ only in upper and lower case.
    """
    lower = [plain_name(name) for name in available]
    for name in wanted:
        if (alike := lower.count(plain_name(name))) > 1 and available.count(name) != 1:
            raise DataError(
                f"{path}: has {alike} columns {name!r} (upper and lower case are the same). Rename "
                "all but one."
            )
    missing = [name for name in wanted if plain_name(name) not in lower]
    if not missing:
        return [
            available.index(name) if name in available else lower.index(plain_name(name))
            for name in wanted
        ]
    names = ", ".join(f"{name!r}{nearest(name, available)}" for name in missing)
    raise DataError(f"{path}: no column {names}. Its columns are: {shown_names(available)}")


def shown_names(names: Sequence[str]) -> str:
    """Return the names of columns for a message, without those that may be text of a note.

    In a table without a header, the names are the values of the first row.
    """
    texts = [name for name in names if len(name) > _LONGEST_NAME or len(name.split()) > _MOST_WORDS]
    shown = [name.strip() for name in names[:_MOST_NAMES] if name not in texts]
    more = [" …"] if len(names) > _MOST_NAMES else []
    problem = ". The first row has a longer text, but must have the names of the columns"
    return "".join([", ".join(shown) or "none", *more, *([problem] if texts else [])])


def plain_name(name: str) -> str:
    """Return a column's name in lower case, without blanks and byte order marks around it."""
    return name.strip().strip("\ufeff\u200b").strip().lower()


class _Table(Generic[Column]):
    """One table while it is being read."""

    def __init__(
        self,
        reading: Reading,
        path: Path,
        columns: Sequence[str],
        where: Mapping[str, str],
        values: Sequence[ColumnMaker[Column]],
    ) -> None:
        self.rows = 0
        self._reading = reading
        self._path = path
        self._columns = columns
        self._where = where
        self._values_of = values
        self._wanted_values = [value.encode() for value in where.values()]

    def read(self, blocks: Iterator[Block]) -> Iterator[list[Column]]:
        """Yield the requested columns of the requested rows, one block at a time."""
        window = CsvWindow(self._path, blocks, self._reading.encoding)
        header = window.header()
        if window.separator != window.usual_separator:
            name = f"columns of {self._path.name}"
            self._reading.choices[name] = f"separated by {SEPARATORS[window.separator]}"
        try:
            wanted = match_columns(self._path, header, [*self._columns, *self._where])
        except DataError:
            if window.data.all():
                raise
            raise DataError(
                f"{self._path}: is binary, not a CSV file. Export the table as CSV in UTF-8."
            ) from None
        while True:
            scanned = scan(window.data, len(header), window.examined, window.separator)
            if scanned is not None:
                columns, consumed = self._scanned(scanned, wanted), scanned.consumed
            else:
                columns, consumed = self._parsed(window, len(header), wanted)
            if len(columns[0]):
                yield columns
            window.drop(consumed)
            if window.last:
                break
            window.grow()
        # The rest is a last row without a line end, or an incomplete one.
        columns, _ = self._parsed(window, len(header), wanted)
        if len(columns[0]):
            yield columns
        if self.rows == 0:
            raise DataError(
                f"{self._path}: has a header but no rows. Copy or download the complete table."
            )

    def _scanned(self, found: Scanned, wanted: list[int]) -> list[Column]:
        self.rows += len(found)
        rows: NDArray[np.int64] | slice = slice(None)
        for place, value in zip(wanted[len(self._columns) :], self._wanted_values, strict=True):
            starts, ends, _ = found.column(place, rows)
            equal = equal_fields(found.data, starts, ends, value)
            rows = equal if isinstance(rows, slice) else rows[equal]
        return [
            values(found.data, *found.column(place, rows))
            for place, values in zip(wanted, self._values_of, strict=False)
        ]

    def _parsed(self, window: CsvWindow, width: int, wanted: list[int]) -> tuple[list[Column], int]:
        rows, consumed = [], 0
        required = list(zip(wanted[len(self._columns) :], self._where.values(), strict=True))
        for row in parse(window.data.tobytes(), width, window.last, window.separator):
            consumed = row.consumed
            self.rows += 1
            if row.fields is None:
                self._bad(window, row)
            elif all(row.fields[place] == value for place, value in required):
                rows.append(tuple([row.fields[place] for place in wanted[: len(self._columns)]]))
        columns = [packed([row[place] for row in rows]) for place in range(len(self._columns))]
        found = [
            values(*column, False) for values, column in zip(self._values_of, columns, strict=True)
        ]
        return found, len(window.data) if window.last else consumed

    def _bad(self, window: CsvWindow, row: Parsed) -> None:
        # To find the line, the file is read again: only the first bad row is reported with it.
        known = self._path.name in self._reading.first_bad_row
        self._reading.bad(self._path, 0 if known else window.line(row.line), row.problem)
