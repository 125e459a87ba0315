"""Files of JSON objects: one per line, or one array of them."""

import codecs
import gzip
import io
import json
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import IO, Any, cast

from icdcli.errors import DataError
from icdcli.io.csv_reader import Reading, plain_name
from icdcli.io.encodings import NotInEncodingError, Utf8Reader, conversion, refuse_other_format

_PEEKED = 64  # bytes or characters that decide
_LONGEST_OBJECT = 256 << 20  # characters
_LINES_BUFFER = 1 << 20  # bytes
_ROWS_BETWEEN_REPORTS = 4096
_REPEATED_KEY = "has the same key twice. Keep one of the two values"


def object_keys(path: Path, reading: Reading, longest_line: int | None) -> list[str]:
    """Return the keys of all objects: a writer may omit those without a value, in any object."""
    keys: dict[str, None] = {}
    for number, record in enumerate(read_jsonl(path, reading, longest_line), start=1):
        keys.update(dict.fromkeys(record))
        if reading.on_progress and number % _ROWS_BETWEEN_REPORTS == 0:
            reading.on_progress(f"finding the columns of {path.name}", number, 0, "rows")
    return list(keys)


def cells_of(
    record: Mapping[str, Any], columns: Sequence[str], path: Path, number: int
) -> list[Any]:
    """Return an object's values of some columns; None for NaN and for those that it lacks.

    Args:
        record: The object.
        columns: The names, as other objects of the file write them.
        path: The file, for the message.
        number: The object's row, for the message.

    Raises:
        DataError: If the object has one of them in another spelling, such as ``Split`` for
            ``split``: its value would be lost.
    """
    for column in columns:
        if column not in record:
            for name in record:
                if plain_name(name) == plain_name(column):
                    raise DataError(
                        f"{path}, row {number}: has {name!r}, other rows have {column!r}. Use one "
                        "spelling in all rows."
                    )
    # Python writes NaN for a missing value.
    return [
        None if isinstance(value, float) and isnan(value) else value
        for value in map(record.get, columns)
    ]


def read_jsonl(
    path: Path, reading: Reading, longest_line: int | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file: one per line, or one array of objects as its only content.

    Args:
        path: A ``.jsonl`` or ``.json`` file, compressed if its name ends in ``.gz``.
        reading: Decides what happens to a line that holds no object; see `Reading.bad`.
        longest_line: The most bytes that a line may have; None: no limit.

    Raises:
        DataError: If the file can't be read, is empty or has too long a line.
    """
    number = objects = 0
    with open_lines(path, reading.encoding) as lines:
        start = lines.peek()[:_PEEKED]
        refuse_other_format(path, start)
        if start.removeprefix(BOM_UTF8).lstrip().startswith(b"["):
            yield from ArrayReader(path, lines, longest_line or _LONGEST_OBJECT).objects()
            return
        while content := lines.readline(-1 if longest_line is None else longest_line + 1):
            number += 1
            if longest_line is not None and len(content) > longest_line:
                raise DataError(
                    f"{path}, line {number}: is longer than {longest_line >> 20} MB. "
                    "JSONL has one object per line."
                )
            content = content.removeprefix(BOM_UTF8) if number == 1 else content
            if not content.strip():
                continue
            objects += 1
            try:
                record = _object(content)
            except ValueError as error:
                reading.bad(path, number, str(error))
            else:
                yield record
    if not objects:
        raise DataError(f"{path}: is empty. JSONL has one object per line.")


def read_object(path: Path) -> dict[str, Any] | None:
    """Return the content of a file that is one JSON object; None if it is something else.

    Args:
        path: The file, compressed if its name ends in ``.gz``.

    Raises:
        DataError: If the file can't be read, or the object has a key twice.
    """
    with open_lines(path) as lines:
        try:
            content = json.loads(lines.read(), object_pairs_hook=_unique)
        except _RepeatedKeyError:
            raise DataError(f"{path}: {_REPEATED_KEY}.") from None
        except (ValueError, RecursionError):
            return None
    return content if isinstance(content, dict) else None


class ArrayReader:
    """One array of objects as the content of a file, read without keeping all of it in memory."""

    def __init__(self, path: Path, file: IO[bytes], longest: int) -> None:
        self._path = path
        self._file = file
        self._longest = longest  # characters of an object
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._decoder = json.JSONDecoder(object_pairs_hook=_unique)
        self._text, self._place, self._ended = "", 0, False
        self._number = 1  # of the object, from 1

    def objects(self) -> Iterator[dict[str, Any]]:
        """Yield the objects.

        Raises:
            DataError: If the content isn't an array of objects.
        """
        before = "["
        while (sign := self._next()) == before:
            self._place += 1
            if before == "[" and self._next() == "]":
                raise DataError(f"{self._path}: is empty. Write an array of objects.")
            if self._next() != "{":
                raise self._wrong("is not an object. Write one array of objects")
            yield cast(dict[str, Any], self._value())
            before, self._number = ",", self._number + 1
        self._place += 1
        if sign != "]" or self._next():
            raise self._wrong("the array isn't continued or closed here. Write one array")

    def _value(self) -> Any:
        """Return the value that begins here, and move behind it."""
        while True:
            try:
                value, place = self._decoder.raw_decode(self._text, self._place)
            except json.JSONDecodeError as error:
                cut_off = "Unterminated" in error.msg or error.pos > len(self._text) - _PEEKED
                if self._ended or not cut_off:
                    at_end = "Unterminated" in error.msg or not self._text[error.pos :].strip()
                    raise self._not_json(error.msg, at_end) from None
            except _RepeatedKeyError:
                raise self._wrong(_REPEATED_KEY) from None
            except (ValueError, RecursionError):
                raise self._wrong("not JSON that can be read") from None
            else:
                if place < len(self._text) or self._ended:  # else a number may go on
                    self._place = place
                    return value
            if len(self._text) - self._place > self._longest:
                raise self._wrong(f"is longer than {self._longest >> 20} MB")
            self._read()

    def _next(self) -> str:
        """Return the next character that isn't a blank, and move to it; nothing at the end."""
        while True:
            while (sign := self._text[self._place : self._place + 1]) and sign in " \t\r\n":
                self._place += 1
            if sign or self._ended:
                return sign
            self._read()

    def _read(self) -> None:
        """Drop what was parsed, and read as much as is left, but not little."""
        rest = self._text[self._place :]
        content = self._file.read(max(_LINES_BUFFER, len(rest)))
        self._ended = not content
        try:
            self._text, self._place = rest + self._decode(content, self._ended), 0
        except UnicodeDecodeError as error:
            problem = f"not UTF-8 (byte 0x{error.object[error.start]:02x})"
            raise self._wrong(f"{problem}. {conversion(bytes(error.object))}") from None

    def _not_json(self, problem: str, at_end: bool) -> DataError:
        """Return the error for a value that isn't JSON, perhaps since the file was cut short."""
        return self._wrong(f"not JSON ({problem})")

    def _wrong(self, problem: str) -> DataError:
        return DataError(f"{self._path}, object {self._number}: {problem}.")


@contextmanager
def open_lines(path: Path, encoding: str | None = None) -> Iterator[io.BufferedReader]:
    """Open a file as a stream in UTF-8, decompressed if its name ends in ``.gz``.

    Args:
        path: The file.
        encoding: Its encoding if it has no mark; None: UTF-8.

    Raises:
        DataError: If it can't be read or decompressed, while the block reads it, too.
    """
    try:
        with path.open("rb") as raw:
            file = gzip.GzipFile(fileobj=raw) if path.name.lower().endswith(".gz") else raw
            yield io.BufferedReader(Utf8Reader(file, encoding), _LINES_BUFFER)
    except NotInEncodingError as error:
        raise DataError(f"{path}: {error}.") from None
    except EOFError:
        raise DataError(f"{path}: the compressed file ends too early. Copy it again.") from None
    except (gzip.BadGzipFile, zlib.error):
        raise DataError(f"{path}: not a gzip file, or damaged. Copy it again.") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"{path}: can't be read ({reason}).") from None


class _RepeatedKeyError(ValueError):
    """An object of JSON has a key twice; json would silently use the last value."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise _RepeatedKeyError
    return record


def _object(content: bytes) -> dict[str, Any]:
    """Return one line of JSONL.

    Raises:
        ValueError: If it isn't an object; the message says why.
    """
    try:
        record = json.loads(content.decode("utf-8"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"not UTF-8 (byte 0x{content[error.start]:02x}). {conversion(content)}"
        ) from None
    except json.JSONDecodeError as error:
        raise ValueError(
            f"not JSON ({error.msg}). Write one object per line, or one array of objects"
        ) from None
    except _RepeatedKeyError:
        raise ValueError(_REPEATED_KEY) from None
    except (ValueError, RecursionError):  # a number of thousands of digits; deeply nested brackets
        raise ValueError(
            "not JSON that can be read. Write one object per line, or one array of objects"
        ) from None
    if not isinstance(record, dict):
        raise ValueError(
            f"is {type(record).__name__}, not an object. Write one object per line, or one array "
            "of objects"
        )
    return record
