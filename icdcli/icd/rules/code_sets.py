"""Reads sets of codes from a table: one row per encounter, one row per code, or predictions.

    id,codes            id,code             {"id": "n1", "codes": [{"code": "E11.9", …}, …]}
    n1,"E11.9; I10"     n1,E11.9
                        n1,I10

The order of the codes is kept. Of predictions, only the predicted codes are taken.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from icdcli.errors import DataError
from icdcli.icd.code_cells import cell_codes
from icdcli.icd.code_system import shape_of
from icdcli.icd.editions.edition import Edition
from icdcli.icd.listed_cells import ListedCodes
from icdcli.icd.rules.findings import CodeSet, Span
from icdcli.io.csv_reader import StrictReading, plain_name
from icdcli.io.tables.records import ENDINGS, column_names, is_table, table_rows

_IDS = ("id", "encounter_id", "hadm_id", "note_id", "admission_id", "document_id", "visit_id")
_CODES = ("codes", "code", "icd_code", "icd_codes", "icd", "icd9_code", "icd10_code")
_PREDICTED = "predicted"
_EDITIONS = ("edition", "editions")
_EDITION = re.compile(r"\S+@[0-9a-f]{12}")
_BETWEEN = re.compile(r"[;,|]+")
_LONGEST = 12  # characters of what may be meant as a code


def read_code_sets(path: Path, edition: Edition, ordered: bool) -> Iterator[tuple[str, CodeSet]]:
    """Yield the id and the codes of each encounter, in the order of their first rows.

    Args:
        path: A table (CSV, Excel, JSONL, Parquet), such as ``icdcode predict`` writes.
        edition: The edition, to write codes without their dots as it does.
        ordered: Whether the order of the codes is that of a claim.

    Raises:
        DataError: The table can't be read, or lacks ids or codes.
    """
    if not is_table(path):
        raise DataError(f"{path}: isn't a table by its name. It must end in {ENDINGS}.")
    reading = StrictReading()
    names = column_names(path, reading)
    plain = {plain_name(name): name for name in reversed(names)}
    found = {
        "id": next((plain[one] for one in _IDS if one in plain), None),
        "codes": next((plain[one] for one in _CODES if one in plain), None),
    }
    for column, usual in (("id", _IDS), ("codes", _CODES)):
        if found[column] is None:
            raise DataError(
                f"{path}: no column with {column}; its columns are {', '.join(names)}. Rename one "
                f"to {usual[0]}."
            )
    columns = [name for name in (*found.values(), plain.get(_PREDICTED)) if name is not None]
    sets: dict[str, list[str]] = {}
    evidence: dict[str, dict[str, list[Span]]] = {}
    for number, row in enumerate(table_rows(path, columns, reading), start=1):
        identifier, cell, *predicted = row
        if identifier is None or str(identifier) == "":
            raise DataError(f"{path}, row {number}: no id. Fill the cell, or delete the row.")
        own = sets.setdefault(str(identifier), [])
        if predicted and str(predicted[0]).lower() in ("false", "0"):
            continue
        try:
            found_codes = list(_codes(cell, edition))
        except ValueError as error:
            where = f"{path}, row {number}, column {found['codes']!r}"
            raise DataError(f"{where}: {error}.") from error
        for code, spans in found_codes:
            written = _as_written(code, edition)
            own.append(written)
            if spans:
                evidence.setdefault(str(identifier), {})[written] = spans
    for identifier, codes in sets.items():
        yield identifier, CodeSet(codes, ordered, evidence.get(identifier))


def predicted_with(path: Path) -> list[str]:
    """Return the editions that a file of predictions names, as `edition_id` writes them.

    Raises:
        DataError: The table can't be read.
    """
    reading = StrictReading()
    columns = [name for name in column_names(path, reading) if plain_name(name) in _EDITIONS]
    found: dict[str, None] = {}
    for row in table_rows(path, columns, reading) if columns else ():
        for cell in row:
            named = [cell] if isinstance(cell, str) else cell or ()
            found |= dict.fromkeys(one for one in named if _EDITION.fullmatch(str(one)))
    return list(found)


def _codes(cell: Any, edition: Edition) -> Iterator[tuple[str, list[Span]]]:
    """Yield the codes of a cell with their evidence.

    Raises:
        ValueError: If it can't be read in one way only; the message is the end of a sentence.
    """
    for one in cell if isinstance(cell, list | tuple) else [cell]:
        if isinstance(one, Mapping) and isinstance(one.get("code"), str):
            if one.get(_PREDICTED, True):
                spans = one.get("evidence") or ()
                yield one["code"], [Span(span["begin"], span["end"]) for span in spans]
        elif isinstance(one, Mapping):
            raise ValueError("expected codes as text")
        else:
            for code in _of_text(one, edition, isinstance(cell, list | tuple)):
                yield code, []


def _of_text(value: Any, edition: Edition, is_element: bool) -> list[str]:
    """Return the codes of a text; what is no code by its form is kept, since checks name it."""
    system = shape_of(edition.about.name)
    try:
        listed = ListedCodes(edition) if system is None else None
        return cell_codes([value] if is_element else value, system, listed)
    except ValueError:
        parts = [part.strip() for part in _BETWEEN.split(value)] if isinstance(value, str) else [""]
        if not all(0 < len(part) <= _LONGEST and part.isalnum() for part in parts):
            raise
        return parts


def _as_written(code: str, edition: Edition) -> str:
    """Return a code as the edition writes it: with its dot, in capitals; else unchanged."""
    found = edition.spelled(code)
    return edition.codes[found] if found is not None else code.strip()
