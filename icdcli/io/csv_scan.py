"""Finding the fields of CSV rows in a block of bytes, without looking at most bytes.

`scan` uses numpy, for blocks that follow RFC 4180 strictly. It finds the quotes, which enclose
nearly all of a table of notes, and searches separators and line ends only outside of them. What
takes a pass over all bytes is done by `Examiner`, piece by piece while the file is read. `scan`
declines every other block; `parse` then reads the block with Python's csv module, which also finds
the problem with a bad row. Both return the same rows.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from icdcli.io.encodings import conversion_or_name

SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
"""What may separate columns, and its name in messages."""
QUOTE, NEWLINE, RETURN = b'"\n\r'
_HEADER = re.compile(rb'[\r\n]*((?:"[^"]*"|[^"\r\n])*)')
_LONGEST_HEADER = 1 << 20  # bytes in which the separator is looked for
_IN_QUOTES = re.compile(rb'"[^"]*"')
_LONGEST_FIELD = 2**31 - 1  # csv's own limit of 128 KiB is shorter than some notes

_WORD = 8
_ALL = slice(None)

Places = NDArray[np.int64]


class Examined(NamedTuple):
    """What is known of some bytes.

    Attributes:
        quotes: The places of all quotes.
        is_ascii: Whether they are known to be ASCII without NUL bytes.
    """

    quotes: Places
    is_ascii: bool


class Examiner:
    """Examines bytes; for one thread, since it computes in memory that is reused."""

    def __init__(self) -> None:
        self._words = np.empty(0, dtype=np.uint64)

    def __call__(self, data: NDArray[np.uint8]) -> Examined:
        """Return what is known of some bytes, in two passes over them."""
        count = -(-len(data) // _WORD)
        if len(self._words) < count:
            self._words = np.empty(count, dtype=np.uint64)
        words = self._words[:count]
        words[-1:] = 0
        np.equal(data, QUOTE, out=words.view(bool)[: len(data)])
        # Most words have no quote, and searching them is faster than searching bytes.
        found = np.flatnonzero(words != 0)
        within = np.flatnonzero(words[found].view(bool))
        quotes = found[within // _WORD] * _WORD + within % _WORD
        # As signed numbers, all but ASCII is negative.
        return Examined(quotes, not len(data) or bool(data.view(np.int8).min() > 0))


def joined(pieces: list[tuple[int, Examined]]) -> Examined:
    """Return what is known of pieces that follow each other, each with its length."""
    places, offset = [], 0
    for length, (quotes, _) in pieces:
        places.append(quotes + offset if offset else quotes)
        offset += length
    return Examined(np.concatenate(places), all(is_ascii for _, (_, is_ascii) in pieces))


@dataclass(frozen=True)
class Scanned:
    """The complete rows (R) at the beginning of a block.

    Attributes:
        edges_RE: The places of the separators around each row's fields, in the block: one more than
            fields.
        consumed: The rows' size in bytes.
    """

    data: NDArray[np.uint8]
    edges_RE: Places
    consumed: int

    def __len__(self) -> int:
        """Return R."""
        return len(self.edges_RE)

    def column(
        self, place: int, rows: NDArray[np.int64] | slice = _ALL
    ) -> tuple[Places, Places, bool]:
        """Return where the fields of a column are.

        Args:
            place: The column's index in the table.
            rows: The rows; without it all of them.

        Returns:
            The first byte of each field, without its quote; the byte after its last; and whether
            some of them are quoted, in which case quotes within them are doubled.
        """
        starts, ends = self.edges_RE[rows, place] + 1, self.edges_RE[rows, place + 1]
        quoted = self.data[starts] == QUOTE
        return starts + quoted, ends - quoted, bool(quoted.any())


def find_separator(block: bytes, usual: str = ",") -> str:
    """Return what separates the columns, by the header.

    Args:
        block: Bytes that begin with the header.
        usual: The separator to return if none is more frequent outside quotes; tabs, if there are
            any.
    """
    found = _HEADER.match(block[:_LONGEST_HEADER])
    header = _IN_QUOTES.sub(b"", found[1]) if found else b""
    if usual == "\t" and b"\t" in header:
        return usual
    return max((usual, *SEPARATORS), key=lambda separator: header.count(separator.encode()))


def scan(
    data: NDArray[np.uint8],
    width: int,
    examined: Examined | None = None,
    separator: str = ",",
) -> Scanned | None:
    """Find the fields of every complete row in a block that begins with a row.

    Args:
        data: The block's bytes; those after the last line end outside quotes are left for the next
            block.
        width: Fields per row.
        examined: What is known of the bytes; None: nothing.
        separator: The character between columns.

    Returns:
        The fields, without rows if none is complete. None if `parse` must read the block: it has a
        row of another width, a quote in an unusual position, a blank line, a lone carriage return,
        a NUL byte or bytes that aren't UTF-8.
    """
    quotes, is_ascii = examined or Examiner()(data)
    between = ord(separator)
    if not _quotes_are_regular(data, quotes, between):
        return None
    origin = _outside_of_quotes(quotes, len(data))
    skeleton = data if origin is None else data.take(origin)
    newlines = np.flatnonzero(skeleton == NEWLINE)
    if len(newlines) == 0:
        return Scanned(data, np.empty((0, width + 1), dtype=np.int64), 0)
    skeleton = skeleton[: newlines[-1] + 1]
    separators = np.flatnonzero(skeleton == between)
    returns = np.flatnonzero(skeleton == RETURN)
    if len(separators) != len(newlines) * (width - 1):
        return None
    if origin is not None:
        if not np.array_equal(origin[returns] + 1, origin[returns + 1]):
            return None
        newlines, separators, returns = origin[newlines], origin[separators], origin[returns]
    # The separators around each row's fields.
    edges = np.empty((len(newlines), width + 1), dtype=np.int64)
    edges[0, 0], edges[1:, 0] = -1, newlines[:-1]
    edges[:, 1:-1] = separators.reshape(len(newlines), width - 1)
    edges[:, -1] = newlines
    if len(returns):
        if not (data[returns + 1] == NEWLINE).all():
            return None
        edges[:, -1] -= data[newlines - 1] == RETURN
    if (edges[:, 1:] <= edges[:, :-1]).any():
        return None
    # A blank line; with more than one field, it was found by its missing separators.
    if width == 1 and (edges[:, 1] == edges[:, 0] + 1).any():
        return None
    consumed = int(newlines[-1]) + 1
    if not (is_ascii or _is_text(data[:consumed])):
        return None
    return Scanned(data, edges, consumed)


def _quotes_are_regular(data: NDArray[np.uint8], quotes: Places, separator: int) -> bool:
    """Return whether each quoted run fills a field, or the part of one between doubled quotes."""
    opening, closing = quotes[0::2], quotes[1::2]
    if len(opening) and opening[0] == 0:
        opening = opening[1:]
    if len(closing) and closing[-1] == len(data) - 1:
        closing = closing[:-1]
    may_precede, may_follow = np.zeros((2, 256), dtype=bool)
    may_precede[[QUOTE, separator, NEWLINE]] = True
    may_follow[[QUOTE, separator, NEWLINE, RETURN]] = True
    return bool(may_precede[data[opening - 1]].all() and may_follow[data[closing + 1]].all())


def _outside_of_quotes(quotes: Places, length: int) -> Places | None:
    """Return the positions of all bytes outside quotes, ascending; None if there are no quotes."""
    if len(quotes) == 0:
        return None
    starts = np.concatenate(([0], quotes[1::2] + 1))
    ends = quotes[0::2] if len(quotes) % 2 else np.concatenate((quotes[0::2], [length]))
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths
    origin = np.repeat(starts - before, lengths)
    origin += np.arange(len(origin))
    return origin


def _is_text(data: NDArray[np.uint8]) -> bool:
    """Return whether the bytes are UTF-8 without NUL bytes."""
    if not data.all():
        return False
    edges = pa.py_buffer(np.array([0, len(data)], dtype=np.int32))
    try:  # a third faster than Python's decoder, and without a string
        pa.StringArray.from_buffers(1, edges, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


class Parsed(NamedTuple):
    """One row as the csv module reads it, or the problem with it.

    Attributes:
        fields: The row's fields; None for a bad row.
        problem: The problem of a bad row, else empty.
        line: The line of its end, counted from 1 within the block.
        consumed: The bytes of the block up to its end.
    """

    fields: list[str] | None
    problem: str
    line: int
    consumed: int


def parse(block: bytes, width: int | None, last: bool, separator: str = ",") -> Iterator[Parsed]:
    """Read every complete row of a block that begins with a row; blank lines are skipped.

    Args:
        block: The bytes.
        width: The number of fields that a row must have; None: any.
        last: Whether the file ends with this block; else a row that may continue in the next one is
            left.
        separator: The character between columns.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    lines = block.splitlines(keepends=True)
    if lines and not last and not lines[-1].endswith(b"\n"):
        lines.pop()
    consumed = 0

    def decoded() -> Iterator[str]:
        nonlocal consumed
        for line in lines:
            consumed += len(line)
            # Other bytes than UTF-8 are found once the row is complete: they don't affect quotes
            # and separators.
            yield line.decode("utf-8", "surrogateescape")

    reader = csv.reader(decoded(), delimiter=separator, strict=True)
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            if "unexpected end of data" not in str(error):
                problem = f"not valid CSV ({error}). Double the quotes within a quoted text"
                yield Parsed(None, problem, reader.line_num, consumed)
                continue
            if last:
                problem = "a quoted text is never closed. If the file was cut off, copy it again"
                yield Parsed(None, problem, reader.line_num, consumed)
            return
        if fields is None:
            return
        problem = _problem(fields, width, separator) if fields else ""
        if fields or problem:
            yield Parsed(None if problem else fields, problem, reader.line_num, consumed)


def _problem(fields: list[str], width: int | None, separator: str) -> str:
    if any("\0" in field for field in fields):
        return "has a NUL byte. Export the table as CSV in UTF-8"
    if width is not None and len(fields) != width:
        return (
            f"{len(fields)} column{'s' * (len(fields) != 1)}, expected {width}. "
            f"Put texts with {SEPARATORS[separator]}, quotes or line breaks in double quotes"
        )
    for field in fields:
        if not field.isascii():
            try:
                field.encode("utf-8")
            except UnicodeEncodeError as error:
                byte = ord(field[error.start]) - 0xDC00
                content = field.encode("utf-8", "surrogateescape")
                return f"not UTF-8 (byte 0x{byte:02x}). {conversion_or_name(content)}"
    return ""
