"""Codes for new notes, from a checkpoint without its corpus."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import traceback
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icdcli import load_model
from icdcli.predict import batches as coding

ROOT = Path(__file__).parents[2]
IDS = ["Übelkeit", *(f"n{number}" for number in range(1, 13))]
TEXTS = [
    "Chest pain and fever.",
    "",
    "Type two diabetes mellitus. " * 3,
    "Übelkeit 😷",
    "Acute on chronic heart failure, denies fever.",
    *(f"Kidney disease of stage {number}." for number in range(8)),
]
SECRET = "Mr Longfellow drinks"


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """Return a table of notes that are in no corpus."""
    path = tmp_path_factory.mktemp("notes") / "notes.parquet"
    pq.write_table(pa.table({"id": IDS, "text": TEXTS}), path)
    return path


@pytest.fixture(scope="session")
def model(trained):
    return load_model(trained)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(coding, "BLOCK_CHARACTERS", 80)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def process(*words, **environment):
    """Start a command in a new process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_codes_are_those_of_the_model(icdcode, trained, table, model):
    answer = icdcode("predict", trained, table, "--json")
    assert answer.code == 0, answer
    notes = lines(answer.out)
    assert [note["id"] for note in notes] == IDS
    for note, text, expected in zip(notes, TEXTS, model.predict(TEXTS), strict=True):
        assert note["windows"] == bool(text)
        codes = note["codes"]
        assert [(code["code"], code["title"]) for code in codes] == [
            (code.code, code.title) for code in expected if text
        ]
        assert [code["score"] for code in codes] == pytest.approx(
            [code.score for code in expected if text], abs=2e-6
        )
        assert all(
            code["predicted"] and code["threshold"] == 0.5 <= code["score"] for code in codes
        )
    assert "warning: 1 of 13 notes have no text" in answer.err
    assert sum(len(note["codes"]) for note in notes) > 10


def test_top_and_min_score(icdcode, trained, table, model):
    top = lines(icdcode("predict", trained, table, "--top", 3, "--json").out)
    assert [len(note["codes"]) for note in top] == [3 if text else 0 for text in TEXTS]
    low = lines(icdcode("predict", trained, table, "--min-score", 0.2, "--json").out)
    scores_NL = model.scores([text for text in TEXTS if text])
    assert [len(note["codes"]) for note in low if note["windows"]] == (
        scores_NL >= np.float32(0.2)
    ).sum(axis=1).tolist()
    assert {code["predicted"] for note in low for code in note["codes"]} == {True, False}
    assert [note["codes"][:3] for note in low] == [note["codes"] for note in top]


def test_every_input_and_output_format_gives_the_same_codes(icdcode, trained, tmp_path, table):
    files = [tmp_path / f"codes.{ending}" for ending in ("jsonl", "csv", "parquet")]
    for file in files:
        answer = icdcode("predict", trained, table, "--output", file, "--json")
        assert answer.code == 0
        assert answer.json["notes"] == len(TEXTS)
        assert answer.json["output"] == str(file)
        assert answer.json["threshold"] == "0.5"
    flat = [
        (note["id"], code["code"]) for note in lines(files[0].read_text()) for code in note["codes"]
    ]
    rows = list(csv.DictReader(files[1].read_text().splitlines()))
    assert [(row["id"], row["code"]) for row in rows if row["code"]] == flat
    assert [
        (row["id"], row["code"]) for row in pq.read_table(files[2]).to_pylist() if row["code"]
    ] == flat
    assert sorted(tmp_path.iterdir()) == sorted(files)
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, text in enumerate(TEXTS):
        (folder / f"n{number:02}.txt").write_text(text)
    found = lines(icdcode("predict", trained, folder, "--json").out)
    assert [note["codes"] for note in found] == [
        note["codes"] for note in lines(files[0].read_text())
    ]
    assert [note["id"] for note in found][:2] == ["n00.txt", "n01.txt"]


def test_on_the_terminal(icdcode, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(TEXTS[2].encode())))
    answer = icdcode("predict", trained, "-", "--top", 2)
    assert answer.code == 0
    assert answer.err == ""
    shown = answer.out.splitlines()
    assert shown[0].endswith("codes, threshold 0.5; * predicted: reaches the threshold")
    assert shown[1].startswith("Note -: 2 codes, ")
    assert shown[2].split() == [
        "code",
        "title",
        "score",
    ]
    assert len(shown) == 6
    assert "diabetes" not in answer.out.replace("Diabetes", "")


def test_a_table_through_a_pipe(icdcode, trained, monkeypatch):
    content = f"id;text\n7;{TEXTS[0]}\n8;{TEXTS[2]}\n".encode()
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(content)))
    answer = icdcode("predict", trained, "-", "--json")
    assert answer.code == 0
    assert "standard input is read as a table (.csv)" in answer.err
    assert [note["id"] for note in lines(answer.out)] == ["7", "8"]


def test_a_checkpoint_folder_will_do_and_so_does_each_of_a_run(icdcode, trained, table):
    of_run = icdcode("predict", trained, table, "--json", "--load", "last").out
    assert of_run == icdcode("predict", trained / "weights" / "last", table, "--json").out != ""


@pytest.mark.slow
def test_outside_of_the_run_without_the_data_and_in_utf_8_on_any_terminal(
    icdcode, trained, place, table, tmp_path
):
    checkpoint = shutil.copytree(
        (trained / "weights" / "metric").resolve(), tmp_path / "checkpoint"
    )
    (checkpoint / "state.pt").unlink()
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    del manifest["files"]["state.pt"]
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    code = f"""
import sys
def heard(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and {str(place.root)!r} in str(arguments[0]):
        raise RuntimeError("opened " + str(arguments[0]))
sys.addaudithook(heard)
from icdcli.cli import main
main()
"""
    words = ("predict", checkpoint, table, "--json")
    done = process("-c", code, *words, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout == icdcode("predict", trained, table, "--json").out


def test_continuing_and_starting_over(icdcode, trained, table, tmp_path, small_blocks, monkeypatch):
    output = tmp_path / "codes.jsonl"
    complete = icdcode("predict", trained, table, "--json").out
    code, calls = coding.NotePredictor.predict, []

    def stop_at_the_third(self, *arguments):
        calls.append(arguments)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return code(self, *arguments)

    monkeypatch.setattr(coding.NotePredictor, "predict", stop_at_the_third)
    stopped = icdcode("predict", trained, table, "--output", output)
    assert stopped.code == 143
    assert "Stopped. Rerun the same command to continue." in stopped.out
    assert not output.exists()
    answer = icdcode("predict", trained, table, "--output", output)
    assert answer.code == 0
    assert "Continuing with the parts in" in answer.out
    assert "Written: " in answer.out
    assert output.read_text() == complete
    calls[:] = [0]
    assert icdcode("predict", trained, table, "--output", output, "--top", 1).code == 143
    answer = icdcode("predict", trained, table, "--output", output, "--top", 2)
    assert answer.code == 0
    assert "was written with other options. Starting over." in answer.err
    assert all(len(note["codes"]) <= 2 for note in lines(output.read_text()))
    assert list(tmp_path.iterdir()) == [output]


@pytest.fixture
def killed(trained, table, tmp_path):
    """Predict to files with kills in between, assert equal files, and return the exit codes."""

    def run(ending, kills, characters=80):
        output = tmp_path / "out" / f"complete.{ending}"
        output.parent.mkdir()
        program = Path(__file__).with_name("predicting.py")
        done = process(program, trained, table, output, characters, json.dumps(kills))
        assert done.returncode == 0, done.stderr
        reported = json.loads(done.stdout)
        assert reported["code"] == 0
        assert reported["operations"] > 45
        files = [output.with_name(f"{number}.{ending}") for number in range(len(reported["codes"]))]
        assert {*output.parent.iterdir()} == {output, *files}
        assert {file.read_bytes() for file in files} == {output.read_bytes()}
        return reported["codes"]

    return run


@pytest.mark.slow
def test_killed_and_called_again_gives_the_same_bytes(killed):
    assert killed("jsonl", [[16, 11], [30], [45]]) == [[-9, -9, 0], [-9, 0], [-9, 0]]


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "first"), [("csv", 1), ("parquet", 2)])
def test_killed_at_any_operation(killed, ending, first):
    # The formats do the same operations until the last ones: one takes the odd, the other the even.
    codes = killed(ending, {"from": first, "every": 2}, characters=160)
    assert len(codes) > 20
    assert all(pair == [-9, 0] for pair in codes)


@pytest.mark.slow
def test_processes_of_torchrun_share_the_notes(icdcode, trained, table, tmp_path, small_blocks):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    output = tmp_path / "codes.jsonl"
    start = ["-m", "torch.distributed.run", "--nproc-per-node=3", f"--master-port={port}"]
    script = tmp_path / "predict.py"
    script.write_text(
        "from icdcli.predict import batches; batches.BLOCK_CHARACTERS = 80\n"
        "from icdcli.cli import main; main()"
    )
    done = process(
        *start, script, "predict", trained, table, "--output", output, "--device", "cpu", "--json"
    )
    assert done.returncode == 0, done.stderr
    script.unlink()
    assert json.loads(done.stdout)["notes"] == len(TEXTS)
    assert output.read_text() == icdcode("predict", trained, table, "--json").out
    assert list(tmp_path.iterdir()) == [output]


# Errors


def test_notes_that_cannot_be_read(refused, trained, tmp_path):
    bad = {
        "empty.txt": (b"", "is empty"),
        "binary.txt": (SECRET.encode() + b"\0\1", "is binary"),
        "latin.txt": (SECRET.encode() + b" ma\xf1ana", "iconv"),
        "long.txt": (b"fever " * 9_000_000, "more than 10,000,000 characters"),
        "columns.csv": (f"txt\n{SECRET}\n".encode(), "no column 'text' (did you mean 'txt'?)"),
        "row.jsonl": (f'{{"text": "{SECRET}"}}\n{{"text": "{SECRET}'.encode(), "line 2: not JSON"),
    }
    for name, (content, says) in bad.items():
        (tmp_path / name).write_bytes(content)
        for words in ([], ["--json"], ["--output", tmp_path / "codes.csv"]):
            before = {*tmp_path.iterdir()}
            message = refused(3, "predict", trained, tmp_path / name, *words, says=[name, says])
            assert SECRET not in message
            assert {*tmp_path.iterdir()} == before
    refused(3, "predict", trained, tmp_path / "gone.txt", says="no such file or folder")


def test_arguments_that_make_no_sense(refused, icdcode, trained, table, tmp_path):
    output = tmp_path / "codes.csv"
    refused(
        2,
        "predict",
        trained,
        table,
        "--output",
        tmp_path / "codes.txt",
        says="must end in .jsonl, .csv or .parquet",
    )
    refused(
        2,
        "predict",
        trained,
        table,
        "--output",
        tmp_path / "gone" / "codes.csv",
        says="there is no folder",
    )
    refused(
        2, "predict", trained, table, "--output", table, says="the notes are read from this file"
    )
    refused(
        2, "predict", trained, table, "--device", "gpux", says="should be cpu, mps, or GPU numbers"
    )
    refused(2, "predict", trained, table, table, says="is given twice")
    assert icdcode("predict", trained, table, "--top", 0).code == 2
    assert icdcode("predict", trained, table, "--min-score", 1.5).code == 2
    assert icdcode("predict", trained).code == 2
    output.mkdir()
    refused(2, "predict", trained, table, "--output", output, says="is a folder")
    assert list(tmp_path.iterdir()) == [output]


def test_models_that_cannot_be_used(refused, run_copy, table, tmp_path):
    output = tmp_path / "codes.csv"
    refused(2, "predict", tmp_path / "nowhere", table, says="no such run folder")
    refused(2, "predict", tmp_path, table, says="isn't a run folder")
    checkpoint = (run_copy / "weights" / "metric").resolve()
    about = json.loads((checkpoint / "coder.json").read_text())
    (checkpoint / "coder.json").write_text(json.dumps(about | {"threshold": 0.1}))
    refused(
        4,
        "predict",
        run_copy,
        table,
        "--output",
        output,
        says="coder.json: was changed or is damaged",
    )
    (checkpoint / "manifest.json").unlink()
    refused(4, "predict", run_copy, table, "--output", output, says="is not a checkpoint")
    (run_copy / "weights" / "metric").unlink()
    refused(4, "predict", run_copy, table, says="has no checkpoint 'metric'")
    assert not output.exists()
    assert not output.with_name("codes.csv.parts").exists()


def test_a_base_model_that_is_gone(refused, run_copy, table):
    from icdcli.io import manifest

    checkpoint = (run_copy / "weights" / "metric").resolve()
    about = json.loads((checkpoint / "coder.json").read_text())
    about["own_backbone"] = False
    about["model"]["model"] = "owner/gone"
    (checkpoint / "coder.json").write_text(json.dumps(about))
    (checkpoint / "manifest.json").unlink()
    manifest.write_manifest(checkpoint, {"step": 12})
    refused(
        2,
        "predict",
        run_copy,
        table,
        says=["its base model is needed to load it", "owner/gone", "hf download owner/gone"],
    )


def test_processes_need_a_file(refused, trained, table, monkeypatch):

    from icdcli.distributed import process_group as distributed

    monkeypatch.setattr(
        distributed,
        "join_process_group",
        lambda device: distributed.ProcessGroup(0, 2),
    )
    says = "several processes can only read notes from files and write to a file"
    for words in ([table], [table, "-", "--output", "codes.csv"]):
        refused(2, "predict", trained, *words, says=says)


def test_a_defect_shows_no_note(icdcode, trained, tmp_path, monkeypatch):
    def fail(self, texts):
        raise ZeroDivisionError

    (tmp_path / "note.txt").write_text(SECRET)
    monkeypatch.setattr(type(load_model(trained)), "_read", fail)
    with pytest.raises(ZeroDivisionError) as caught:
        icdcode("predict", trained, tmp_path / "note.txt")
    assert SECRET not in "".join(traceback.format_exception(caught.value))
