"""``icdcode prepare-data`` on a table: what it accepts, and when it reads the table again."""

import csv
import os
import shlex
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


@pytest.fixture
def accepted(icdcode, refused, table, tmp_path):
    """Return a function that asserts what is refused without a flag, and warned of with it."""

    def check(flag, *, says, warns):
        words = ("code_system=icd10", "model=tfidf", f"project={tmp_path}", "name=run")
        (tmp_path / "config.yaml").write_text(f"data_path: {table}\n")
        calls = [("prepare-data", table, words[0]), ("train", tmp_path / "config.yaml", *words)]
        for call in calls:
            refused(3, *call, says=[*says, flag])
        for call in [*([*call, flag] for call in calls), ["evaluate", tmp_path / "run"]]:
            answer = icdcode(*call)
            assert answer.code == 0, answer
            assert warns in answer.out + answer.err

    return check


def test_a_leak_is_accepted_with_a_flag(accepted, table):
    table.write_text(table.read_text().replace("P0,train", "P1,train", 1))
    says = ["share patients (1 in train and validation)"]
    accepted("--accept-leaks", says=says, warns="leakage")


def test_unknown_codes_are_accepted_with_a_flag(accepted, table):
    table.write_text(table.read_text().replace("E11.9", "E14.9").replace("E14.9", "E11.9", 20))
    says = ["has 1 of 2 codes (50 %)", "E14.9"]
    accepted("--accept-unknown-codes", says=says, warns="It is used, since you accept it")


def test_the_next_command_can_be_pasted(icdcode, table):
    folder = table.parent / "내 notes"
    folder.mkdir()
    notes = table.rename(folder / "notes.csv")
    keys = ("code_system=icd10", "subject_column=subject_id")
    said = icdcode("prepare-data", notes, *keys, "codes_column=codes*").out
    (line,) = (line for line in said.splitlines() if line.startswith("Next: "))
    command = ["icdcode", "train", "laptop.yaml", f"data_path={notes}", *keys]
    assert shlex.split(line.removeprefix("Next: ")) == [*command, "codes_column=codes*"]
    assert f"'data_path={notes}'" in line
    config = table.parent / "mine.yaml"
    config.write_text("code_system: icd10\n")
    said = icdcode("prepare-data", notes, keys[1], "--config", config).out
    assert f"Next: icdcode train {config} 'data_path={notes}' {keys[1]}\n" in said


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
