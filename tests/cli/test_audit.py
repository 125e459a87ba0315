"""``icdcode audit``: what it prints and writes, and what it refuses."""

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "audit"))
from audited_notes import REMOVED, SWAPPED, write_audited_notes

OPTIONS = (
    *("model=tiny", "lexical=[evidence]", "lexicon=False", "assertion=mentions", "bit=32"),
    *("evidence_column=evidence", "code_system=icd10", "description_prior=False"),
    *("pooling_mode=mean", "lora_activate=False"),
)


@pytest.fixture
def notes(tmp_path):
    return write_audited_notes(tmp_path / "notes.jsonl", 40)


def test_findings_are_shown_and_written(icdcode, notes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = icdcode("audit", notes, *OPTIONS)
    assert answer.code == 0, answer
    assert "\n40 notes, " in "\n" + answer.out  # a slow machine shows progress before it
    assert f"{SWAPPED[2]} → {SWAPPED[1]}" in answer.out
    assert answer.out.endswith("Written: audit.csv\n")
    assert "lobar infiltrate" not in answer.out + (tmp_path / "audit.csv").read_text("utf-8")
    again = icdcode("audit", notes, *OPTIONS, "--top", 3, "--output", "other.jsonl", "--json")
    assert again.json["counts"].keys() == {"missing", "unsupported", "swap"}
    lines = (tmp_path / "other.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == again.json["findings"]
    assert len(lines) == 3


@pytest.mark.slow
def test_a_prepared_corpus_has_the_same_findings(icdcode, notes, tmp_path):
    prepared = icdcode("prepare-data", notes, *OPTIONS, "--json").json["folder"]
    one, other = (
        icdcode("audit", data, *OPTIONS, "--output", tmp_path / "audit.csv", "--json").json
        for data in (notes, prepared)
    )
    assert one == other
    assert (REMOVED[0], REMOVED[1]) in {(row["id"], row["code"]) for row in one["findings"]}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--output", "audit.xlsx"), 2, "findings are written as .csv, .jsonl, .parquet"),
        (("--notes", "to_review.jsonl"), 2, "Add --with-text"),
    ],
)
def test_bad_options_are_refused(icdcode, notes, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    answer = icdcode("audit", notes, *OPTIONS, *words)
    assert answer.code == code
    assert message in answer.err
    assert {path.name for path in tmp_path.iterdir() if path.suffix != ".jsonl"} <= {".icdcode"}


def test_a_small_corpus_is_refused(icdcode, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = icdcode("audit", write_audited_notes(tmp_path / "few.jsonl", 10), *OPTIONS)
    assert answer.code == 3
    assert "has 10 notes with codes in train and validation" in answer.err
    assert not (tmp_path / "audit.csv").exists()


def test_notes_without_text_are_refused(icdcode, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "notes.jsonl"
    row = {"text": " ", "codes": ["I10"], "split": "train", "evidence": []}
    path.write_text("".join(json.dumps({"id": n, **row}) + "\n" for n in range(30)), "utf-8")
    answer = icdcode("audit", path, *OPTIONS)
    assert answer.code == 3
    assert answer.err.startswith("error: ")
    assert not (tmp_path / "audit.csv").exists()


@pytest.mark.slow
def test_the_models_of_a_run_can_score(icdcode, notes, tmp_path):
    options = (
        *("model=tfidf", "evidence_column=evidence", "code_system=icd10", f"data_path={notes}"),
        *(f"project={tmp_path}", "name=words"),
    )
    config = tmp_path / "tfidf.yaml"
    config.write_text("seed: 0\n", encoding="utf-8")
    assert icdcode("train", config, *options).code == 0
    output = tmp_path / "audit.jsonl"
    others = write_audited_notes(tmp_path / "others.jsonl", 45)
    answer = icdcode("audit", others, *OPTIONS, "--run", tmp_path / "words", "--output", output)
    assert answer.code == 3
    assert "Pass a run on this corpus" in answer.err
    assert not (tmp_path / "words" / "cross_fitting").exists()  # nothing was trained
    answer = icdcode("audit", notes, *OPTIONS, "--run", tmp_path / "words", "--output", output)
    assert answer.code == 0, answer
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert (SWAPPED[0], SWAPPED[2]) in {(row["id"], row["code"]) for row in rows[:5]}
