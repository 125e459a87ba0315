"""The splits that a table brings along: how they are written, and what would spoil a test score."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from icdcli.data.benchmarks.protocols import SPLIT_COLUMN
from icdcli.errors import ConfigError, DataError

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "development": "validation",
    "test": "test",
    "testing": "test",
}
"""The names of splits in tables, each with the split that it means."""


def refuse_leaks(path: Path, card: Mapping[str, Any], accepted: bool) -> None:
    """Raise an error if a table puts notes of one patient into several splits.

    Args:
        path: The table.
        card: The content of the corpus's ``card.json``.
        accepted: Whether the user accepts it.

    Raises:
        DataError: If the table does, and it isn't accepted.
    """
    if accepted or card.get("protocol") != SPLIT_COLUMN.name:
        return
    shared = [
        f"{found['subjects']:,} in {pair.replace('&', 'and')}"
        for pair, found in card.get("description", {}).get("leakage", {}).items()
        if found["subjects"]
    ]
    if shared:
        raise DataError(
            f"{path}: its splits share patients ({', '.join(shared)}), so that scores would look "
            "better than they are. Correct the splits; or pass protocol=patient "
            "ignore_split_column=True, and icdcode divides the notes by patient; or, if the splits "
            "are meant so, pass --accept-leaks or set accept_leaks: True."
        )


def ignored_splits(column: str, protocol: str) -> str:
    """Return the warning that a table's splits aren't used."""
    return f"column {column!r} is ignored, since protocol is {protocol}"


def refuse_ignored_splits(path: Path, column: str, protocol: str) -> None:
    """Raise the error for a column of splits that the configured protocol doesn't use.

    Raises:
        ConfigError: Always.
    """
    raise ConfigError(
        f"protocol: {protocol} makes new splits, but {path} has splits of its own in column "
        f"{column!r}: some notes that it calls test would be trained on. Leave protocol out to use "
        "the table's splits, or set ignore_split_column: True."
    )
