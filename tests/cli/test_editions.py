"""The editions of codes in what commands write, and commands that would mix two of them."""

import json

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from icdcli import load_model
from icdcli.data.corpus.reader import EDITIONS
from icdcli.icd.editions.catalog import VARIABLE
from icdcli.icd.editions.records import edition_ids

TEXTS = ["Chest pain and fever.", "", "Type two diabetes mellitus. " * 3]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "notes.parquet"
    pq.write_table(pa.table({"id": ["a", "b", "c"], "text": TEXTS}), path)
    return path


def test_every_prediction_names_the_edition(icdcode, trained, table, tmp_path):
    editions = load_model(trained).labels.editions
    (edition,) = edition_ids(editions)
    assert edition.startswith("icd9cm-32@")
    found = icdcode("predict", trained, table, "--json", "--top", 2).out.splitlines()
    assert [json.loads(line)["editions"] for line in found] == [[edition]] * len(TEXTS)
    for file in (tmp_path / "codes.csv", tmp_path / "codes.parquet"):
        answer = icdcode("predict", trained, table, "--top", 2, "--output", file, "--json")
        assert answer.json["editions"] == editions
        rows = pa_csv.read_csv(file) if file.suffix == ".csv" else pq.read_table(file)
        assert rows.column_names[-1] == "edition"
        assert {(bool(row["code"]), row["edition"] or None) for row in rows.to_pylist()} == {
            (True, edition),
            (False, None),
        }


CODES = ("code,title", "A1,Cold", "A2,Flu", "B1,Cough")


@pytest.fixture
def own(tmp_path, monkeypatch, icdcode):
    """Return a function that imports codes as kcd-9, with a file of notes beside them."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "codes"))
    splits = ("train", "train", "validation", "test")
    with (tmp_path / "notes.jsonl").open("w") as file:
        for number in range(24):
            words, code = (("sneezing", "A1"), ("fever", "A2"), ("cough", "B1"))[number % 3]
            text = f"Patient {number} has {words}."
            row = {"text": text, "codes": [code], "split": splits[number % 4]}
            file.write(json.dumps(row) + "\n")

    def imports(*lines):
        (tmp_path / "kcd.csv").write_text("\n".join(lines) + "\n")
        answer = icdcode("codes", "import", tmp_path / "kcd.csv", "--name", "kcd-9")
        assert answer.code == 0, answer.err

    imports(*CODES)
    return imports


@pytest.fixture
def train(icdcode, tmp_path, own):
    config = tmp_path / "config.yaml"
    config.write_text(
        f"data_path: {tmp_path / 'notes.jsonl'}\nproject: {tmp_path}\ncode_system: kcd-9\n"
        "device: cpu\nmodel: tfidf\n"
    )

    def run(name="run", *options):
        answer = icdcode("train", config, f"name={name}", *options)
        assert answer.code == 0, answer.err
        return tmp_path / name

    return run


def test_an_evaluation_names_the_edition(icdcode, train):
    run = train()
    answer = icdcode("evaluate", run, "--html", "--no-behavior", "--json")
    assert answer.code == 0, answer.err
    editions = load_model(run).labels.editions
    assert editions["diagnosis"]["name"] == "kcd-9"
    folder = run / "evaluation" / "test"
    assert json.loads((folder / "metrics.json").read_text())["editions"] == editions
    [name] = edition_ids(editions)
    assert name in (folder / "report.html").read_text(encoding="utf-8")
    assert f"codes of {name}" in icdcode("evaluate", run).out
    shown = icdcode("show-predictions", run, "--json").json
    assert shown["editions"] == editions
    metadata = pq.read_schema(folder / "predictions.parquet").metadata
    assert json.loads(metadata[EDITIONS]) == editions


def test_evaluating_on_another_edition_is_noticed(icdcode, train, own):
    run = train()
    (before,) = edition_ids(load_model(run).labels.editions)
    assert "warning" not in icdcode("evaluate", run).err
    own(*CODES[:-1], "B1,Whooping cough")
    answer = icdcode("evaluate", run)
    assert answer.code == 0
    assert answer.err.count("warning: ") == 1
    assert f"was trained with codes of {before}, but the data now have those of kcd-9@" in (
        answer.err
    )
    assert "Restore code_system in the run's args.yaml" in answer.err


def test_another_label_space_of_another_edition_is_refused(icdcode, train, own):
    run = train("run", "label_space=described")
    own(*CODES, "B2,Asthma")
    answer = icdcode("evaluate", run)
    assert (answer.code, answer.out) == (3, "")
    assert answer.err.startswith("error: ") and answer.err.count("\n") == 1
    assert "was trained with codes of kcd-9@" in answer.err


def test_a_run_is_not_resumed_on_another_edition(icdcode, train, own):
    tiny = ("lora_activate=False", "bit=32", "max_len=32", "steps=4", "warmup_steps=1")
    run = train("run", "model=tiny", *tiny)
    own(*CODES[:-1], "B1,Whooping cough")
    answer = icdcode("resume", run, "steps=6")
    assert answer.code == 4
    assert "was trained with codes of kcd-9@" in answer.err
    own(*CODES)
    assert icdcode("resume", run, "steps=6").code == 0


def test_comparing_editions_is_noticed(icdcode, train, own):
    first = train("first")
    own(*CODES[:-1], "B1,Whooping cough")
    second = train("second")
    own(*CODES)
    answer = icdcode("compare", first, train("third"), "--json")
    assert "warning" not in answer.err
    assert answer.json["runs"][0]["editions"] == load_model(first).labels.editions
    own(*CODES[:-1], "B1,Whooping cough")
    icdcode("evaluate", second)
    answer = icdcode("compare", first, second)
    assert answer.code == 0
    assert answer.err.count("The difference between these runs may be that of the editions") == 1
