"""The column of codes of a table: read once before the documents, and decided as a whole."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from icdcli.errors import DataError
from icdcli.icd.code_cells import cell_codes
from icdcli.icd.code_columns import CodeColumn, CodeKind, decide_column
from icdcli.icd.code_system import names_several, open_code_system, shape_of
from icdcli.icd.codes import System
from icdcli.icd.earlier_reading import earlier_cell, earlier_code
from icdcli.icd.listed_cells import ListedCodes


@dataclass(frozen=True)
class TableCodes:
    """A column of codes.

    Attributes:
        name: Its name in the table.
        column: How its codes are read.
        reads_differently: Whether version 0.1.0 read a cell or a code in another way.
    """

    name: str
    column: CodeColumn
    reads_differently: bool

    @property
    def entry(self) -> dict[str, Any]:
        """Return the entry of ``card.json``; empty if the coding system is unknown."""
        if self.column.system is None:
            problem = self.column.problem
            return {} if problem is None else {"name": self.name, "problem": problem}
        return {"name": self.name, **self.column.to_json()}

    @classmethod
    def read(
        cls,
        path: Path,
        name: str,
        cells: Iterable[Any],
        system: System | None,
        code_kind: CodeKind | None = None,
        accept_unknown_codes: bool = False,
        listed: ListedCodes | None = None,
    ) -> "TableCodes":
        """Read the cells of the column and decide.

        Args:
            path: The table.
            name: The column's name.
            cells: Its values, row by row.
            system: The coding system; None: codes are kept unchanged.
            code_kind: The kind of the codes; None: decide.
            accept_unknown_codes: Keep codes of an impossible form.
            listed: The list of a system without rules of its own.

        Raises:
            DataError: If a cell can't be read in one way only, or the kind isn't clear.
        """
        counts, differently = Counter[str](), False
        for number, value in enumerate(cells, start=1):
            try:
                codes = cell_codes(value, system, listed)
            except ValueError as error:
                raise DataError(f"{path}, row {number}, column {name!r}: {error}.") from error
            counts.update(set(codes))
            differently = differently or not _same_codes(codes, earlier_cell(value), system)
        if system is None:
            problem = None if listed is None else listed.problem(counts)
            return cls(name, CodeColumn(None, "diagnosis", problem=problem), differently)
        try:
            column = decide_column(counts, system, code_kind, accept_unknown_codes)
        except ValueError as error:
            raise DataError(f"{path}, column {name!r}: {error}.") from error
        differently = differently or any(
            _spelled(column, raw) != earlier_code(raw, system) for raw in counts
        )
        return cls(name, column, differently)


def listed_codes(name: str | None, last_day: Callable[[], date | None]) -> ListedCodes | None:
    """Return the list of a coding system without rules of its own.

    Args:
        name: As in ``code_system``.
        last_day: Returns the latest day of discharge, which chooses one of several editions.

    Returns:
        The list; None: there is no system, or it has rules.

    Raises:
        ConfigError: There is no such edition or file.
        DataError: It can't be read.
    """
    if name is None or shape_of(name) is not None:
        return None
    system = open_code_system(name, last_day() if names_several(name) else None)
    return ListedCodes(system.editions["diagnosis"])


def refuse_problem(path: Path, entry: Mapping[str, Any], accepted: bool) -> None:
    """Raise an error if the codes of a table have a problem.

    Args:
        path: The table.
        entry: The entry of ``card.json`` about its column of codes.
        accepted: Whether the user accepts the problem.

    Raises:
        DataError: If there is one that isn't accepted.
    """
    if entry.get("problem") and not accepted:
        raise DataError(
            f"{path}, column {entry['name']!r}: {entry['problem']}. If the codes are right, pass "
            "--accept-unknown-codes or set accept_unknown_codes: True."
        )


def _same_codes(codes: list[str], earlier: list[str] | None, system: System | None) -> bool:
    if earlier is None:
        return False
    if system is None:
        return {code.strip() for code in earlier} == set(codes)
    return {code.strip().upper() for code in earlier} == set(codes)


def _spelled(column: CodeColumn, raw: str) -> tuple[str, str] | None:
    try:
        return column.spelled(raw)
    except ValueError:
        return None
