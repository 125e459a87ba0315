"""``icdcode prepare-data`` on a table: what it accepts, and when it reads the table again."""

import csv
import os
from pathlib import Path

import pytest

from icdcli.data.corpus import prepare
from icdcli.io import fingerprints


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "notes.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["text", "codes", "subject_id", "split"])
        for number in range(30):
            split = ["train", "validation", "test"][number // 2 % 3]
            rows.writerow([f"Note {number}.", "E11.9", f"P{number // 2}", split])
    return path


def test_a_leak_is_accepted_with_a_flag(icdcode, refused, table):
    table.write_text(table.read_text().replace("P0,train", "P1,train", 1))
    words = ("prepare-data", table, "code_system=icd10")
    refused(3, *words, says=["share patients (1 in train and validation)", "--accept-leaks"])
    answer = icdcode(*words, "--accept-leaks")
    assert answer.code == 0
    assert "leakage" in answer.out + answer.err


def test_a_corrected_table_is_read_again(icdcode, table, monkeypatch):
    words = ("prepare-data", table, "code_system=icd10")
    assert "Prepared: " in icdcode(*words).out
    assert "Already prepared: " in icdcode(*words).out
    before = table.stat()
    table.write_text(table.read_text().replace("E11.9", "E10.9"))
    os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))
    answer = icdcode(*words)
    assert "notes.csv (same size) has changed since the last corpus" in answer.err
    assert "Prepared: " in answer.out
    for module in (fingerprints, prepare):
        monkeypatch.setattr(module, "HASHED_AT_ONCE", 0)
    hint = "Large tables are recognized by size and times; --fresh reads them again."
    icdcode(*words)
    assert hint in icdcode(*words).out
    fresh = icdcode(*words, "--fresh").out
    assert "Already prepared: " in fresh and hint not in fresh
