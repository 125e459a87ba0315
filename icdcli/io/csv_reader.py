"""Reading one raw table: a CSV file, compressed or not, as rows of strings in bounded memory.

Types are never guessed (``NA`` and leading zeros survive), every row must be as wide as the header, and what can be wrong
with a file is told in one message, with the line. A table is read once, front to back; what it was made of is known
afterwards (`Reading.hashes`, `Reading.rows_read`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from icdcli.errors import DataError, nearest
from icdcli.io.byte_stream import ByteStream
from icdcli.io.csv_scan import QUOTE, Parsed, Scanned, parse, scan
from icdcli.io.progress import Progress

Row = tuple[str, ...]
NoteRow = tuple[Any, ...]
"""Strings, and at the end the note's UTF-8."""
_Column = TypeVar("_Column", bound=Sequence[Any])
_Values = Callable[[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], bool], _Column]
"""Makes a column of a block, of where its fields begin and end, and of whether some stood in quotes."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CLOSE_TOGETHER = 200  # bytes; fields nearer than that are decoded all at once
_LONGEST_ROW = (
    256 << 20
)  # bytes; a quote that is never closed must not take the rest of the file into memory


@dataclass
class Reading:
    """How raw tables are read, and what is learned about them on the way.

    Attributes:
        chunk_size: At most so many rows are handed over at a time.
        skip_bad_rows: Whether a row that is no valid CSV is counted and passed over; else it ends the reading.
        on_progress: Told the bytes of each table that are read (compressed bytes, where compressed), and the rows kept.
        hashes: File to its XXH3 hash, of every file that was read to its end.
        rows_read: File to the number of its rows, bad ones included, of every file that was read to its end.
        dropped: Reason to the number of rows, notes or documents that were left out for it.
        first_bad_row: File's name to where its first bad row stands, and what is wrong with it.
    """

    chunk_size: int = 100_000
    skip_bad_rows: bool = False
    on_progress: Progress | None = None
    hashes: dict[Path, str] = field(default_factory=dict)
    rows_read: dict[Path, int] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    first_bad_row: dict[str, str] = field(default_factory=dict)

    def rows(
        self, path: Path, columns: Sequence[str], where: Mapping[str, str] | None = None
    ) -> Iterator[list[Row]]:
        """Read some columns of a CSV file, front to back.

        Args:
            path: A ``.csv`` or ``.csv.gz`` file in UTF-8 with a header.
            columns: The wanted columns, matched whatever their case.
            where: Column to exact value: other rows are passed over while reading.

        Yields:
            Chunks of rows, each row the values of `columns` in that order, every value as written.

        Raises:
            DataError: With the file, the line where known, what is wrong and what to do.
        """
        yield from self._rows(path, columns, where, [_strings] * len(columns))

    def notes(
        self, path: Path, columns: Sequence[str], where: Mapping[str, str] | None = None
    ) -> Iterator[list[NoteRow]]:
        """The same as `rows`, the last column as UTF-8: for notes that are only passed on, which decoding would copy twice.

        Raises:
            DataError: As `rows`.
        """
        yield from self._rows(path, columns, where, [*[_strings] * (len(columns) - 1), _contents])

    def _rows(
        self,
        path: Path,
        columns: Sequence[str],
        where: Mapping[str, str] | None,
        values: Sequence[_Values[Any]],
    ) -> Iterator[list[tuple[Any, ...]]]:
        for columns_of_block in self._columns(path, columns, where, values):
            rows = list(zip(*columns_of_block, strict=True))
            for start in range(0, len(rows), self.chunk_size):
                yield rows[start : start + self.chunk_size]

    def arrays(
        self, path: Path, columns: Sequence[str], where: Mapping[str, str] | None = None
    ) -> Iterator[Sequence[pa.StringArray]]:
        """The same as `rows`, a column at a time and without a Python string a value: for tables of many short rows.

        Yields:
            For some rows at a time, an Arrow array for each of `columns`.

        Raises:
            DataError: As `rows`.
        """
        return self._columns(path, columns, where, [_arrow_strings] * len(columns))

    def _columns(
        self,
        path: Path,
        columns: Sequence[str],
        where: Mapping[str, str] | None,
        values: Sequence[_Values[_Column]],
    ) -> Iterator[list[_Column]]:
        stream = ByteStream(path)
        with stream.blocks() as blocks:
            table = _Table(self, path, columns, where or {}, values)
            kept = 0
            for found in table.read(blocks):
                kept += len(found[0])
                yield found
                self._tell(stream, kept)
        assert stream.hash is not None, "a file that was read to its end has a hash"
        self.hashes[path], self.rows_read[path] = stream.hash, table.rows
        self._tell(stream, kept)

    def _tell(self, stream: ByteStream, kept: int) -> None:
        if self.on_progress:
            size = max(stream.position, stream.path.stat().st_size)
            self.on_progress(
                f"reading {stream.path.name}", stream.position, size, "bytes", f"{kept:,} kept"
            )

    def drop(self, reason: str, count: int) -> None:
        """Count what was left out; nothing is told of nothing."""
        if count:
            self.dropped[reason] += count

    def bad(self, path: Path, line: int, problem: str) -> None:
        """Count a bad row.

        Raises:
            DataError: Where bad rows are not to be skipped.
        """
        if not self.skip_bad_rows:
            raise DataError(
                f"{path}, line {line}: {problem} (--skip-bad-rows counts such rows and goes on)"
            )
        self.dropped[f"rows of {path.name} that are no valid CSV"] += 1
        self.first_bad_row.setdefault(path.name, f"line {line}: {problem}")


def read_header(path: Path) -> list[str]:
    """The column names of a CSV file, as written.

    Raises:
        DataError: When the file can't be read, is empty or no CSV.
    """
    with ByteStream(path).blocks() as blocks:
        return _Window(path, blocks).header()


def match_columns(path: Path, available: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Find columns by name, whatever the case.

    Args:
        path: The table, for the message.
        available: The table's columns.
        wanted: The names looked for.

    Returns:
        The place of each wanted column among the available ones.

    Raises:
        DataError: Naming the missing columns, the nearest ones and those that there are; or columns that can't be told apart.
    """
    lower = [name.strip().lower() for name in available]
    for name in wanted:
        if (alike := lower.count(name.lower())) > 1 and available.count(name) != 1:
            raise DataError(
                f"{path}: has {alike} columns {name!r}, whatever their case; rename all but one"
            )
    missing = [name for name in wanted if name.lower() not in lower]
    if not missing:
        return [
            available.index(name) if name in available else lower.index(name.lower())
            for name in wanted
        ]
    if len(available) == 1 and (
        other := next((mark for mark in "\t;|" if mark in available[0]), None)
    ):
        raise DataError(
            f"{path}: the columns are separated by {other!r}; save the table with commas"
        )
    names = ", ".join(f"{name!r}{nearest(name, available)}" for name in missing)
    there = ", ".join(available[:30]) + (" …" if len(available) > 30 else "")
    raise DataError(f"{path}: no column {names}; its columns are: {there}")


class _Window:
    """The part of a table that is worked on: read on at its end, dropped from its front. It keeps its memory."""

    def __init__(self, path: Path, blocks: Iterator[memoryview]) -> None:
        self.path = path
        self.last = False  # whether the file ends with it
        self._blocks = blocks
        self._offset = 0  # of its beginning in the unpacked file
        self._memory = np.empty(0, dtype=np.uint8)
        self._scratch = np.empty(0, dtype=bool)
        self._length = 0

    @property
    def data(self) -> NDArray[np.uint8]:
        """Its bytes, valid until it is changed."""
        return self._memory[: self._length]

    @property
    def scratch(self) -> NDArray[np.bool_]:
        """Memory of its length to work in."""
        return self._scratch[: self._length]

    def grow(self) -> None:
        """Read on until it is twice as long, so that a row of any length is looked at a few times only."""
        if self._length > _LONGEST_ROW:
            raise DataError(
                f"{self.path}, line {self.line()}: a row of more than {_LONGEST_ROW >> 20} MB begins here; "
                "a quoted text that is never closed?"
            )
        goal = max(2 * self._length, 1)
        while self._length < goal and not self.last:
            try:
                block = next(self._blocks, None)
            except DataError as error:
                if self._offset + self._length == 0:
                    raise
                path = str(self.path)
                raise DataError(
                    f"{path}, near line {self.line()}: {str(error).removeprefix(path + ': ')}"
                ) from error
            if block is None:
                self.last = True
            else:
                self._append(block)

    def _append(self, block: memoryview) -> None:
        length = self._length + len(block)
        if length > len(self._memory):
            memory = np.empty(2 * length, dtype=np.uint8)
            memory[: self._length] = self.data
            self._memory, self._scratch = memory, np.empty(2 * length, dtype=bool)
        self._memory[self._length : length] = np.frombuffer(block, dtype=np.uint8)
        self._length = length

    def drop(self, length: int) -> None:
        """Take bytes off the front."""
        self._offset += length
        self._length -= length
        self._memory[: self._length] = self._memory[length : length + self._length].copy()

    def line(self, within: int = 1) -> int:
        """The line of the file, counted from 1, of a line of the buffer. Reads the file again up to there."""
        left, lines = self._offset, 0
        if left == 0:
            return within
        with ByteStream(self.path).blocks() as blocks:
            for block in blocks:
                lines += bytes(block[:left]).count(b"\n")
                left -= len(block)
                if left <= 0:
                    break
        return lines + within

    def header(self) -> list[str]:
        """Take the header off the front."""
        while self._length < len(_BYTE_ORDER_MARK) and not self.last:
            self.grow()
        if self.data[: len(_BYTE_ORDER_MARK)].tobytes() == _BYTE_ORDER_MARK:
            self.drop(len(_BYTE_ORDER_MARK))
        if not self._length:
            raise DataError(f"{self.path}: is empty; copy or download it again")
        if self.data[:2].tobytes() == b"\x1f\x8b":
            raise DataError(
                f"{self.path}: is compressed with gzip; rename it to {self.path.name}.gz"
            )
        while (first := next(parse(self.data.tobytes(), None, self.last), None)) is None:
            if self.last:
                raise DataError(f"{self.path}: is empty; copy or download it again")
            self.grow()
        if not self.data[: first.consumed].all():
            raise DataError(
                f"{self.path}: is binary, not a CSV file; export the table as CSV in UTF-8"
            )
        if first.fields is None:
            raise DataError(f"{self.path}, line {first.line}: {first.problem}")
        self.drop(first.consumed)
        return first.fields


class _Table(Generic[_Column]):
    """One table while it is read."""

    def __init__(
        self,
        reading: Reading,
        path: Path,
        columns: Sequence[str],
        where: Mapping[str, str],
        values: Sequence[_Values[_Column]],
    ) -> None:
        self.rows = 0
        self._reading = reading
        self._path = path
        self._columns = columns
        self._where = where
        self._values_of = values
        self._wanted_values = [value.encode() for value in where.values()]

    def read(self, blocks: Iterator[memoryview]) -> Iterator[list[_Column]]:
        """Give the wanted columns of the wanted rows, those of a block at a time."""
        window = _Window(self._path, blocks)
        header = window.header()
        try:
            wanted = match_columns(self._path, header, [*self._columns, *self._where])
        except DataError:
            if window.data.all():
                raise
            raise DataError(
                f"{self._path}: is binary, not a CSV file; export the table as CSV in UTF-8"
            ) from None
        while True:
            scanned = scan(window.data, len(header), wanted, window.scratch)
            if scanned is not None:
                columns, consumed = self._scanned(window.data, scanned), scanned.consumed
            else:
                columns, consumed = self._parsed(window, len(header), wanted)
            if len(columns[0]):
                yield columns
            window.drop(consumed)
            if window.last:
                break
            window.grow()
        columns, _ = self._parsed(
            window, len(header), wanted
        )  # a last row without a line end, or one that isn't whole
        if len(columns[0]):
            yield columns
        if self.rows == 0:
            raise DataError(f"{self._path}: has a header but no rows; is this the whole table?")

    def _scanned(self, data: NDArray[np.uint8], found: Scanned) -> list[_Column]:
        self.rows += len(found.starts_RC)
        starts_RC, ends_RC, quoted_RC = found.starts_RC, found.ends_RC, found.quoted_RC
        count = len(self._columns)
        if self._wanted_values:
            chosen = np.arange(len(starts_RC))
            for place, value in enumerate(self._wanted_values, start=count):
                chosen = chosen[
                    _equal(data, starts_RC[chosen, place], ends_RC[chosen, place], value)
                ]
            starts_RC, ends_RC, quoted_RC = starts_RC[chosen], ends_RC[chosen], quoted_RC[chosen]
        return [
            values(data, starts_RC[:, place], ends_RC[:, place], bool(quoted_RC[:, place].any()))
            for place, values in enumerate(self._values_of)
        ]

    def _parsed(self, window: _Window, width: int, wanted: list[int]) -> tuple[list[_Column], int]:
        rows, consumed = [], 0
        required = list(zip(wanted[len(self._columns) :], self._where.values(), strict=True))
        for row in parse(window.data.tobytes(), width, window.last):
            consumed = row.consumed
            self.rows += 1
            if row.fields is None:
                self._bad(window, row)
            elif all(row.fields[place] == value for place, value in required):
                rows.append(tuple([row.fields[place] for place in wanted[: len(self._columns)]]))
        columns = [_in_a_row([row[place] for row in rows]) for place in range(len(self._columns))]
        found = [
            values(*column, False) for values, column in zip(self._values_of, columns, strict=True)
        ]
        return found, len(window.data) if window.last else consumed

    def _bad(self, window: _Window, row: Parsed) -> None:
        known = (
            self._path.name in self._reading.first_bad_row
        )  # the line of the first is told, and costs another reading
        self._reading.bad(self._path, 0 if known else window.line(row.line), row.problem)


def _equal(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], value: bytes
) -> NDArray[np.int64]:
    """Which of the fields are this value, which has no quotes."""
    candidates = np.flatnonzero(ends - starts == len(value))
    letters = data[starts[candidates, None] + np.arange(len(value))]
    found: NDArray[np.int64] = candidates[
        (letters == np.frombuffer(value, dtype=np.uint8)).all(axis=1)
    ]
    return found


def _in_a_row(fields: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Strings as bytes end to end, with where each begins and ends."""
    encoded = [field.encode() for field in fields]
    edges = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), edges[:-1], edges[1:]


def _strings(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], quoted: bool
) -> list[str]:
    """Fields as Python strings."""
    block, places = data.data, zip(starts.tolist(), ends.tolist(), strict=True)
    if len(starts) * _CLOSE_TOGETHER > len(block) and (text := _ascii(block)) is not None:
        fields = [text[start:end] for start, end in places]
    else:
        fields = [str(block[start:end], "utf-8") for start, end in places]
    if quoted:
        # Within quotes every quote is doubled; to look for one of them is many times faster than for both.
        fields = ['"'.join(field.split('"')[::2]) if '"' in field else field for field in fields]
    return fields


def _contents(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], quoted: bool
) -> list[bytes]:
    """Fields as they are encoded, in UTF-8."""
    block = data.data
    fields = [
        bytes(block[start:end]) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    return (
        [b'"'.join(field.split(b'"')[::2]) if b'"' in field else field for field in fields]
        if quoted
        else fields
    )


def _ascii(block: memoryview) -> str | None:
    try:
        return str(block, "ascii")
    except UnicodeDecodeError:
        return None


def _arrow_strings(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], quoted: bool
) -> pa.StringArray:
    """Fields as an Arrow array."""
    edges = np.zeros(len(starts) + 1, dtype=np.int32)
    np.cumsum(ends - starts, out=edges[1:])
    content = data[np.repeat(starts - edges[:-1], ends - starts) + np.arange(edges[-1])]
    if quoted and (content == QUOTE).any():
        return pa.array(_strings(data, starts, ends, quoted), pa.string())
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(edges), pa.py_buffer(content))
