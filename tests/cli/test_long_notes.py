"""Notes longer than max_len: `predict` reads what training read, and reports what it cuts."""

import hashlib
import json
import shutil

import pandas as pd
import pytest

from icdcli import load_model

SHORT = ["Chest pain and fever.", "Type two diabetes mellitus. " * 3, "Denies fever."]
LONG = "Acute on chronic heart failure, denies fever. " * 20


@pytest.fixture
def table(tmp_path):
    """Return a table of short notes."""
    path = tmp_path / "notes.csv"
    pd.DataFrame({"id": ["a", "b", "c"], "text": SHORT}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def model(trained):
    return load_model(trained)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def long_note(tmp_path, model):
    """Return the file of a note longer than the model's max_len, and its tokens."""
    path = tmp_path / "long.txt"
    path.write_text(LONG)
    return path, len(model.tokenizer(path.read_text(), add_special_tokens=False)["input_ids"])


def test_a_note_that_is_cut_is_reported(icdcode, trained, table, long_note, tmp_path, model):
    path, tokens = long_note
    share = model.windows(tokens)[0][1] / tokens
    warning = (
        "warning: 1 of 4 notes are longer than max_len (64 tokens): the network reads only their "
        f"beginning, on average {share:.0%} of it, as in training and evaluation. To use all of "
        "it, train with long_notes: windows or a larger max_len"
    )
    answer = icdcode("predict", trained, table, path, "--json")
    *short, note = lines(answer.out)
    assert (note["windows"], note["read"]) == (1, pytest.approx(share, abs=1e-6))
    assert {other["read"] for other in short} == {1.0}
    assert warning in " ".join(answer.err.split())
    shown = icdcode("predict", trained, table, path)
    assert f"only the first {share:.0%} of the text read" in " ".join(shown.out.split())
    assert warning in " ".join(shown.err.split())
    for ending, read in (
        ("jsonl", lambda file: [note["read"] for note in lines(file.read_text())]),
        ("csv", lambda file: pd.read_csv(file).groupby("id", sort=False).read.first()),
        ("parquet", lambda file: pd.read_parquet(file).groupby("id", sort=False).read.first()),
    ):
        output = tmp_path / f"codes.{ending}"
        answer = icdcode("predict", trained, table, path, "--output", output, "--json")
        assert (answer.json["cut_notes"], answer.json["notes"]) == (1, 4)
        assert answer.json["cut_notes_read"] == pytest.approx(share, abs=1e-6)
        assert warning in " ".join(answer.err.split())
        assert [*read(output)] == pytest.approx([1.0] * 3 + [share], abs=1e-6)
    answer = icdcode("predict", trained, table, "--output", tmp_path / "short.csv", "--json")
    assert (answer.json["cut_notes"], answer.json["cut_notes_read"]) == (0, None)


def test_a_long_note_is_read_to_its_end_if_the_model_was_trained_so(
    icdcode, trained, long_note, tmp_path, model
):
    path, tokens = long_note
    checkpoint = shutil.copytree((trained / "weights" / "metric").resolve(), tmp_path / "windows")
    settings = json.loads((checkpoint / "coder.json").read_text())
    assert settings["model"].pop("long_notes") == "first"
    for long_notes in (None, "windows"):  # earlier checkpoints have no such key
        if long_notes:
            settings["model"]["long_notes"] = long_notes
        (checkpoint / "coder.json").write_text(json.dumps(settings))
        manifest = json.loads((checkpoint / "manifest.json").read_text())
        digest = hashlib.sha256((checkpoint / "coder.json").read_bytes()).hexdigest()
        manifest["files"]["coder.json"] = digest
        (checkpoint / "manifest.json").write_text(json.dumps(manifest))
        (note,) = lines(icdcode("predict", checkpoint, path, "--top", 1, "--json").out)
        read = len(load_model(checkpoint).windows(tokens))
        assert note["windows"] == read
        assert (read > 2) == (note["read"] == 1) == (long_notes == "windows")
    shown = icdcode("predict", checkpoint, path)
    assert f", read in {read} windows" in " ".join(shown.out.split())
    assert "max_len" not in shown.err
