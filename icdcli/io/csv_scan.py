"""Finding the fields of CSV rows in a block of bytes, without looking at most bytes.

`scan` uses numpy, for blocks that follow RFC 4180 strictly. It finds the quotes, which enclose
nearly all of a table of notes, and searches separators and line ends only outside of them. It
declines every other block; `parse` then reads the block with Python's csv module, which also finds
the problem with a bad row. Both return the same rows.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from icdcli.io.encodings import conversion

SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
"""What may separate columns, and its name in messages."""
QUOTE, NEWLINE, RETURN = b'"\n\r'
_HEADER = re.compile(rb'[\r\n]*((?:"[^"]*"|[^"\r\n])*)')
_LONGEST_HEADER = 1 << 20  # bytes in which the separator is looked for
_IN_QUOTES = re.compile(rb'"[^"]*"')
_LONGEST_FIELD = 2**31 - 1  # csv's own limit of 128 KiB is shorter than some notes

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Scanned:
    """The complete rows (R) at the beginning of a block, with their requested columns (C).

    Attributes:
        starts_RC: The first byte of each field in the block, without its quote.
        ends_RC: The byte after its last.
        quoted_RC: Whether the field is quoted; quotes within it are doubled.
        consumed: The rows' size in bytes.
    """

    starts_RC: Places
    ends_RC: Places
    quoted_RC: NDArray[np.bool_]
    consumed: int


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
    wanted: list[int],
    scratch: NDArray[np.bool_] | None = None,
    separator: str = ",",
) -> Scanned | None:
    """Find the requested fields of every complete row in a block that begins with a row.

    Args:
        data: The block's bytes; those after the last line end outside quotes are left for the next
            block.
        width: Fields per row.
        wanted: The indices of the requested fields, each below `width`.
        scratch: An array as long as the block to compute in, which saves an allocation.
        separator: The character between columns.

    Returns:
        The fields, without rows if none is complete. None if `parse` must read the block: it has a
        row of another width, a quote in an unusual position, a blank line, a lone carriage return,
        a NUL byte or bytes that aren't UTF-8.
    """
    quotes = np.flatnonzero(np.equal(data, QUOTE, out=scratch))
    between = ord(separator)
    if not _quotes_are_regular(data, quotes, between):
        return None
    origin = _outside_of_quotes(quotes, len(data))
    skeleton = data if origin is None else data[origin]
    newlines = np.flatnonzero(skeleton == NEWLINE)
    if len(newlines) == 0:
        none = np.empty((0, len(wanted)), dtype=np.int64)
        return Scanned(none, none, none.astype(bool), 0)
    skeleton = skeleton[: newlines[-1] + 1]
    separators = np.flatnonzero(skeleton == between)
    returns = np.flatnonzero(skeleton == RETURN)
    if len(separators) != len(newlines) * (width - 1):
        return None
    if origin is not None:
        if not np.array_equal(origin[returns] + 1, origin[returns + 1]):
            return None
        newlines, separators, returns = (
            origin[places].astype(np.int64) for places in (newlines, separators, returns)
        )
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
    if not _is_text(data[:consumed]):
        return None
    starts, ends = edges[:, wanted] + 1, edges[:, [place + 1 for place in wanted]]
    quoted = data[starts] == QUOTE
    return Scanned(starts + quoted, ends - quoted, quoted, consumed)


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


def _outside_of_quotes(quotes: Places, length: int) -> NDArray[np.int32] | None:
    """Return the positions of all bytes outside quotes, ascending; None if there are no quotes."""
    if len(quotes) == 0:
        return None
    starts = np.concatenate(([0], quotes[1::2] + 1))
    ends = quotes[0::2] if len(quotes) % 2 else np.concatenate((quotes[0::2], [length]))
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths
    origin = np.repeat((starts - before).astype(np.int32), lengths)
    origin += np.arange(len(origin), dtype=np.int32)
    return origin


def _is_text(data: NDArray[np.uint8]) -> bool:
    """Return whether the bytes are UTF-8 without NUL bytes."""
    if data.view(np.int8).min() > 0:  # as signed numbers, all but ASCII is negative
        return True
    if not data.all():
        return False
    try:
        str(data.data, "utf-8")
    except UnicodeDecodeError:
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
                return f"not UTF-8 (byte 0x{byte:02x}). {conversion(content)}"
    return ""
