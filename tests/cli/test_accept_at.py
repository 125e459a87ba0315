"""`icdcode predict --accept-at`: each code says if it can be accepted without review."""

import csv
import json

import pyarrow.parquet as pq
import pytest

from icdcli.metrics.acceptance import PRECISIONS, AcceptanceTable, Accepted


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.csv"
    path.write_text("id,text\nn1,Chest pain and fever.\nn2,Type two diabetes mellitus.\nn3,\n")
    return path


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def set_table(run, score):
    """Give the best checkpoint a table with one score for .90, and none for other precisions."""
    rows = [Accepted(each, score if each == 0.9 else None) for each in PRECISIONS]
    path = run / "weights" / "metric" / "manifest.json"
    manifest = json.loads(path.read_text())
    assert "acceptance" in manifest  # training has written it
    manifest["acceptance"] = AcceptanceTable("validation", 12, tuple(rows)).to_json()
    path.write_text(json.dumps(manifest))


def test_codes_from_the_score_on_are_accepted(icdcode, run_copy, notes):
    options = ("predict", run_copy, notes, "--top", "30", "--json")
    before = lines(icdcode(*options).out)
    scores = sorted({code["score"] for note in before for code in note["codes"]})
    set_table(run_copy, scores[len(scores) // 2])
    answer = icdcode(*options, "--accept-at", ".90")
    assert answer.code == 0, answer
    actions = set()
    for note, without in zip(lines(answer.out), before, strict=True):
        for code in note["codes"]:
            action = code.pop("action")
            accepted = code["predicted"] and code["score"] >= scores[len(scores) // 2]
            assert action == ("accept" if accepted else "review")
            actions.add(action)
        assert note == without  # nothing else changes
    assert actions == {"accept", "review"}
    shown = icdcode(*options[:-1], "--accept-at", ".9")
    assert "action" in shown.out and "accept" in shown.out and "review" in shown.out


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_files_have_the_action(icdcode, run_copy, notes, tmp_path, ending):
    set_table(run_copy, 0.0)
    output = tmp_path / f"codes.{ending}"
    options = ("predict", run_copy, notes, "--output", output, "--top", "3", "--json")
    assert icdcode(*options).code == 0
    before = output.read_bytes()
    answer = icdcode(*options, "--accept-at", "0.9")
    assert answer.code == 0, answer
    assert answer.json["accept_score"] == 0.0
    if ending == "jsonl":
        rows = [code for note in lines(output.read_text()) for code in note["codes"]]
    elif ending == "csv":
        with output.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["code"]]
    else:
        table = pq.read_table(output)
        assert table.column_names[-2:] == ["action", "edition"]
        rows = [row for row in table.to_pylist() if row["code"]]
    assert rows
    for row in rows:
        predicted = row["predicted"] in (True, "True")
        assert row["action"] == ("accept" if predicted else "review")
    assert icdcode(*options).code == 0
    assert output.read_bytes() == before


@pytest.mark.parametrize(
    ("precision", "says"),
    [
        ("95", "such as .95"),
        ("0", "isn't a precision"),
        ("1", "isn't a precision"),
        (".5", "0.80, 0.81 … 0.99"),
        (".99", "no score of"),
    ],
)
def test_other_precisions_are_refused(refused, run_copy, notes, tmp_path, precision, says):
    set_table(run_copy, 0.5)
    refused(2, "predict", run_copy, notes, f"--accept-at={precision}", says=says)
    output = tmp_path / "codes.csv"
    options = ("--output", output, f"--accept-at={precision}")
    refused(2, "predict", run_copy, notes, *options, says=says)
    assert not output.exists() and not output.with_name("codes.csv.parts").exists()


def test_a_checkpoint_of_an_earlier_version_needs_an_evaluation(refused, run_copy, notes):
    path = run_copy / "weights" / "metric" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["acceptance"]
    path.write_text(json.dumps(manifest))
    says = "has no acceptance table. Run `icdcode evaluate RUN_DIR --split validation` first"
    refused(2, "predict", run_copy, notes, "--accept-at", ".9", says=says)


def test_hl7_has_no_place_for_it(refused, run_copy, notes, tmp_path):
    set_table(run_copy, 0.5)
    options = ("--output", tmp_path / "codes.hl7", "--format", "dg1", "--accept-at", ".9")
    refused(2, "predict", run_copy, notes, *options, says="HL7 v2 has no field")
