"""Reading one raw table: a CSV file, compressed or not, as rows of strings in bounded memory.

Python's own csv module does the parsing: it never guesses types (``NA`` and leading zeros survive), knows the line it
stands at, and lets us refuse rows that pandas would silently fill up. Everything that can be wrong with a file is told
here, in one message.
"""

import csv
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from icdcli.data.progress import Progress
from icdcli.errors import DataError, nearest

Row = tuple[str, ...]

_ENDINGS = (".csv", ".csv.gz")
_LONGEST_FIELD = 2**31 - 1  # csv's own limit of 128 KiB is shorter than some notes
_ROWS_BETWEEN_REPORTS = 4096


def find_tables(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Find raw tables as ``NAME.csv`` or ``NAME.csv.gz``, whatever the case of the file's name.

    Args:
        folder: The folder that the tables lie in.
        names: The tables' names without ending.

    Returns:
        Each name with its file.

    Raises:
        DataError: Naming all tables that are missing, or two files that could both be meant.
    """
    found: dict[str, Path] = {}
    for name in names:
        matches = matching_tables(folder, name)
        if len(matches) > 1:
            both = " and ".join(match.name for match in matches)
            raise DataError(f"{folder}: {both} could both be {name}; remove or rename one")
        if matches:
            found[name] = matches[0]
    missing = [name for name in names if name not in found]
    if missing:
        looked_for = ", ".join(f"{name}.csv or {name}.csv.gz" for name in missing)
        raise DataError(f"{folder}: missing {looked_for}; put every table of the data set into this folder")
    return found


def find_table(folder: Path, name: str) -> Path:
    """Find one raw table; see `find_tables`."""
    return find_tables(folder, [name])[name]


def matching_tables(folder: Path, name: str) -> list[Path]:
    """All files that could be one raw table; none is no error.

    Raises:
        DataError: When there is no such folder, or it can't be read.
    """
    wanted = {name.lower() + ending for ending in _ENDINGS}
    return sorted(file for file in list_folder(folder) if file.name.lower() in wanted)


def list_folder(folder: Path) -> list[Path]:
    """The files and folders in a folder.

    Raises:
        DataError: When there is no such folder, or it can't be read.
    """
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: can't be read as a folder ({error.strerror})") from error


def read_header(path: Path) -> list[str]:
    """The column names of a CSV file, as written.

    Raises:
        DataError: When the file can't be read, is empty or no CSV.
    """
    with _opened(path) as (stream, _):
        return _header(path, _checked_rows(path, stream))


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


def read_rows(
    path: Path,
    columns: Sequence[str],
    chunk_size: int = 100_000,
    where: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Iterator[list[Row]]:
    """Read some columns of a CSV file, front to back.

    Args:
        path: A ``.csv`` or ``.csv.gz`` file in UTF-8 with a header.
        columns: The wanted columns, matched whatever their case.
        chunk_size: At most so many rows are held at a time.
        where: Column to exact value: other rows are skipped while reading.
        progress: Told the bytes of the file that are read (compressed bytes, where compressed).

    Yields:
        Chunks of rows, each row the values of `columns` in that order, every value as written.

    Raises:
        DataError: With the file, the line where known, what is wrong and what to do.
    """
    conditions = dict(where or {})
    with _opened(path) as (stream, position):
        rows = _checked_rows(path, stream)
        places = match_columns(path, _header(path, rows), [*columns, *conditions])
        wanted = places[: len(columns)]
        required = list(zip(places[len(columns) :], conditions.values(), strict=True))
        size, stage = path.stat().st_size, f"reading {path.name}"
        number = 0
        chunk: list[Row] = []
        for number, row in enumerate(rows, start=1):
            if all(row[place] == value for place, value in required):
                chunk.append(tuple([row[place] for place in wanted]))
                if len(chunk) >= chunk_size:
                    yield chunk
                    chunk = []
            if progress and number % _ROWS_BETWEEN_REPORTS == 0:
                progress(stage, position(), size, "bytes")
        if number == 0:
            raise DataError(f"{path}: has a header but no rows; is this the whole table?")
        if chunk:
            yield chunk
        if progress:
            progress(stage, size, size, "bytes")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[TextIO, Callable[[], int]]]:
    """The file as text, and a function that tells how many of its bytes are read."""
    compressed = path.name.lower().endswith(".gz")
    with ExitStack() as stack:
        try:
            raw = stack.enter_context(path.open("rb"))
            if os.fstat(raw.fileno()).st_size == 0:
                raise DataError(f"{path}: is empty; copy or download it again")
            if not compressed and raw.peek(2)[:2] == b"\x1f\x8b":
                raise DataError(f"{path}: is compressed with gzip; rename it to {path.name}.gz")
            binary = stack.enter_context(gzip.GzipFile(fileobj=raw)) if compressed else raw
            if b"\0" in binary.peek(4096)[:4096]:
                raise DataError(f"{path}: is binary, not a CSV file; export the table as CSV in UTF-8")
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: {_reason(error)}") from error
        yield stack.enter_context(io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")), raw.tell


def _checked_rows(path: Path, stream: TextIO) -> Iterator[list[str]]:
    """All rows, the header first; each as wide as the header. Blank lines are passed over."""
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(stream, strict=True)
    width = 0
    while True:
        try:
            row = next(reader, None)
        except (csv.Error, UnicodeDecodeError, EOFError, OSError, zlib.error) as error:
            # csv fails on the line that it has just counted, decoding and unpacking on one that comes after it.
            line = reader.line_num if isinstance(error, csv.Error) else reader.line_num + 1
            raise DataError(f"{path}, near line {line}: {_reason(error)}") from error
        if row is None:
            return
        if not row:
            continue
        width = width or len(row)
        if len(row) != width:
            raise DataError(
                f"{path}, line {reader.line_num}: {len(row)} fields where the header has {width}; "
                "a text with commas, quotes or line breaks must stand in double quotes"
            )
        yield row


def _header(path: Path, rows: Iterator[list[str]]) -> list[str]:
    header = next(rows, None)
    if header is None:
        raise DataError(f"{path}: is empty; copy or download it again")
    return header


def _reason(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "the compressed file ends too early; copy or download it again"
    if isinstance(error, gzip.BadGzipFile | zlib.error):
        return f"not a gzip file, or a damaged one ({error}); copy or download it again"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 (byte 0x{error.object[error.start]:02x}); save the table as UTF-8"
    if isinstance(error, csv.Error):
        if "unexpected end of data" in str(error):
            return "a quoted text is never closed; the file may have been cut off, copy or download it again"
        return f"not valid CSV ({error}); quotes within a quoted text must be doubled"
    if isinstance(error, OSError):
        return f"can't be read ({error.strerror or error})"
    raise error
