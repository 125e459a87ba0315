"""MIMIC-III tables as files: found whatever their case, read row by row, written byte for byte the same each time.

It serves the synthetic data alone; the tables that a corpus is made from may be of any size and have a reader of their own.
"""

import csv
import gzip
import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from icdcli.errors import ConfigError, DataError

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


def find_table(folder: Path, name: str) -> Path:
    """Finds NAME.csv or NAME.csv.gz in a folder, whatever the case; raises a DataError where there is none."""
    if not (found := matching_tables(folder, name)):
        raise DataError(f"{folder} has no {name}.csv or {name}.csv.gz; it should hold the MIMIC-III tables")
    return found[0]


def matching_tables(folder: Path, name: str) -> list[Path]:
    """Lists what a folder holds under NAME.csv or NAME.csv.gz, whatever the case."""
    wanted = {f"{name}.csv".lower(), f"{name}.csv.gz".lower()}
    return sorted(path for path in folder.glob("*") if path.name.lower() in wanted)


def read_rows(path: Path, columns: Iterable[str]) -> Iterator[dict[str, str]]:
    """Reads a table row by row.

    Args:
        path: A .csv or .csv.gz file.
        columns: The columns that it must have.

    Yields:
        Upper-case column name to text.

    Raises:
        DataError: A missing column, a row of another length than the header, or a file that is not CSV.
    """
    try:
        with gzip.open(path, "rt", newline="") if path.suffix.lower() == ".gz" else path.open(newline="") as stream:
            reader = csv.reader(stream)
            header = [name.strip().upper() for name in next(reader, [])]
            if missing := [column for column in columns if column not in header]:
                raise DataError(f"{path} has no column {', '.join(missing)}; it has {', '.join(header) or 'none'}")
            for cells in reader:
                yield dict(zip(header, cells, strict=True))
    except (OSError, EOFError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise DataError(f"{path} can't be read as CSV: {error}; fetch or unpack it again") from error


def write_table(folder: Path, name: str, rows: Iterable[Iterable[Cell]]) -> None:
    """Writes NAME.csv.gz: text and headers quoted, numbers bare, what is missing empty, as MIMIC-III is distributed."""
    with (folder / f"{name}.csv.gz").open("wb") as file:
        # No file name and no time in the header, so that the same rows are the same bytes.
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed:
            with io.TextIOWrapper(packed, encoding="utf-8", newline="") as stream:
                stream.write(",".join(_cell(column) for column in COLUMNS[name].split()) + "\n")
                stream.writelines(",".join(map(_cell, row)) + "\n" for row in rows)


def _cell(value: Cell) -> str:
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return "" if value is None else str(value)


@contextmanager
def finished_together(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Lends a folder beside the target whose files move into it at the end; after an error none of them does."""
    if present := [path.name for name in COLUMNS for path in matching_tables(folder, name)]:
        if not overwrite:
            raise ConfigError(f"{folder} already holds {', '.join(present)}; choose another folder or ask for overwriting")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.resolve().parent))
    except OSError as error:
        raise ConfigError(f"tables can't be written to {folder}: {error.strerror}; choose a folder that can be") from error
    try:
        yield building
        for name in present:
            if not (building / name).exists():  # of another spelling, such as .csv: it would stand beside the new table
                (folder / name).unlink()
        for path in sorted(building.iterdir()):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(building, ignore_errors=True)
