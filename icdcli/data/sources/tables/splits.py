"""The splits that a table brings along: how they are written, and what would spoil a test score."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from icdcli.data.benchmarks.protocols import SPLIT_COLUMN
from icdcli.data.sources.tables.rows import TableColumns
from icdcli.errors import ConfigError, DataError
from icdcli.io.csv_reader import plain_name

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
_OTHER_NAMES = {
    "subject_column": (
        *("patient", "patients", "patient_id", "patientid", "patient_no", "patient_number", "mrn"),
        *("pat_id", "patid", "pid", "person", "person_id", "personid", "subject", "subjectid"),
    ),
    "split_column": (
        *("set", "subset", "partition", "splits", "data_split", "dataset_split", "split_name"),
    ),
}
"""Names of columns that are likely to have patients or splits, but may have something else."""


def overlooked_columns(columns: TableColumns) -> tuple[str, ...]:
    """Return the warnings about columns that seem to have patients or splits, but aren't read.

    Without the patients, notes of one patient come into several splits; without the splits, icdcode
    trains on notes that the table reserves for the test.
    """
    found = []
    for role, names in _OTHER_NAMES.items():
        if role in columns.names:
            continue
        for name in columns.others:
            if plain_name(name) in names and role == "subject_column":
                found.append(
                    f"column {name!r} isn't read. If it has patient ids, set "
                    f"subject_column={name}, so that all notes of a patient are in one split"
                )
            elif plain_name(name) in names:
                found.append(
                    f"column {name!r} isn't read. If it has the table's splits, set "
                    f"split_column={name}"
                )
    return tuple(found)


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
