"""Reading a table with one row per encounter and code into few bytes per row.

Its rows may be in any order. The sequence of a code decides its place among the codes of its
encounter, and the first diagnosis is the principal one: sequence 1, or 0 if the column has a 0. If
two diagnoses of an encounter are first, or none is, its principal diagnosis is unknown. Rows of
other versions of the codes are left out.

Shapes: R rows of the table.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.data.sources.admission import Admission, Code, EncounterCodes, OrderedCode
from icdcli.data.sources.admission_join import whole_id
from icdcli.data.sources.long_format.columns import (
    ROLES,
    columns_in_words,
    long_columns,
    uncounted,
)
from icdcli.data.sources.tables.cells import id_of
from icdcli.data.sources.tables.codes import TableCodes, refuse_problem
from icdcli.data.sources.tables.evidence import short_value
from icdcli.errors import DataError
from icdcli.icd.code_cells import cell_codes
from icdcli.icd.code_columns import CodeKind
from icdcli.icd.code_system import shape_of
from icdcli.icd.codes import System, system_name
from icdcli.icd.listed_cells import ListedCodes
from icdcli.io.csv_reader import Reading
from icdcli.io.tables.records import column_names, is_sheet, table_rows

POA = ("", "Y", "N", "U", "W", "1", "E")
"""What a column of present-on-admission indicators may have."""
_POA_WORDS = {"YES": "Y", "NO": "N", "TRUE": "Y", "FALSE": "N"}
_NO_SEQUENCE = np.iinfo(np.int32).max
_NAMED = 5  # encounters that a message names


@dataclass
class LongCodes:
    """A table with one row per encounter and code; `of` returns the codes of an encounter.

    Attributes:
        path: The table.
        configured: The keys of `icdcli.data.sources.long_format.columns.ROLES` and the columns;
            None: found by their usual names.
        reading: How the table is read, and the counts of dropped rows.
        code_system: ``code_system`` of the configuration, which selects the rows by their version.
        listed: The list of a system without rules of its own; None: it isn't known.
        code_kind: The kind of the codes; None: decided for the column as a whole.
        accept_unknown_codes: Whether codes may be outside the official tables, or of an impossible
            form.
    """

    path: Path
    configured: Mapping[str, str | None]
    reading: Reading = field(default_factory=Reading)
    code_system: str | None = None
    listed: ListedCodes | None = None
    code_kind: CodeKind | None = None
    accept_unknown_codes: bool = False
    _used: set[str] = field(default_factory=set)
    _without_principal: Counter[str] = field(default_factory=Counter)

    @property
    def system(self) -> System | None:
        """Return the system whose rules the codes follow; None: they are kept unchanged."""
        return None if self.code_system is None else shape_of(self.code_system)

    @cached_property
    def columns(self) -> dict[str, str]:
        """Return the columns that are read, by their keys.

        Raises:
            DataError: If one is missing.
        """
        reading = uncounted(self.reading)
        return long_columns(self.path, column_names(self.path, reading), self.configured)

    @property
    def has_order(self) -> bool:
        """Return whether the table has the sequence of the codes."""
        return "sequence_column" in self.columns

    @property
    def table_codes(self) -> TableCodes:
        """Return how the column of codes is read, which is decided from all of its rows.

        Raises:
            DataError: If the table can't be read, or the column has a problem that isn't accepted.
        """
        return self._rows[0]

    @cached_property
    def _rows(self) -> tuple[TableCodes, NDArray[np.int64]]:
        """Return how codes are read, and the encounter, code, sequence and POA of each row: R4."""
        numbers = array("q")
        found = TableCodes.read(
            self.path,
            self.columns["codes_column"],
            self._cells(numbers),
            self.system,
            self.code_kind,
            self.accept_unknown_codes,
            self.listed,
        )
        refuse_problem(self.path, found.entry, self.accept_unknown_codes)
        rows_R4 = np.frombuffer(numbers, np.int64).reshape(-1, 5)
        self._spell(found, rows_R4)
        order = np.lexsort((rows_R4[:, 2], rows_R4[:, 0]))  # stable: else the order of the table
        return found, rows_R4[order][:, :4]

    @cached_property
    def _encounters(self) -> dict[str, int]:
        return {}

    @cached_property
    def _raws(self) -> dict[str, int]:
        return {}

    @cached_property
    def _spelled(self) -> list[Code]:
        return []

    def _cells(self, numbers: "array[int]") -> Iterator[str]:
        """Yield the code of each row that counts, and add the row's numbers to `numbers`."""
        columns = self.columns
        versions, left_out, without = Counter[str](), Counter[str](), Counter[str]()
        rows = table_rows(self.path, list(columns.values()), self.reading)
        for number, values in enumerate(rows, start=1):
            row = dict(zip(columns, values, strict=True))
            if not any(value not in (None, "") for value in values):
                continue
            if "version_column" in columns:
                version = _shown_version(row["version_column"])
                if not self._counts(version):
                    left_out[version] += 1
                    continue
                versions[version] += 1
            raw = self._code(row["codes_column"], number)
            id = self._read(lambda value: id_of(value, "id_column"), row, "id_column", number)
            if raw is None or id is None:
                without["code" if raw is None else ROLES["id_column"]] += 1
                continue
            sequence = self._read(_sequence, row, "sequence_column", number)
            poa = self._read(_poa, row, "poa_column", number)
            numbers.extend(
                (
                    self._encounters.setdefault(whole_id(id), len(self._encounters)),
                    self._raws.setdefault(raw, len(self._raws)),
                    _NO_SEQUENCE if sequence is None else sequence,
                    POA.index(poa),
                    number,
                )
            )
            yield raw
        self._refuse_versions(versions, left_out)
        for version, count in left_out.items():
            self.reading.drop(f"rows of {self.path.name} with version {version}", count)
        for what, count in without.items():
            self.reading.drop(f"rows of {self.path.name} without {what}", count)
        self.reading.choices[f"columns of {self.path.name}"] = columns_in_words(columns)

    def _counts(self, version: str) -> bool:
        if self.code_system is None:
            return True
        name, wanted = _version_name(version), system_name(self.code_system)
        if self.system is not None:
            return shape_of(name) == self.system
        return name in (wanted, *wanted.split("-", 1))

    def _refuse_versions(self, versions: Counter[str], left_out: Counter[str]) -> None:
        """Raise an error if no row has the version, or if there are several and none is chosen."""
        where = f"{self.path}, column {self.columns.get('version_column', '')!r}"
        if self.code_system is None and len({*map(_version_name, versions)}) > 1:
            listed = ", ".join(f"{name} ({count:,} rows)" for name, count in versions.items())
            raise DataError(
                f"{where}: has codes of several versions: {listed}. Set code_system (icd9, icd10 "
                "…) to the one to use."
            )
        if left_out and not versions:
            raise DataError(
                f"{where}: no row has version {self.code_system}; it has "
                f"{', '.join(sorted(left_out)[:_NAMED])}. Set another code_system, or "
                "version_column to the right column."
            )

    def _code(self, value: Any, number: int) -> str | None:
        """Return the code of a row; None if there is none."""
        if is_sheet(self.path) and isinstance(value, int | float):
            raise self._wrong(
                number,
                "codes_column",
                "is a number. Excel drops the zeros of codes that it takes for numbers: format "
                "the column as text, and enter the codes again.",
            )
        codes = self._read(
            lambda cell: cell_codes(cell, self.system, self.listed),
            {"codes_column": value},
            "codes_column",
            number,
        )
        if len(codes) > 1:
            raise self._wrong(
                number,
                "codes_column",
                f"has {len(codes)} codes. A table of codes has one per row: leave codes_path out "
                "if all codes of a note are in one cell.",
            )
        return codes[0] if codes else None

    def _read(self, read: Any, row: Mapping[str, Any], role: str, number: int) -> Any:
        try:
            return read(row.get(role))
        except ValueError as error:
            raise self._wrong(number, role, f"{error}.") from error

    def _wrong(self, number: int, role: str, message: str) -> DataError:
        return DataError(f"{self.path}, row {number}, column {self.columns[role]!r}: {message}")

    def _spell(self, found: TableCodes, rows_R5: NDArray[np.int64]) -> None:
        """Spell each distinct code, and count repeated rows of an encounter and a code."""
        numbers: dict[Code, int] = {}
        of_raw = []
        for raw, place in self._raws.items():
            try:
                code = (
                    Code(*found.column.spelled(raw))
                    if self.listed is None
                    else Code(self.listed.spelled(raw), "diagnosis")
                )
            except ValueError as error:
                number = int(rows_R5[rows_R5[:, 1] == place][0, 4])
                raise self._wrong(number, "codes_column", f"{error}.") from error
            self._spelled.append(code)
            of_raw.append(numbers.setdefault(code, len(numbers)))
        pairs = rows_R5[:, 0] << 32 | np.array(of_raw, np.int64)[rows_R5[:, 1]]
        repeated = len(pairs) - len(np.unique(pairs))
        self.reading.drop(f"rows of {self.path.name} that repeat a code of an encounter", repeated)

    @cached_property
    def _edges(self) -> NDArray[np.int64]:
        rows_R4 = self._rows[1]
        return np.searchsorted(rows_R4[:, 0], np.arange(len(self._encounters) + 1))

    @cached_property
    def _first(self) -> int:
        """Return the sequence of the first code: 0 if the column has it, else 1."""
        return int((self._rows[1][:, 2] != 0).all())

    def of(self, id: str) -> EncounterCodes:
        """Return the codes of an encounter; it has none if the table doesn't know it."""
        _, rows_R4 = self._rows
        number = self._encounters.get(whole_id(id))
        if number is None:
            return EncounterCodes(frozenset())
        self._used.add(whole_id(id))
        found: dict[Code, OrderedCode] = {}
        first: set[str] = set()
        rows: list[list[int]] = rows_R4[self._edges[number] : self._edges[number + 1]].tolist()
        for _, raw, sequence, poa in rows:
            code = self._spelled[raw]
            found.setdefault(code, OrderedCode(code.code, POA[poa] or None))
            if sequence == self._first and code.kind == "diagnosis":
                first.add(code.code)
        if not self.has_order:
            return EncounterCodes(frozenset(found))
        principal = next(iter(first)) if len(first) == 1 else None
        problem = "several first codes" if first else "no first code"
        return EncounterCodes(frozenset(found), tuple(found.values()), principal, problem)

    def attach(self, admissions: Iterable[Admission]) -> Iterator[Admission]:
        """Yield admissions with the order of their codes, then count what is left.

        Raises:
            DataError: If no encounter of the table has a note.
        """
        for admission in admissions:
            found = self.of(admission.id)
            if self.has_order and found.principal is None:
                self._without_principal[found.problem] += 1
            yield admission.in_the_order_of(found)
        self._finish()

    def _finish(self) -> None:
        """Count the encounters without a note, and those without a principal diagnosis.

        Raises:
            DataError: If no encounter of the table has a note.
        """
        _, rows_R4 = self._rows
        unknown = [id for id in self._encounters if id not in self._used]
        column = self.columns["id_column"]
        if self._encounters and not self._used:
            raise DataError(
                f"{self.path}: none of its {len(unknown):,} encounters is one of the notes. Its "
                f"column {column!r} has ids such as {_named(unknown[:2])}. Set id_column, or "
                "check that both tables have the same ids."
            )
        if unknown:
            numbers = [self._encounters[id] for id in unknown]
            count = int((self._edges[np.array(numbers) + 1] - self._edges[numbers]).sum())
            self.reading.drop(f"rows of {self.path.name} of encounters without a note", count)
            self.reading.choices["encounters without a note"] = (
                f"{len(unknown):,} of {len(self._encounters):,}, such as {_named(unknown)}"
            )
        if not self.has_order:
            return
        words = []
        if missing := int((rows_R4[:, 2] == _NO_SEQUENCE).sum()):
            words.append(
                f"rows without one, whose codes come last: {missing:,} of {len(rows_R4):,}"
            )
        words += [
            f"documents with {problem}, whose principal diagnosis is unknown: {count:,}"
            for problem, count in sorted(self._without_principal.items())
        ]
        if words:
            self.reading.choices["sequence"] = "; ".join(words)


def _named(ids: list[str]) -> str:
    return ", ".join(map(short_value, ids[:_NAMED])) + (" …" if len(ids) > _NAMED else "")


def _shown_version(value: Any) -> str:
    text = str(value).strip() if value is not None else ""
    return short_value(text.removesuffix(".0")).strip("'") if text else "empty"


def _version_name(version: str) -> str:
    """Return a version as ``code_system`` writes it: 9 and ICD-9-CM are icd9."""
    name = system_name(version)
    name = f"icd{name}" if name in ("9", "10") else name.removeprefix("icd-")
    return shape_of(name) or name


def _sequence(value: Any) -> int | None:
    if value is None or (isinstance(value, float) and value != value):
        return None
    text = str(value).strip().removesuffix(".0")
    if not text:
        return None
    if isinstance(value, bool) or not text.isdecimal() or int(text) >= _NO_SEQUENCE:
        raise ValueError(f"is {short_value(value)}, not a number. Write 1, 2, 3 … or nothing")
    return int(text)


def _poa(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    text = str(value).strip().upper().removesuffix(".0")
    text = _POA_WORDS.get(text, text)
    if text not in POA:
        raise ValueError(f"is {short_value(value)}. Write Y, N, U, W, 1 or E, or nothing")
    return text
