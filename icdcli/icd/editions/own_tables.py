"""Reads a table of codes and titles, as a hospital exports it: CSV, Excel, JSONL or Parquet.

    code,title,terms,parent
    E11,Type 2 diabetes,NIDDM|adult-onset diabetes,
    E11.9,"… without complications",,E11

Only the codes and titles are needed. Several terms are separated by ``|``, or are in rows of the
same code and title.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from icdcli.errors import DataError
from icdcli.icd.editions.edition import Entry, NoteKind
from icdcli.icd.editions.nesting import nested_by_prefix
from icdcli.io.csv_reader import StrictReading, plain_name
from icdcli.io.tables.records import column_names, table_rows

_COLUMNS = {
    "code": ("code", "icd", "icd_code", "icd code", "kode", "código", "codigo", "상병코드", "코드"),
    "title": (
        *("title", "description", "long_title", "name", "label", "term", "text", "display"),
        *("bezeichnung", "titel", "libelle", "libellé", "título", "titulo", "descripción"),
        *("descripcion", "상병명", "한글명", "명칭"),
    ),
    "terms": ("terms", "synonyms", "synonym", "inclusion_terms", "sinónimos", "동의어"),
    "parent": ("parent", "parent_code", "above", "padre", "상위코드"),
}
"""The columns, each with the names that it may have."""

_BETWEEN_TERMS = "|"


def read_own_table(path: Path) -> Iterator[Entry]:
    """Yield the codes of a table, each after the one above it.

    Args:
        path: The table.

    Raises:
        DataError: It can't be read, lacks the code or the title, has a code with two titles, or
            parents that are missing or in a circle.
    """
    reading = StrictReading()
    columns = _columns(column_names(path, reading), path)
    titles: dict[str, str] = {}
    parents: dict[str, str] = {}
    terms: dict[str, list[str]] = {}
    for number, row in enumerate(table_rows(path, list(columns.values()), reading), start=1):
        try:
            cells = dict(zip(columns, map(_cell, row), strict=True))
        except ValueError as error:
            raise DataError(f"{path}, row {number}: {error}") from error
        code, title = cells["code"], cells["title"]
        if not code:
            raise DataError(f"{path}, row {number}: no code. Fill the cell, or delete the row.")
        if titles.setdefault(code, title) != title:
            raise DataError(
                f"{path}, row {number}: {code} has two titles, {titles[code]!r} and {title!r}. "
                "Keep one as the title, and write others into a column named terms."
            )
        if cells.get("parent"):
            parents[code] = cells["parent"]
        own = terms.setdefault(code, [])
        for term in cells.get("terms", "").split(_BETWEEN_TERMS):
            if term.strip() and term.strip() not in own:
                own.append(term.strip())
    if not titles:
        raise DataError(f"{path}: the table has no row.")
    for code, parent in parents.items():
        if parent not in titles:
            raise DataError(f"{path}: {code} is below {parent}, which isn't in the table. Add it.")
    notes: dict[str, dict[NoteKind, Sequence[str]]] = {
        code: {"terms": own} for code, own in terms.items() if own
    }
    entries = list(nested_by_prefix(titles, parents, notes))
    if len(entries) < len(titles):
        lost = next(iter(titles.keys() - {entry.code for entry in entries}))
        raise DataError(f"{path}: the parents of {lost} are in a circle. Correct the column.")
    yield from entries


def _columns(names: Sequence[str], path: Path) -> dict[str, str]:
    """Return the table's columns by what they hold."""
    plain = {plain_name(name): name for name in reversed(names)}
    found = {
        column: plain[known]
        for column, usual in _COLUMNS.items()
        for known in [next((one for one in usual if one in plain), None)]
        if known is not None
    }
    for column in ("code", "title"):
        if column not in found:
            raise DataError(
                f"{path}: no column named {column}; its columns are {', '.join(names)}. Rename "
                "the one with the codes to code, and the one with their titles to title."
            )
    return found


def _cell(value: Any) -> str:
    if isinstance(value, float):
        raise ValueError(
            f"a code or title is the number {value}: whether it had more zeros can't be known. "
            "Store the column as text."
        )
    return " ".join(str(value).split()) if value is not None else ""
