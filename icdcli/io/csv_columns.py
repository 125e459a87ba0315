"""Columns of a block of CSV, made of the positions of their fields.

Each function takes the block's bytes, the start and end of each field in it, and whether some
fields were quoted, in which case their quotes are still doubled.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from icdcli.io.csv_scan import QUOTE

Column = TypeVar("Column", bound=Sequence[Any])
ColumnMaker = Callable[[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], bool], Column]

_CLOSE_TOGETHER = 200  # bytes per field; fields denser than that are decoded all at once


def equal_fields(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], value: bytes
) -> NDArray[np.int64]:
    """Return the indices of the fields that equal a value without quotes."""
    candidates = np.flatnonzero(ends - starts == len(value))
    letters = data[starts[candidates, None] + np.arange(len(value))]
    found: NDArray[np.int64] = candidates[
        (letters == np.frombuffer(value, dtype=np.uint8)).all(axis=1)
    ]
    return found


def packed(fields: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Return strings as packed UTF-8 bytes, with the start and end of each."""
    encoded = [field.encode() for field in fields]
    edges = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), edges[:-1], edges[1:]


def python_strings(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], quoted: bool
) -> list[str]:
    """Return fields as Python strings."""
    block, places = data.data, zip(starts.tolist(), ends.tolist(), strict=True)
    if len(starts) * _CLOSE_TOGETHER > len(block) and (text := _ascii(block)) is not None:
        fields = [text[start:end] for start, end in places]
    else:
        fields = [str(block[start:end], "utf-8") for start, end in places]
    if quoted:
        # Within quotes every quote is doubled. Searching for one is many times faster than for two.
        fields = ['"'.join(field.split('"')[::2]) if '"' in field else field for field in fields]
    return fields


def utf8_contents(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], quoted: bool
) -> list[bytes]:
    """Return fields as UTF-8 bytes."""
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


def arrow_strings(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], quoted: bool
) -> pa.StringArray:
    """Return fields as an Arrow array."""
    edges = np.zeros(len(starts) + 1, dtype=np.int32)
    np.cumsum(ends - starts, out=edges[1:])
    content = data[np.repeat(starts - edges[:-1], ends - starts) + np.arange(edges[-1])]
    if quoted and (content == QUOTE).any():
        return pa.array(python_strings(data, starts, ends, quoted), pa.string())
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(edges), pa.py_buffer(content))
