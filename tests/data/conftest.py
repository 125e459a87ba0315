"""Raw tables for the tests of `icdcli.data`."""

import pytest


def mimic3_tables(folder, admissions=60):
    """Write tables with one note per admission; HADM_ID is 1000 + n, SUBJECT_ID n // 2."""
    folder.mkdir(exist_ok=True)
    numbers = range(admissions)
    notes = [
        f"{n},{n // 2},{1000 + n},,,,Discharge summary,Report,,,Note number {n}" for n in numbers
    ]
    tables = {
        "NOTEEVENTS": (
            "ROW_ID,SUBJECT_ID,HADM_ID,CHARTDATE,CHARTTIME,STORETIME,CATEGORY,DESCRIPTION,CGID,ISERROR,TEXT",
            notes,
        ),
        "DIAGNOSES_ICD": (
            "ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE",
            [f"{n},{n // 2},{1000 + n},1,{'4280' if n % 2 else '4019'}" for n in numbers],
        ),
        "PROCEDURES_ICD": ("ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE", ["1,0,1000,1,0331"]),
        "D_ICD_DIAGNOSES": (
            "ROW_ID,ICD9_CODE,SHORT_TITLE,LONG_TITLE",
            ["1,4280,CHF,Own title", "2,0331,W,Whooping"],
        ),
        "D_ICD_PROCEDURES": (
            "ROW_ID,ICD9_CODE,SHORT_TITLE,LONG_TITLE",
            ["1,0331,Spinal tap,Spinal tap"],
        ),
    }
    for name, (header, rows) in tables.items():
        (folder / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


@pytest.fixture
def data(tmp_path):
    """Return the folder of small MIMIC-III tables."""
    return mimic3_tables(tmp_path / "data")


@pytest.fixture
def many_admissions(tmp_path):
    """Return the folder of tables with so many admissions that preparing them takes a moment."""
    return mimic3_tables(tmp_path / "many", 20_000)
