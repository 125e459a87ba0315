"""`icdcode drift`: incoming notes against the summary in a checkpoint."""

import json
import shutil

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def notes(place, trained, tmp_path_factory):
    """Return a table of notes as those of training, and one of other notes."""
    folder = tmp_path_factory.mktemp("incoming")
    # Other tests may have prepared the tables with other options, too.
    corpus = min((place.tables / ".icdcode").glob("mimic3-patient-*/documents.parquet"))
    documents = pd.read_parquet(corpus)
    texts = (documents.text[documents.split != "train"].tolist() * 4)[:40]
    made = {"same": texts, "other": [" ".join(text.upper().split()[:9]) for text in texts]}
    for name, column in made.items():
        table = pd.DataFrame({"id": range(len(column)), "text": column})
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


def test_other_notes_are_told_from_those_like_training(icdcode, trained, notes):
    checkpoint = trained / "weights" / "metric"
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    assert "reference.json" in manifest["files"] and "reference" not in manifest
    answer = icdcode("drift", trained, notes / "other.csv", "--json")
    assert answer.code == 0, answer
    found = answer.json
    assert (found["drift"], found["acceptance_holds"], found["notes"]) == (True, False, 40)
    alarms = {one["measure"] for one in found["differences"] if one["alarm"]}
    assert {"words", "capitals"} <= alarms
    assert "chosen on other notes and no longer holds" in " ".join(answer.err.split())
    same = icdcode("drift", trained, notes / "same.csv")
    assert same.code == 0, same
    words = {one["measure"] for one in icdcode_json(icdcode, trained, notes)["differences"]}
    assert {"words", "unknown_words", "highest_score"} <= words
    assert "No drift found" in same.out
    assert "The summary has few documents (47 texts, 5 scored)" in " ".join(same.out.split())


def icdcode_json(icdcode, trained, notes):
    found = icdcode("drift", trained, notes / "same.csv", "--json").json
    capitals = next(one for one in found["differences"] if one["measure"] == "capitals")
    assert not capitals["alarm"]
    return found


def test_a_checkpoint_on_its_own_is_enough(icdcode, trained, notes, tmp_path):
    checkpoint = shutil.copytree(trained / "weights" / "metric", tmp_path / "copy")
    answer = icdcode("drift", checkpoint, notes / "other.csv", "--json")
    assert answer.code == 0 and answer.json["drift"], answer


def without_summary(run):
    checkpoint = (run / "weights" / "metric").resolve()
    (checkpoint / "reference.json").unlink()
    path = checkpoint / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["files"]["reference.json"]
    path.write_text(json.dumps(manifest))


def test_an_earlier_checkpoint_gets_its_summary_by_an_evaluation(icdcode, refused, run_copy, notes):
    before = icdcode("drift", run_copy, notes / "other.csv", "--json").json
    without_summary(run_copy)
    says = "has no summary of its training, like all checkpoints of earlier versions"
    refused(2, "drift", run_copy, notes / "other.csv", says=says)
    assert icdcode("evaluate", run_copy, "--split", "validation").code == 0
    after = icdcode("drift", run_copy, notes / "other.csv", "--json")
    assert after.code == 0, after
    for one, other in zip(before["differences"], after.json["differences"], strict=True):
        assert one["measure"] == other["measure"]
        assert one["expected"] == pytest.approx(other["expected"], abs=1e-3)


def test_too_few_notes_and_damaged_summaries_are_refused(refused, run_copy, tmp_path):
    few = tmp_path / "few.csv"
    few.write_text("id,text\n" + "".join(f"{n},Chest pain.\n" for n in range(19)) + "19,\n")
    refused(3, "drift", run_copy, few, says="at least 20 notes with words, got 19", warned=True)
    few.write_text(few.read_text() + "20,nan\n")  # an empty cell, as pandas writes it
    refused(3, "drift", run_copy, few, says="at least 20 notes with words, got 19", warned=True)
    empty = tmp_path / "empty.csv"
    empty.write_text("id,text\n1,\n")
    refused(3, "drift", run_copy, empty, says="none of the notes has any text")
    without_summary(run_copy)
    folder = run_copy / "evaluation" / "validation"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "reference.json").write_text("{")
    refused(3, "drift", run_copy, few, says="reference.json: can't be read")
    (folder / "reference.json").write_text('{"format": 2}')
    refused(3, "drift", run_copy, few, says="by another version of icdcode")


def test_notes_are_joined_as_those_of_training(icdcode, trained, notes, tmp_path):
    table = pd.read_csv(notes / "same.csv")
    halves = []
    for row in table.itertuples():
        half = row.text.index("\n", len(row.text) // 2)
        halves += [
            {"visit": row.id, "text": row.text[half:], "at": "2026-05-02"},
            {"visit": row.id, "text": row.text[:half], "at": "2026-05-01"},
        ]
    pd.DataFrame(halves).to_csv(tmp_path / "halves.csv", index=False)
    words = ("drift", trained, tmp_path / "halves.csv", "--json")
    joined = icdcode(*words, "--encounter-column", "visit", "--time-column", "at").json
    assert (joined["notes"], icdcode(*words).json["notes"]) == (40, 80)


@pytest.mark.parametrize("device", ["7", "cuda", "gpu"])
def test_a_device_that_is_not_there_is_refused(icdcode, trained, notes, device):
    answer = icdcode("drift", trained, notes / "other.csv", "--device", device)
    assert answer.code == 2 and answer.err.count("error:") == 1 and "device" in answer.err, answer
