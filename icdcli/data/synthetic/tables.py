"""Writing MIMIC-III tables: byte for byte the same each time, and all of them or none.

It serves the synthetic data alone; tables are found and read with `icdcli.io.csv_reader`.
"""

import gzip
import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from icdcli.errors import ConfigError
from icdcli.io.raw_tables import matching_tables

Cell = str | int | None

COLUMNS = {
    "ADMISSIONS": "ROW_ID SUBJECT_ID HADM_ID ADMITTIME DISCHTIME DEATHTIME ADMISSION_TYPE ADMISSION_LOCATION "
    "DISCHARGE_LOCATION INSURANCE LANGUAGE RELIGION MARITAL_STATUS ETHNICITY EDREGTIME EDOUTTIME DIAGNOSIS "
    "HOSPITAL_EXPIRE_FLAG HAS_CHARTEVENTS_DATA",
    "PATIENTS": "ROW_ID SUBJECT_ID GENDER DOB DOD DOD_HOSP DOD_SSN EXPIRE_FLAG",
    "NOTEEVENTS": "ROW_ID SUBJECT_ID HADM_ID CHARTDATE CHARTTIME STORETIME CATEGORY DESCRIPTION CGID ISERROR TEXT",
    "DIAGNOSES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "PROCEDURES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "D_ICD_DIAGNOSES": "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE",
    "D_ICD_PROCEDURES": "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE",
}


def write_table(folder: Path, name: str, rows: Iterable[Iterable[Cell]]) -> None:
    """Writes NAME.csv.gz: text and headers quoted, numbers bare, what is missing empty, as MIMIC-III is distributed."""
    with (folder / f"{name}.csv.gz").open("wb") as file:
        # No file name and no time in the header, so that the same rows are the same bytes.
        with gzip.GzipFile(
            filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0
        ) as packed:
            with io.TextIOWrapper(packed, encoding="utf-8", newline="") as stream:
                stream.write(",".join(_cell(column) for column in COLUMNS[name].split()) + "\n")
                stream.writelines(",".join(map(_cell, row)) + "\n" for row in rows)


def _cell(value: Cell) -> str:
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return "" if value is None else str(value)


@contextmanager
def finished_together(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Lends a folder within the target whose files move up into it at the end; after an error none of them does."""
    if folder.is_file():
        raise ConfigError(f"{folder}: is a file; give a folder that the tables shall lie in")
    new = not folder.exists()
    present = (
        [] if new else [path.name for name in COLUMNS for path in matching_tables(folder, name)]
    )
    if present and not overwrite:
        there = ", ".join(present)
        raise ConfigError(
            f"{folder} already holds {there}; choose another folder, or replace them with --overwrite"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=folder))
    except OSError as error:
        raise ConfigError(
            f"tables can't be written to {folder}: {error.strerror}; choose a folder that can be"
        ) from error
    try:
        yield building
        for name in present:
            if not (
                building / name
            ).exists():  # of another spelling, such as .csv: it would stand beside the new table
                (folder / name).unlink()
        for path in sorted(building.iterdir()):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(building, ignore_errors=True)
        if new and not any(folder.iterdir()):
            folder.rmdir()
