"""The rows of a table of notes: which columns they have, and which of them are one document.

Hospitals export codes in three ways: all codes of a document in one cell, one column per code
(``dx1``, ``dx2`` …), or one row per code, with the document's id and text in each.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from xxhash import xxh3_128_digest

from icdcli.errors import DataError
from icdcli.icd.code_cells import cell_codes
from icdcli.icd.codes import System
from icdcli.icd.listed_cells import ListedCodes
from icdcli.io.csv_reader import match_columns, plain_name, shown_names

_NUMBERED = re.compile(r"(.*?)0*(\d+)")
_LISTED = 3  # columns that a message names
_CODE_COLUMN = re.compile(r"dx|diag|icd|code|cod[ie]|proc|px|dgn|kode", re.IGNORECASE)
_FEW_DOCUMENTS = 0.2  # share of rows that continue the row before, from which it is no accident


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table, by what they are for.

    Attributes:
        names: Role to name; the columns of codes are not among them.
        codes: The columns of codes.
        unread: Columns that look like more columns of codes, and aren't read.
        others: All columns that aren't read.
    """

    names: Mapping[str, str]
    codes: tuple[str, ...]
    unread: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def all(self) -> list[str]:
        """Return the names of all columns to read."""
        return [*self.names.values(), *self.codes]

    def name(self, role: str) -> str:
        """Return the name of a column for messages; a list if there are several."""
        return repr(self.codes_name if role == "codes_column" else self.names[role])

    @property
    def codes_name(self) -> str:
        """Return the name of the column of codes; a list if there are several."""
        return self.codes[0] if len(self.codes) == 1 else listed(self.codes)

    def row(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return the values of a row by role; those of several columns of codes are a list."""
        row = dict(zip(self.names, values, strict=False))
        codes = values[len(self.names) :]
        row["codes_column"] = codes[0] if len(codes) == 1 else list(codes)
        return row


def find_columns(
    path: Path, available: Sequence[str], names: Mapping[str, str], codes: str | Sequence[str]
) -> TableColumns:
    """Find the columns of a table.

    Args:
        path: The table, for messages.
        available: The names of its columns.
        names: Role to the configured name.
        codes: The column of codes, several of them, or patterns such as ``dx*``.

    Raises:
        DataError: If a column is missing, or is both the text and something else.
    """
    wanted = list(_code_columns(path, available, [codes] if isinstance(codes, str) else codes))
    try:
        places = match_columns(path, available, [*names.values(), *wanted])
    except DataError as error:
        existing = set(map(plain_name, available))
        keys = [role for role, name in names.items() if plain_name(name) not in existing]
        hint = _hint(available, wanted)
        if not hint and not existing.issuperset(map(plain_name, wanted)):
            keys.append("codes_column")
        if keys:
            hint += f". Set {' and '.join(keys)}."
        raise DataError(f"{error}{hint}") from None
    found = [available[place] for place in places]
    roles = dict(zip(names, found, strict=False))
    code_columns = tuple(dict.fromkeys(found[len(names) :]))
    text = roles["text_column"]
    same = [role for role, name in roles.items() if name == text]
    if text in code_columns:
        same.insert(1, "codes_column")
    if len(same) > 1:
        raise DataError(
            f"{path}: {' and '.join(same)} are the same column, {text!r}. "
            "Set each to a column of its own."
        )
    rest = [name for name in available if name not in found]
    unread = _numbered_alike(code_columns[0], rest) if len(code_columns) == 1 else []
    return TableColumns(roles, code_columns, tuple(unread), tuple(rest))


def _code_columns(path: Path, available: Sequence[str], wanted: Iterable[str]) -> Iterator[str]:
    """Yield the names of columns of codes, patterns replaced by the names that fit them."""
    for name in wanted:
        if name in available or not re.search(r"[*?]", name):
            yield name
            continue
        found = [other for other in available if fnmatchcase(plain_name(other), plain_name(name))]
        if not found:
            raise DataError(
                f"{path}: no column fits codes_column: {name!r}. Its columns are: "
                f"{shown_names(available)}"
            )
        yield from found


def _numbered_alike(name: str, others: Iterable[str]) -> list[str]:
    """Return the columns with the same name but for the number at its end, such as dx2 for dx1."""
    number = _NUMBERED.fullmatch(plain_name(name))
    if number is None:
        return []
    alike = ((other, _NUMBERED.fullmatch(plain_name(other))) for other in others)
    return [other for other, found in alike if found is not None and found[1] == number[1]]


def _hint(available: Sequence[str], wanted: Sequence[str]) -> str:
    """Return how to name the columns of codes of a table with one column per code."""
    if all(plain_name(name) in map(plain_name, available) for name in wanted):
        return ""
    for name in available:
        others = _numbered_alike(name, available)
        found = _NUMBERED.fullmatch(plain_name(name))
        if found is not None and len(others) > 1 and _CODE_COLUMN.search(found[1]):
            return (
                f". For a table with one column per code ({listed(others)}), set "
                f"codes_column='{found[1]}*'"
            )
    return ""


def listed(names: Sequence[str]) -> str:
    """Return the names of columns for a message; the middle of a long list is left out."""
    names = [name.strip() for name in names]
    if len(names) <= _LISTED:
        return ", ".join(names)
    return f"{names[0]}, {names[1]} … {names[-1]}"


def moreover(columns: TableColumns) -> tuple[str, ...]:
    """Return the warning about columns of codes that aren't read."""
    if not columns.unread:
        return ()
    found = _NUMBERED.fullmatch(plain_name(columns.codes[0]))
    pattern = f"{found[1]}*" if found else "*"
    return (
        f"only column {columns.codes[0]!r} has the codes; {listed(columns.unread)} "
        f"{'is' if len(columns.unread) == 1 else 'are'} not read. To read all of them, set "
        f"codes_column='{pattern}'",
    )


def codes_cell(
    value: Any,
    columns: TableColumns,
    system: System | None,
    in_excel: bool,
    listed: ListedCodes | None = None,
) -> Any:
    """Return the codes of a row as one cell.

    Args:
        value: The cell, or the list of cells if there are several columns of codes.
        columns: The columns of the table.
        system: The coding system.
        in_excel: Whether the table is an Excel workbook.
        listed: The list of a system without rules of its own.

    Raises:
        ValueError: If a cell can't be read; the message is the end of a sentence.
    """
    several = len(columns.codes) > 1
    if in_excel and any(isinstance(one, int | float) for one in (value if several else [value])):
        raise ValueError(
            "is a number. Excel drops the zeros of codes that it takes for numbers: format the "
            "column as text, and enter the codes again"
        )
    return [code for one in value for code in cell_codes(one, system, listed)] if several else value


@dataclass
class RepeatedIds:
    """The ids that several rows have, and what these rows have in common.

    Attributes:
        codes: Id to the codes of all of its rows, as they are written there.
        rows: The number of rows that have one of these ids.
    """

    codes: dict[str, set[str]] = field(default_factory=dict)
    rows: int = 0
    _seen: set[str] = field(default_factory=set)
    _first: dict[str, int] = field(default_factory=dict)
    _common: dict[str, tuple[bytes | str | date | None, ...]] = field(default_factory=dict)

    def count(self, row: tuple[str | None, Any]) -> tuple[str | None, Any]:
        """Note the id of a row, the first value, and return the row."""
        id = row[0]
        if id in self._seen:
            self.codes.setdefault(id, set())
        elif id is not None:
            self._seen.add(id)
        return row

    def forget(self) -> None:
        """Forget the ids of one row, once all rows are counted."""
        self._seen.clear()

    def continues(
        self,
        id: str,
        number: int,
        text: str | None,
        subject: str | None,
        split: str | None,
        day: date | None = None,
    ) -> str | None:
        """Note a row of a repeated id.

        Returns:
            What is wrong with it, as the end of a sentence; None if it has the text, the patient,
            the split and the day of the rows before, or none.
        """
        digest = xxh3_128_digest(text.encode()) if text and text.strip() else None
        first = self._first.setdefault(id, number)
        now: tuple[bytes | str | date | None, ...] = (digest, subject, split, day)
        before = self._common.get(id, (None,) * len(now))
        for name, old, new in zip(("text", "patient", "split", "date"), before, now, strict=True):
            if old is not None and new is not None and old != new:
                return f"is also in row {first}, with another {name}"
        self.rows += 1
        self._common[id] = tuple(
            new if old is None else old for old, new in zip(before, now, strict=True)
        )
        return None

    @property
    def summary(self) -> str:
        """Return what was done, in words."""
        documents = len(self.codes)
        return (
            f"{self.rows:,} are {documents:,} document{'s' * (documents != 1)}: the codes of rows "
            "with the same id and text are joined"
        )


class SameTexts:
    """Counts rows with the text of the row before but another code, in a table without ids."""

    def __init__(self) -> None:
        self._before: tuple[bytes, frozenset[Any]] | None = None
        self._rows = self._same = 0

    def add(self, text: str, codes: frozenset[Any]) -> None:
        """Note a row."""
        now = (xxh3_128_digest(text.encode()), codes)
        self._rows += 1
        if self._before is not None and len(codes) == 1 and len(self._before[1]) == 1:
            self._same += self._before[0] == now[0] and self._before[1] != codes
        self._before = now

    def refuse(self, path: Path) -> None:
        """Raise an error if the table seems to have one row per code.

        Raises:
            DataError: If so.
        """
        if self._same > _FEW_DOCUMENTS * self._rows:
            raise DataError(
                f"{path}: {self._same:,} of {self._rows:,} rows have the text of the row before "
                "and another code, as tables with one row per code do. Set id_column to the column "
                "of the documents' ids, and add one if there is none: the codes of rows with the "
                "same id and text are joined."
            )
