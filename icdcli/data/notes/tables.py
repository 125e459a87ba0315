"""Notes in tables: a CSV, JSONL or Parquet file with a column of texts, a few rows in memory at a time.

Unlike the tables that a corpus is made of (`icdcli.data.sources.table`) these have no codes, and no row is left out: whoever asks
for the codes of a table's rows wants to put them beside the rows.
"""

import gzip
import json
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from icdcli.data.notes.text import LONGEST, Note, checked
from icdcli.errors import DataError
from icdcli.io.csv_reader import Reading, match_columns, read_header
from icdcli.io.fingerprints import file_states

_CSV, _JSONL, _PARQUET = (".csv", ".csv.gz"), (".jsonl", ".jsonl.gz"), (".parquet",)
_ROWS_AT_ONCE = 64  # of a Parquet file; a note may be long
_PAGE_BUFFER = 1 << 20  # bytes; else a row group's column is in memory all at once
_LONGEST_LINE = (
    8 * LONGEST
)  # bytes of a line of JSONL, in which a character may be written with six
_USUAL_ID = "id"


def is_table(path: Path) -> bool:
    """Whether a file is a table by its name."""
    return path.name.lower().endswith((*_CSV, *_JSONL, *_PARQUET))


class _Strict(Reading):
    """Reading that tells of a bad row without naming an option that isn't there."""

    def bad(self, path: Path, line: int, problem: str) -> None:
        raise DataError(f"{path}, line {line}: {problem}")


@dataclass(frozen=True)
class NoteTable:
    """A table of notes.

    Attributes:
        path: The file.
        text_column: The column of texts, whatever its case.
        id_column: The column of ids; None: ``id`` where there is one, else a row's number, from 1, is its id.
        before: What ids begin with.
    """

    path: Path
    text_column: str = "text"
    id_column: str | None = None
    before: str = ""

    @cached_property
    def columns(self) -> list[str]:
        """The column of texts as the table writes it, and that of ids where there is one.

        Raises:
            DataError: When the table can't be read, or has no such column or several.
        """
        available = self._header()
        wanted = [self.text_column]
        if self.id_column is not None or _USUAL_ID in (name.strip().lower() for name in available):
            wanted.append(self.id_column or _USUAL_ID)
        return [available[place] for place in match_columns(self.path, available, wanted)]

    def state(self) -> list[str]:
        """The file's name, size and time of the last change, and the columns that are read."""
        return [*file_states([self.path]).values(), *self.columns]

    def __iter__(self) -> Iterator[Note]:
        """Read the rows, front to back; one without a text is a note without text.

        Raises:
            DataError: When a row is not as it should be; with its place.
        """
        name = self.path.name.lower()
        records = (
            self._csv
            if name.endswith(_CSV)
            else self._jsonl
            if name.endswith(_JSONL)
            else self._parquet
        )
        for number, values in enumerate(records(), start=1):
            text = values[0]
            if text is not None and not isinstance(text, str):
                raise self._wrong(number, 0, f"is {type(text).__name__}, not a text")
            id = str(number) if len(values) == 1 else self._id(values[1], number)
            yield Note(self.before + id, checked(text or "", f"{self.path}, row {number}"))

    def _id(self, value: Any, number: int) -> str:
        # A float may have been an id that lost its leading zeros or its last digits.
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self._wrong(
                number,
                1,
                "is empty" if value is None else f"is {type(value).__name__}; write ids as strings",
            )
        return checked(str(value), f"{self.path}, row {number}, column {self.columns[1]!r}")

    def _wrong(self, number: int, column: int, problem: str) -> DataError:
        return DataError(f"{self.path}, row {number}, column {self.columns[column]!r}: {problem}")

    def _header(self) -> list[str]:
        name = self.path.name.lower()
        if name.endswith(_CSV):
            return read_header(self.path)
        if name.endswith(_JSONL):
            first = next(self._objects(), None)
            if first is None:
                raise DataError(f"{self.path}: is empty; JSONL is one object a line")
            return list(first)
        with _parquet(self.path) as file:
            return [str(column) for column in file.schema_arrow.names]

    def _csv(self) -> Iterator[list[Any]]:
        for rows in _Strict(chunk_size=_ROWS_AT_ONCE).rows(self.path, self.columns):
            yield from map(list, rows)

    def _jsonl(self) -> Iterator[list[Any]]:
        numbered = len(self.columns) == 1
        for number, record in enumerate(self._objects(), start=1):
            if numbered and any(name.strip().lower() == _USUAL_ID for name in record):
                raise DataError(
                    f"{self.path}, row {number}: has an id, and the first row has none; give every row one"
                )
            if missing := [column for column in self.columns if column not in record]:
                raise DataError(
                    f"{self.path}, row {number}: has no {missing[0]!r}; where there is none, write null or an empty string"
                )
            yield [record[column] for column in self.columns]

    def _objects(self) -> Iterator[dict[str, Any]]:
        with _lines(self.path) as lines:
            number = 0
            while content := lines.readline(_LONGEST_LINE + 1):
                number += 1
                where = f"{self.path}, line {number}"
                if len(content) > _LONGEST_LINE:
                    raise DataError(
                        f"{where}: is longer than {_LONGEST_LINE >> 20} MB; JSONL is one object a line"
                    )
                content = content.removeprefix(BOM_UTF8) if number == 1 else content
                if content.strip():
                    yield _object(content, where)

    def _parquet(self) -> Iterator[list[Any]]:
        with _parquet(self.path) as file:
            kind = file.schema_arrow.field(self.columns[0]).type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            if not (
                pa.types.is_string(kind)
                or pa.types.is_large_string(kind)
                or pa.types.is_string_view(kind)
            ):
                raise DataError(f"{self.path}, column {self.columns[0]!r}: holds {kind}, not texts")
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=self.columns):
                columns = [batch.column(column).to_pylist() for column in self.columns]
                yield from map(list, zip(*columns, strict=True))


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, buffer_size=_PAGE_BUFFER, pre_buffer=False) as file:
            yield file
    except OSError as error:
        reason = error.strerror or "damaged"
        raise DataError(
            f"{path}: can't be read as a Parquet file ({reason}); write or copy it again"
        ) from None
    except (
        pa.ArrowException,
        UnicodeDecodeError,
    ) as error:  # without its words, which may be the file's
        reason = f"damaged: {type(error).__name__}"
        raise DataError(
            f"{path}: can't be read as a Parquet file ({reason}); write or copy it again"
        ) from None


@contextmanager
def _lines(path: Path) -> Iterator[IO[bytes]]:
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            yield cast(IO[bytes], file)
    except EOFError:
        raise DataError(f"{path}: the compressed file ends too early; copy it again") from None
    except (gzip.BadGzipFile, zlib.error):
        raise DataError(f"{path}: not a gzip file, or a damaged one; copy it again") from None
    except OSError as error:
        raise DataError(
            f"{path}: can't be read ({error.strerror or type(error).__name__})"
        ) from None


def _object(content: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: not UTF-8 (byte 0x{content[error.start]:02x}); save the file as UTF-8"
        ) from None
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON ({error.msg}); write one object a line") from None
    except (
        ValueError,
        RecursionError,
    ):  # a number of thousands of digits; brackets within brackets
        raise DataError(f"{where}: not JSON that can be read; write one object a line") from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: is {type(record).__name__}; write one object a line")
    return record
