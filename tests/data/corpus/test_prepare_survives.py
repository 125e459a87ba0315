"""Preparations that are killed, fail or run at once, and tables that are damaged or change."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from icdcli.data.corpus import writer as corpus_writer
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.data.encounters.notes_aside import NotesAside
from icdcli.data.section import DataConfig
from icdcli.errors import DataError
from icdcli.io.locks import exclusive

SCRIPT = (
    "import sys; from pathlib import Path; from icdcli.data.section import DataConfig;"
    "from icdcli.data.corpus.prepare import prepare;"
    "print(prepare(DataConfig(data_path=Path(sys.argv[1]))).created)"
)
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}


def test_a_damaged_corpus_is_made_again(data):
    folder = prepare(DataConfig(data_path=data)).folder
    (folder / "labels.parquet").write_bytes(b"gone")
    again = prepare(DataConfig(data_path=data))
    assert (again.folder, again.created) == (folder, True)
    assert len(open_corpus(folder).labels) == 4


def test_what_a_dead_process_left_is_cleared_away_whatever_it_made(data):
    folder = prepare(DataConfig(data_path=data)).folder
    left = [folder.with_name(f".{key}.partial") for key in ("0123456789ab", "of other options")]
    for partial in left:
        partial.mkdir()
        (partial / "documents.parquet").write_bytes(b"half")
    held = left[1].with_name(".of other options.lock")
    with exclusive(held):
        assert prepare(DataConfig(data_path=data, protocol="hadm-digit")).created
        assert not left[0].exists()
        assert left[1].exists()  # its process is at work
    assert prepare(DataConfig(data_path=data, label_pruning=True)).created
    assert not left[1].exists()


@pytest.mark.parametrize(
    "delay", [0.0, *(pytest.param(delay, marks=pytest.mark.slow) for delay in (0.3, 0.6, 0.8))]
)
def test_a_killed_call_leaves_nothing_that_could_be_taken_for_a_corpus(many_admissions, delay):
    data = many_admissions
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(data)], env=ENVIRONMENT, stdout=subprocess.PIPE
    )
    while not list(data.glob(".icdcode/.*.partial")) and process.poll() is None:
        time.sleep(0.005)
    time.sleep(delay / 3)
    process.kill()
    process.communicate()
    for folder in data.glob(".icdcode/mimic3-*"):  # it may have finished
        assert len(open_corpus(folder).documents("train")) > 0
    prepared = prepare(DataConfig(data_path=data))
    assert prepared.card["documents"] == 20_000
    assert [path.name for path in (data / ".icdcode").iterdir() if path.is_dir()] == [
        prepared.folder.name
    ]


def test_a_table_that_changed_since_is_named(data):
    prepare(DataConfig(data_path=data))
    notes = data / "NOTEEVENTS.csv"
    before = notes.stat().st_size
    notes.write_text("\n".join(notes.read_text().split("\n")[:50]) + "\n")
    again = prepare(DataConfig(data_path=data))
    assert again.created
    assert again.card["documents"] == 49
    assert again.changed == (
        f"NOTEEVENTS.csv ({before:,} bytes before, {notes.stat().st_size:,} now)",
    )
    assert prepare(DataConfig(data_path=data)).changed == ()


def test_a_table_that_changes_while_it_is_read_is_refused(data):
    def append(stage, *_):
        if "NOTEEVENTS" in stage:
            with (data / "DIAGNOSES_ICD.csv").open("a") as table:
                table.write("9,9,1003,1,4019\n")

    with pytest.raises(DataError, match=r"DIAGNOSES_ICD\.csv: has changed while it was read"):
        prepare(DataConfig(data_path=data), append)
    assert not [path for path in (data / ".icdcode").iterdir() if path.is_dir()]


def test_the_same_files_in_another_state_give_the_same_corpus(data):
    folder = prepare(DataConfig(data_path=data)).folder
    os.utime(data / "NOTEEVENTS.csv", (1, 1))
    again = prepare(DataConfig(data_path=data))
    assert (again.folder, again.created) == (folder, False)


def test_bad_rows_end_it_or_are_counted(data):
    with (data / "NOTEEVENTS.csv").open("ab") as notes:
        notes.write(
            b"1,2\n7,7,1003,,,,Discharge summary,Report,,,caf\x81\n"
            b"8,8,1004,,,,Discharge summary,Report,,,a\0b\n"
        )
    with pytest.raises(
        DataError,
        match=r"NOTEEVENTS\.csv, line 62: 2 columns, expected 11.*--skip-bad-rows",
    ):
        prepare(DataConfig(data_path=data))
    card = prepare(DataConfig(data_path=data, skip_bad_rows=True)).card
    assert card["dropped"] == {"rows of NOTEEVENTS.csv that are no valid CSV": 3}
    assert card["first_bad_row"]["NOTEEVENTS.csv"].startswith("line 62: 2 columns")
    assert card["documents"] == 60


def test_a_failed_call_leaves_nothing_behind(data, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(corpus_writer, "write_labels", full)
    with pytest.raises(
        DataError,
        match=r"can't be written \(No space left on device\)\. Free space or set cache_dir",
    ):
        prepare(DataConfig(data_path=data))
    left = [path.name for path in (data / ".icdcode").iterdir() if path.is_dir()]
    assert left == []


def test_two_calls_at_once_give_one_corpus(data):
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(data)],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert sorted(process.communicate()[0].strip() for process in running) == ["False", "True"]
    assert all(process.returncode == 0 for process in running)


def test_a_second_call_reports_that_it_waits_and_finds_the_corpus(data):
    reported = []
    (release := data / "release").touch()
    script = (
        "import sys, time; from pathlib import Path; from icdcli.data.section import DataConfig;"
        "from icdcli.data.corpus.prepare import prepare; data = Path(sys.argv[1]);"
        "hold = lambda *_: [time.sleep(0.01) for _ in iter((data / 'release').exists, False)];"
        "prepare(DataConfig(data_path=data), hold)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(data)], env=ENVIRONMENT)
    while not list(data.glob(".icdcode/.*.partial")):
        time.sleep(0.01)

    def on_progress(stage, *_):
        reported.append(stage)
        release.unlink(missing_ok=True)

    prepared = prepare(DataConfig(data_path=data), on_progress)
    assert process.wait() == 0
    assert not prepared.created
    assert reported[0] == "waiting for another icdcode process that prepares the same data"


@pytest.mark.parametrize("place", ["write", "flush"])
def test_a_disk_that_is_full_while_notes_are_put_aside(data, monkeypatch, place):
    def full(*_):
        raise OSError(28, "No space left on device")

    entered = NotesAside.__enter__

    def enter(aside):
        entered(aside)
        aside._file = SimpleNamespace(
            write=aside._file.write, flush=aside._file.flush, close=aside._file.close
        )
        setattr(aside._file, place, full)
        return aside

    monkeypatch.setattr(NotesAside, "__enter__", enter)
    with pytest.raises(DataError, match=r"No space left on device.\. Free space or set cache_dir"):
        prepare(DataConfig(data_path=data))
    assert not [path for path in (data / ".icdcode").iterdir() if path.is_dir()]
