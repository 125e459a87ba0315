"""Columns of tables that are found by their usual names, if none is configured."""

from collections.abc import Sequence
from pathlib import Path

from icdcli.errors import DataError
from icdcli.io.csv_reader import plain_name

USUAL_TEXTS = (
    *("note", "notes", "note_text", "notetext", "report", "report_text", "document"),
    *("document_text", "clinical_note", "narrative", "discharge_summary"),
)
"""Further names of the column of notes, in lower case."""
USUAL_CODES = (
    *("icd", "icd_codes", "icd_code", "icds", "icd10", "icd10_codes", "icd10_code", "icd9"),
    *("icd9_codes", "icd9_code", "diagnoses", "diagnosis_codes", "labels"),
)
"""Further names of the column of codes, in lower case."""
USUAL_NOTE_ID = "note_id"
"""A further name of the column of ids, if notes are joined to encounters."""


def found_column(
    path: Path, available: Sequence[str], default: str, usual: Sequence[str], key: str
) -> str:
    """Return the default name if the table has it, or else the only column with a usual name.

    Args:
        path: The table, for messages.
        available: The names of its columns.
        default: The default name, which is returned if there is no column with a usual one.
        usual: Usual names.
        key: The configuration key of the column, for messages.

    Raises:
        DataError: If several columns have usual names.
    """
    if plain_name(default) in map(plain_name, available):
        return default
    found = [name for name in available if plain_name(name) in usual]
    if len(found) > 1:
        names = ", ".join(map(repr, found))
        raise DataError(
            f"{path}: has no column {default!r}, and which of {names} is meant isn't clear. Set "
            f"{key}={found[0]} (predict: --{key.replace('_', '-')} {found[0]}), or another one."
        )
    return found[0] if found else default
