"""Single cells of a table of notes: texts, ids and splits, or why they can't be used.

The message of a `ValueError` is the end of a sentence that names the row and the column.
"""

from typing import Any

from icdcli.data.markup import REMEDY, markup_of
from icdcli.data.sources.tables.evidence import short_value
from icdcli.data.sources.tables.splits import SPLIT_NAMES
from icdcli.icd.code_cells import MISSING, is_unicode

_LONGEST_NAME = 255  # characters of an id; longer than any path's name
_LONGEST_TYPE = 100
_NO_UNICODE = "isn't valid Unicode. Write it again as UTF-8"


def note_of(value: Any) -> str | None:
    """Return the text of a cell; None if there is none.

    Raises:
        ValueError: If it isn't plain text.
    """
    if value is not None and not isinstance(value, str):
        raise ValueError(f"is {type(value).__name__}, not a text")
    if not value or not value.strip():
        return None
    if not is_unicode(value):
        raise ValueError(_NO_UNICODE)
    if (kind := markup_of(value)) is not None:
        raise ValueError(f"is {kind}, not plain text. {REMEDY}")
    return value


def id_of(value: Any, role: str) -> str | None:
    """Return an id as a string. A float is refused, since it may have lost zeros or digits.

    Args:
        value: The cell.
        role: The configuration key of its column.

    Raises:
        ValueError: If it can't be an id.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"is {short_value(value)}. Write ids as strings")
    name = str(value).strip()
    if not is_unicode(name):
        raise ValueError(_NO_UNICODE)
    if len(name) > _LONGEST_NAME:
        raise ValueError(
            f"has {len(name):,} characters, more than the {_LONGEST_NAME} of an id. Set {role} to "
            "the column of ids"
        )
    if name.lower() in MISSING:
        raise ValueError(f"is {name!r}, which stands for a missing value. Leave the cell empty")
    return name or None


def note_type_of(value: Any) -> str | None:
    """Return the type of a note; None if there is none.

    Raises:
        ValueError: If it is none, but perhaps a text.
    """
    if value is None:
        return None
    name = str(value).strip()
    if len(name) > _LONGEST_TYPE or len(name.splitlines()) > 1:
        raise ValueError(
            f"has a text of {len(name):,} characters, not the type of a note. Set note_type_column "
            "to the column of types"
        )
    return None if name.lower() in MISSING else name or None


def split_of(value: Any) -> str:
    """Return the split that a cell names.

    Raises:
        ValueError: If it names none.
    """
    if value is None or not str(value).strip():
        raise ValueError("is empty. Every row needs train, validation or test")
    split = SPLIT_NAMES.get(str(value).strip().lower())
    if split is None:
        raise ValueError(f"is {short_value(value)}. Write train, validation or test")
    return split
