"""Reads sets of codes from a table: one row per encounter, one row per code, or predictions.

    id,codes            id,code             {"id": "n1", "codes": [{"code": "E11.9", …}, …]}
    n1,"E11.9; I10"     n1,E11.9
                        n1,I10

The order of the codes is kept. Of predictions, only the predicted codes are taken.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from icdcli.errors import DataError
from icdcli.icd.editions.edition import Edition
from icdcli.icd.rules.findings import CodeSet, Span
from icdcli.io.csv_reader import Reading, plain_name
from icdcli.io.tables.records import ENDINGS, column_names, is_table, table_rows

_IDS = ("id", "encounter_id", "hadm_id", "note_id", "admission_id", "document_id", "visit_id")
_CODES = ("codes", "code", "icd_code", "icd_codes", "icd", "icd9_code", "icd10_code")
_PREDICTED = "predicted"
_EDITIONS = ("edition", "editions")
_EDITION = re.compile(r"\S+@[0-9a-f]{12}")
_BETWEEN = re.compile(r"[;,|\s]+")


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
    reading = Reading()
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
        for code, spans in _codes(cell, path, number):
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
    reading = Reading()
    columns = [name for name in column_names(path, reading) if plain_name(name) in _EDITIONS]
    found: dict[str, None] = {}
    for row in table_rows(path, columns, reading) if columns else ():
        for cell in row:
            named = [cell] if isinstance(cell, str) else cell or ()
            found |= dict.fromkeys(one for one in named if _EDITION.fullmatch(str(one)))
    return list(found)


def _codes(cell: Any, path: Path, number: int) -> Iterator[tuple[str, list[Span]]]:
    if isinstance(cell, str) or cell is None:
        for code in _BETWEEN.split(cell or ""):
            if code:
                yield code, []
        return
    if isinstance(cell, float | int):
        raise DataError(
            f"{path}, row {number}: {cell!r} is a number: 250.0 may have been 250.00. Store the "
            "codes as text."
        )
    if not isinstance(cell, Sequence):
        raise DataError(f"{path}, row {number}: expected a list of codes.")
    for one in cell:
        if isinstance(one, str):
            yield one, []
        elif isinstance(one, Mapping) and isinstance(one.get("code"), str):
            if one.get(_PREDICTED, True):
                spans = one.get("evidence") or ()
                yield one["code"], [Span(span["begin"], span["end"]) for span in spans]
        else:
            raise DataError(f"{path}, row {number}: expected codes as text.")


def _as_written(code: str, edition: Edition) -> str:
    """Return a code as the edition writes it: with its dot, in capitals; else unchanged."""
    found = edition.spelled(code)
    return edition.codes[found] if found is not None else code.strip()
