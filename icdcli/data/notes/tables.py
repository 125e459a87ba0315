"""Notes in tables: a CSV, JSONL or Parquet file with a column of texts, a few rows in memory at a time.

Unlike the tables that a corpus is made of (`icdcli.data.sources.table`) these have no codes, and no row is left out: whoever asks
for the codes of a table's rows wants to put them beside the rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from icdcli.data.notes.text import LONGEST, Note, checked
from icdcli.errors import DataError
from icdcli.io.csv_reader import Reading, match_columns
from icdcli.io.fingerprints import file_states
from icdcli.io.records import (
    column_names,
    is_csv,
    is_jsonl,
    parquet_schema,
    read_jsonl,
    read_parquet,
)

_ROWS_AT_ONCE = 64  # of a Parquet file; a note may be long
_LONGEST_LINE = (
    8 * LONGEST
)  # bytes of a line of JSONL, in which a character may be written with six
_USUAL_ID = "id"


class _Strict(Reading):
    """Reading that tells of a bad row without naming an option that isn't there."""

    def bad(self, path: Path, line: int, problem: str) -> None:
        raise DataError(f"{path}, line {line}: {problem}.")


_STRICT = _Strict()


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
        available = column_names(self.path, _STRICT)
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
        if is_csv(self.path):
            records = self._csv
        else:
            records = self._jsonl if is_jsonl(self.path) else self._parquet
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

    def _csv(self) -> Iterator[Sequence[Any]]:
        for rows in _Strict(chunk_size=_ROWS_AT_ONCE).rows(self.path, self.columns):
            yield from rows

    def _jsonl(self) -> Iterator[Sequence[Any]]:
        numbered = len(self.columns) == 1
        for number, record in enumerate(read_jsonl(self.path, _STRICT, _LONGEST_LINE), start=1):
            if numbered and any(name.strip().lower() == _USUAL_ID for name in record):
                raise DataError(
                    f"{self.path}, row {number}: has an id, and the first row has none; give every row one"
                )
            if missing := [column for column in self.columns if column not in record]:
                raise DataError(
                    f"{self.path}, row {number}: has no {missing[0]!r}; where there is none, write null or an empty string"
                )
            yield [record[column] for column in self.columns]

    def _parquet(self) -> Iterator[Sequence[Any]]:
        kind = parquet_schema(self.path).field(self.columns[0]).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (
            pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
            or pa.types.is_string_view(kind)
        ):
            raise DataError(f"{self.path}, column {self.columns[0]!r}: holds {kind}, not texts")
        for rows, _ in read_parquet(self.path, self.columns, _ROWS_AT_ONCE):
            yield from rows
