"""Reading one raw table: a CSV file, compressed or not, as rows of strings in bounded memory.

Types are never guessed (``NA`` and leading zeros survive), every row must be as wide as the header, and what can be wrong
with a file is told in one message, with the line. A table is read once, front to back; what it was made of is known
afterwards (`Reading.sha256`, `Reading.rows_read`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icdcli.data.byte_stream import ByteStream
from icdcli.data.csv_scan import Parsed, Scanned, parse, scan
from icdcli.data.progress import Progress
from icdcli.errors import DataError, nearest

Row = tuple[str, ...]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONGEST_ROW = 256 << 20  # bytes; a quote that is never closed must not take the rest of the file into memory


@dataclass
class Reading:
    """How raw tables are read, and what is learned about them on the way.

    Attributes:
        chunk_size: At most so many rows are handed over at a time.
        skip_bad_rows: Whether a row that is no valid CSV is counted and passed over; else it ends the reading.
        progress: Told the bytes of each table that are read (compressed bytes, where compressed), and the rows kept.
        sha256: File to SHA-256, of every file that was read to its end.
        rows_read: File to the number of its rows, bad ones included, of every file that was read to its end.
        dropped: Reason to the number of rows, notes or documents that were left out for it.
        first_bad_row: File's name to where its first bad row stands, and what is wrong with it.
    """

    chunk_size: int = 100_000
    skip_bad_rows: bool = False
    progress: Progress | None = None
    sha256: dict[Path, str] = field(default_factory=dict)
    rows_read: dict[Path, int] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    first_bad_row: dict[str, str] = field(default_factory=dict)

    def rows(self, path: Path, columns: Sequence[str], where: Mapping[str, str] | None = None) -> Iterator[list[Row]]:
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
        stream = ByteStream(path)
        with stream.blocks() as blocks:
            table = _Table(self, path, columns, where or {})
            kept = 0
            for rows in table.read(blocks):
                kept += len(rows)
                for start in range(0, len(rows), self.chunk_size):
                    yield rows[start : start + self.chunk_size]
                self._tell(stream, kept)
        assert stream.sha256 is not None, "a file that was read to its end has a hash"
        self.sha256[path], self.rows_read[path] = stream.sha256, table.rows
        self._tell(stream, kept)

    def _tell(self, stream: ByteStream, kept: int) -> None:
        if self.progress:
            size = max(stream.position, stream.path.stat().st_size)
            self.progress(f"reading {stream.path.name}", stream.position, size, "bytes", f"{kept:,} rows kept")

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
            raise DataError(f"{path}, line {line}: {problem} (--skip-bad-rows counts such rows and goes on)")
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
        DataError: Naming the missing columns, the nearest ones and those that there are.
    """
    lower = [name.strip().lower() for name in available]
    missing = [name for name in wanted if name.lower() not in lower]
    if not missing:
        return [available.index(name) if name in available else lower.index(name.lower()) for name in wanted]
    if len(available) == 1 and (other := next((mark for mark in "\t;|" if mark in available[0]), None)):
        raise DataError(f"{path}: the columns are separated by {other!r}; save the table with commas")
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
                raise DataError(f"{path}, near line {self.line()}: {str(error).removeprefix(path + ': ')}") from error
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
            raise DataError(f"{self.path}: is compressed with gzip; rename it to {self.path.name}.gz")
        while (first := next(parse(self.data.tobytes(), None, self.last), None)) is None:
            if self.last:
                raise DataError(f"{self.path}: is empty; copy or download it again")
            self.grow()
        if not self.data[: first.consumed].all():
            raise DataError(f"{self.path}: is binary, not a CSV file; export the table as CSV in UTF-8")
        if first.fields is None:
            raise DataError(f"{self.path}, line {first.line}: {first.problem}")
        self.drop(first.consumed)
        return first.fields


class _Table:
    """One table while it is read."""

    def __init__(self, reading: Reading, path: Path, columns: Sequence[str], where: Mapping[str, str]) -> None:
        self.rows = 0
        self._reading = reading
        self._path = path
        self._columns = columns
        self._where = where
        self._values = [value.encode() for value in where.values()]

    def read(self, blocks: Iterator[memoryview]) -> Iterator[list[Row]]:
        """Give the wanted fields of the wanted rows, those of a block at a time."""
        window = _Window(self._path, blocks)
        header = window.header()
        try:
            wanted = match_columns(self._path, header, [*self._columns, *self._where])
        except DataError:
            if window.data.all():
                raise
            raise DataError(f"{self._path}: is binary, not a CSV file; export the table as CSV in UTF-8") from None
        while True:
            scanned = scan(window.data, len(header), wanted, window.scratch)
            if scanned is not None:
                rows, consumed = self._scanned(window.data, scanned), scanned.consumed
            else:
                rows, consumed = self._parsed(window, len(header), wanted)
            if rows:
                yield rows
            window.drop(consumed)
            if window.last:
                break
            window.grow()
        rows, _ = self._parsed(window, len(header), wanted)  # a last row without a line end, or one that isn't whole
        if rows:
            yield rows
        if self.rows == 0:
            raise DataError(f"{self._path}: has a header but no rows; is this the whole table?")

    def _scanned(self, data: NDArray[np.uint8], found: Scanned) -> list[Row]:
        self.rows += len(found.starts_RC)
        starts_RC, ends_RC, quoted_RC = found.starts_RC, found.ends_RC, found.quoted_RC
        count = len(self._columns)
        if self._values:
            chosen = np.arange(len(starts_RC))
            for place, value in enumerate(self._values, start=count):
                chosen = chosen[_equal(data, starts_RC[chosen, place], ends_RC[chosen, place], value)]
            starts_RC, ends_RC, quoted_RC = starts_RC[chosen], ends_RC[chosen], quoted_RC[chosen]
        columns = [
            _strings(data.data, starts_RC[:, place], ends_RC[:, place], bool(quoted_RC[:, place].any()))
            for place in range(count)
        ]
        return list(zip(*columns, strict=True))

    def _parsed(self, window: _Window, width: int, wanted: list[int]) -> tuple[list[Row], int]:
        rows, consumed = [], 0
        required = list(zip(wanted[len(self._columns) :], self._where.values(), strict=True))
        for row in parse(window.data.tobytes(), width, window.last):
            consumed = row.consumed
            self.rows += 1
            if row.fields is None:
                self._bad(window, row)
            elif all(row.fields[place] == value for place, value in required):
                rows.append(tuple([row.fields[place] for place in wanted[: len(self._columns)]]))
        return rows, len(window.data) if window.last else consumed

    def _bad(self, window: _Window, row: Parsed) -> None:
        known = self._path.name in self._reading.first_bad_row  # the line of the first is told, and costs another reading
        self._reading.bad(self._path, 0 if known else window.line(row.line), row.problem)


def _equal(data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], value: bytes) -> NDArray[np.int64]:
    """Which of the fields are this value, which has no quotes."""
    candidates = np.flatnonzero(ends - starts == len(value))
    letters = data[starts[candidates, None] + np.arange(len(value))]
    found: NDArray[np.int64] = candidates[(letters == np.frombuffer(value, dtype=np.uint8)).all(axis=1)]
    return found


def _strings(block: memoryview, starts: NDArray[np.int64], ends: NDArray[np.int64], quoted: bool) -> list[str]:
    fields = [str(block[start:end], "utf-8") for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    # Only a field that stood in quotes can have some.
    return [field.replace('""', '"') for field in fields] if quoted else fields
