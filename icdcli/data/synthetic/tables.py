"""Writing synthetic MIMIC-III tables: the same bytes every time, and all tables or none."""

import gzip
import io
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from icdcli.errors import ConfigError
from icdcli.io.folders import publish_files, staging_folder
from icdcli.io.raw_tables import matching_tables

Cell = str | int | None

COLUMNS = {
    "ADMISSIONS": "ROW_ID SUBJECT_ID HADM_ID ADMITTIME DISCHTIME DEATHTIME ADMISSION_TYPE "
    "ADMISSION_LOCATION DISCHARGE_LOCATION INSURANCE LANGUAGE RELIGION MARITAL_STATUS ETHNICITY "
    "EDREGTIME EDOUTTIME DIAGNOSIS HOSPITAL_EXPIRE_FLAG HAS_CHARTEVENTS_DATA",
    "PATIENTS": "ROW_ID SUBJECT_ID GENDER DOB DOD DOD_HOSP DOD_SSN EXPIRE_FLAG",
    "NOTEEVENTS": "ROW_ID SUBJECT_ID HADM_ID CHARTDATE CHARTTIME STORETIME CATEGORY DESCRIPTION "
    "CGID ISERROR TEXT",
    "DIAGNOSES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "PROCEDURES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "D_ICD_DIAGNOSES": "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE",
    "D_ICD_PROCEDURES": "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE",
}


def write_table(folder: Path, name: str, rows: Iterable[Iterable[Cell]]) -> None:
    """Write NAME.csv.gz like MIMIC-III: with quoted texts, bare numbers and empty missing cells."""
    with (
        (folder / f"{name}.csv.gz").open("wb") as file,
        # Without a file name and a time in the header, the same rows give the same bytes.
        gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as stream,
    ):
        stream.write(",".join(_cell(column) for column in COLUMNS[name].split()) + "\n")
        stream.writelines(",".join(map(_cell, row)) + "\n" for row in rows)


def _cell(value: Cell) -> str:
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return "" if value is None else str(value)


@contextmanager
def publish_tables(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a folder for new tables; at the end, all of them move to `folder`, or none on an error.

    Raises:
        ConfigError: If `folder` can't be written, or has tables and `overwrite` is off.
    """
    if folder.is_file():
        raise ConfigError(f"{folder}: is a file. Give a folder for the tables")
    new = not folder.exists()
    present = (
        [] if new else [path.name for name in COLUMNS for path in matching_tables(folder, name)]
    )
    if present and not overwrite:
        raise ConfigError(
            f"{folder} already holds {', '.join(present)}. Choose another folder, or replace them "
            "with --overwrite"
        )
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if new:
                stack.callback(_remove_if_empty, folder)
            building = stack.enter_context(staging_folder(folder, ".building-"))
        except OSError as error:
            raise ConfigError(
                f"{folder}: tables can't be written here ({error.strerror}). Choose another folder"
            ) from error
        yield building
        # An earlier table may have another name, such as NAME.csv beside the new NAME.csv.gz.
        publish_files(building, folder, replaced=present)


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
