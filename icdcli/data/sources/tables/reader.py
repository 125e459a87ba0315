"""The cells of a row of a table of notes, read by what their columns are for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from icdcli.data.encounters.times import read_time
from icdcli.data.sources.admission import AnnotatedSpan, Code
from icdcli.data.sources.tables.cells import id_of, note_of, note_type_of, split_of
from icdcli.data.sources.tables.evidence import evidence_spans
from icdcli.data.sources.tables.rows import TableColumns, codes_cell
from icdcli.errors import DataError
from icdcli.icd.codes import System
from icdcli.icd.days import read_day
from icdcli.icd.listed_cells import ListedCodes
from icdcli.io.tables.records import is_sheet
from icdcli.io.tables.spreadsheet import sheet_epoch

T = TypeVar("T")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class RowReader:
    """Reads rows; a cell that can't be used is an error that names its row and column.

    Attributes:
        path: The table.
        columns: Its columns.
        system: The coding system.
        listed: The list of a system without rules of its own.
    """

    path: Path
    columns: TableColumns
    system: System | None = None
    listed: ListedCodes | None = None

    def id(self, row: Row, number: int) -> str:
        """Return the id of a row; its number if the table has no ids."""
        if "id_column" not in row:
            return str(number)
        id = self.name(row, "id_column", number)
        if id is None:
            raise self.wrong(number, "id_column", "is empty. Every document needs its own id.")
        return id

    def name(self, row: Row, role: str, number: int) -> str | None:
        """Return an id as a string; None if there is none."""
        return self._read(lambda value: id_of(value, role), row, role, number)

    def text(self, row: Row, number: int) -> str | None:
        """Return the text; None if there is none."""
        return self._read(note_of, row, "text_column", number)

    def split(self, row: Row, number: int) -> str:
        """Return the split."""
        return self._read(split_of, row, "split_column", number)

    def day(self, row: Row, number: int) -> date | None:
        """Return the day of the discharge; None if there is none."""
        return self._read(lambda value: read_day(value, self._epoch), row, "date_column", number)

    def time(self, row: Row, number: int) -> datetime | None:
        """Return the time of the note, or else its day; None if there is neither."""
        role = "time_column" if "time_column" in row else "date_column"
        return self._read(lambda value: read_time(value, self._epoch), row, role, number)

    def type(self, row: Row, number: int) -> str | None:
        """Return the type of the note; None if there is none."""
        return self._read(note_type_of, row, "note_type_column", number)

    def cell(self, row: Row, number: int) -> Any:
        """Return the codes of a row as one cell."""
        in_excel = is_sheet(self.path)
        return self._read(
            lambda value: codes_cell(value, self.columns, self.system, in_excel, self.listed),
            row,
            "codes_column",
            number,
        )

    def evidence(
        self, row: Row, text: str, code_of: Callable[[str], Code], number: int
    ) -> tuple[AnnotatedSpan, ...]:
        """Return the annotated spans of a row's text."""
        return self._read(
            lambda value: evidence_spans(value, text, code_of), row, "evidence_column", number
        )

    def _read(self, read: Callable[[Any], T], row: Row, role: str, number: int) -> T:
        """Return what is in the cell of a role."""
        try:
            return read(row.get(role))
        except ValueError as error:
            raise self.wrong(number, role, f"{error}.") from error

    @cached_property
    def _epoch(self) -> date | None:
        return sheet_epoch(self.path) if is_sheet(self.path) else None

    def wrong(self, number: int, role: str, message: str) -> DataError:
        """Return the error about a cell."""
        return DataError(f"{self.path}, row {number}, column {self.columns.name(role)}: {message}")
