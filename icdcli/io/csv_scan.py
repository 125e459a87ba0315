"""Finding the fields of CSV rows in a block of bytes, without looking at most of them.

`scan` does it with numpy for blocks that keep to the letter of RFC 4180: it finds the quotes, which nearly all of a table
of notes stands between, and then looks for commas and line ends only outside of them. Whatever else is in a block, it
declines, and `parse` reads the block with Python's own csv module, which also says what is wrong with a row. Both give
the same rows.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

QUOTE, COMMA, NEWLINE, RETURN = b'",\n\r'
_MAY_PRECEDE_A_QUOTED_RUN = np.zeros(256, dtype=bool)
_MAY_PRECEDE_A_QUOTED_RUN[[QUOTE, COMMA, NEWLINE]] = True
_MAY_FOLLOW_A_QUOTED_RUN = np.zeros(256, dtype=bool)
_MAY_FOLLOW_A_QUOTED_RUN[[QUOTE, COMMA, NEWLINE, RETURN]] = True
_LONGEST_FIELD = 2**31 - 1  # csv's own limit of 128 KiB is shorter than some notes

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Scanned:
    """The whole rows at the beginning of a block.

    Attributes:
        starts_RC: Where each row's wanted fields begin in the block, quotes left out.
        ends_RC: Where they end.
        quoted_RC: Whether they stood in quotes; a quote within such a field is doubled.
        consumed: Bytes that these rows take.
    """

    starts_RC: Places
    ends_RC: Places
    quoted_RC: NDArray[np.bool_]
    consumed: int


def scan(
    data: NDArray[np.uint8], width: int, wanted: list[int], scratch: NDArray[np.bool_] | None = None
) -> Scanned | None:
    """Find the wanted fields of every whole row in a block that begins with a row.

    Args:
        data: The block's bytes; what stands after the last line end outside of quotes is left for the next block.
        width: Fields of a row.
        wanted: Places of the fields to find, each below `width`.
        scratch: An array as long as the block to work in, so that no fresh memory is needed.

    Returns:
        The fields, none where no row is whole; None where the block has anything that `parse` must judge: a row of
        another width, a quote in an unusual place, a blank line, a lone carriage return, a NUL byte, bytes that are not
        UTF-8.
    """
    quotes = np.flatnonzero(np.equal(data, QUOTE, out=scratch))
    if not _quotes_stand_right(data, quotes):
        return None
    origin = _outside_of_quotes(quotes, len(data))
    skeleton = data if origin is None else data[origin]
    newlines = np.flatnonzero(skeleton == NEWLINE)
    if len(newlines) == 0:
        none = np.empty((0, len(wanted)), dtype=np.int64)
        return Scanned(none, none, none.astype(bool), 0)
    skeleton = skeleton[: newlines[-1] + 1]
    commas = np.flatnonzero(skeleton == COMMA)
    returns = np.flatnonzero(skeleton == RETURN)
    if len(commas) != len(newlines) * (width - 1):
        return None
    if origin is not None:
        if not np.array_equal(origin[returns] + 1, origin[returns + 1]):
            return None
        newlines, commas, returns = (
            origin[places].astype(np.int64) for places in (newlines, commas, returns)
        )
    edges = np.empty(
        (len(newlines), width + 1), dtype=np.int64
    )  # the separators around a row's fields
    edges[0, 0], edges[1:, 0] = -1, newlines[:-1]
    edges[:, 1:-1] = commas.reshape(len(newlines), width - 1)
    edges[:, -1] = newlines
    if len(returns):
        if not (data[returns + 1] == NEWLINE).all():
            return None
        edges[:, -1] -= data[newlines - 1] == RETURN
    if (edges[:, 1:] <= edges[:, :-1]).any():
        return None
    if (
        width == 1 and (edges[:, 1] == edges[:, 0] + 1).any()
    ):  # with more fields, a blank line lacks commas
        return None
    consumed = int(newlines[-1]) + 1
    if not _is_text(data[:consumed]):
        return None
    starts, ends = edges[:, wanted] + 1, edges[:, [place + 1 for place in wanted]]
    quoted = data[starts] == QUOTE
    return Scanned(starts + quoted, ends - quoted, quoted, consumed)


def _quotes_stand_right(data: NDArray[np.uint8], quotes: Places) -> bool:
    """Whether each quoted run fills a field, or the part of one between doubled quotes."""
    opening, closing = quotes[0::2], quotes[1::2]
    if len(opening) and opening[0] == 0:
        opening = opening[1:]
    if len(closing) and closing[-1] == len(data) - 1:
        closing = closing[:-1]
    before, after = (
        _MAY_PRECEDE_A_QUOTED_RUN[data[opening - 1]],
        _MAY_FOLLOW_A_QUOTED_RUN[data[closing + 1]],
    )
    return bool(before.all() and after.all())


def _outside_of_quotes(quotes: Places, length: int) -> NDArray[np.int32] | None:
    """The places of all bytes outside of quotes, ascending; None: every byte is."""
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
    """Whether these bytes are UTF-8 without a NUL."""
    if data.view(np.int8).min() > 0:  # as signed numbers, whatever isn't ASCII is negative
        return True
    if not data.all():
        return False
    try:
        str(data.data, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


class Parsed(NamedTuple):
    """One row as the csv module reads it, or what is wrong with it.

    Attributes:
        fields: The row's fields; None for a bad row.
        problem: What is wrong with a bad row, else empty.
        line: The line that it ends in, counted from 1 within the block.
        consumed: Bytes of the block up to its end.
    """

    fields: list[str] | None
    problem: str
    line: int
    consumed: int


def parse(block: bytes, width: int | None, last: bool) -> Iterator[Parsed]:
    """Read every whole row of a block that begins with a row. Blank lines are passed over.

    Args:
        block: The bytes.
        width: Fields that a row must have; None: any.
        last: Whether the file ends with this block; else a row that may go on in the next one is left out.
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
            # What isn't UTF-8 is told when the row is whole: its quotes and commas can be relied on all the same.
            yield line.decode("utf-8", "surrogateescape")

    reader = csv.reader(decoded(), strict=True)
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            if "unexpected end of data" not in str(error):
                problem = f"not valid CSV ({error}); quotes within a quoted text must be doubled"
                yield Parsed(None, problem, reader.line_num, consumed)
                continue
            if last:
                problem = "a quoted text is never closed; the file may have been cut off, copy or download it again"
                yield Parsed(None, problem, reader.line_num, consumed)
            return
        if fields is None:
            return
        problem = _problem(fields, width) if fields else ""
        if fields or problem:
            yield Parsed(None if problem else fields, problem, reader.line_num, consumed)


def _problem(fields: list[str], width: int | None) -> str:
    if any("\0" in field for field in fields):
        return "holds a NUL byte; export the table as CSV in UTF-8"
    if width is not None and len(fields) != width:
        return (
            f"{len(fields)} fields where the header has {width}; "
            "a text with commas, quotes or line breaks must stand in double quotes"
        )
    for field in fields:
        if not field.isascii():
            try:
                field.encode("utf-8")
            except UnicodeEncodeError as error:
                return f"not UTF-8 (byte 0x{ord(field[error.start]) - 0xDC00:02x}); save the table as UTF-8"
    return ""
