"""Ids of patients and encounters that a note may have, or not."""

from typing import Any

from icdcli.icd.code_cells import MISSING


def known_id(value: Any) -> str | None:
    """Return an id as a string; None: there is none, as programs write a missing value.

    Args:
        value: A cell. A whole number may be a float, as in a column of numbers with an empty cell.
    """
    if value is None or value != value:  # NaN
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    name = str(value).strip()
    return None if name.lower() in MISSING else name or None
