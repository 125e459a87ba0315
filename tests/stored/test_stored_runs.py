"""Runs and a corpus that icdcode 1b2e631 wrote still open, and give the results that it gave.

The folder `tests/stored/1b2e631` has them, and the results in ``expected/``; its README says how
they were made.
"""

import contextlib
import csv
import hashlib
import io
import json
import shutil
import sys
from pathlib import Path

import pytest

from icdcli import load_config, load_model, open_corpus
from icdcli.cli import main
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import read_labels
from icdcli.icd.code_system import earlier_editions
from icdcli.icd.editions.records import edition_id

STORED = Path(__file__).parent / "1b2e631"
RUNS = ("neural", "tfidf")
CORPUS = "table-split-column-6e8330155de7"
# Sentences for people, which may be worded differently in a later version.
PROSE = {"stopped", "notes", "as_in"}


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy everything into a new working folder."""
    folder = tmp_path / "work"
    shutil.copytree(STORED, folder, symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def icdcode(*words: str) -> tuple[int, str, str]:
    """Run a command in this process; return its exit code, standard output and standard error."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["icdcode", *words])
        patch.setenv("COLUMNS", "100")
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return code, out.getvalue(), err.getvalue()


def answer(*words: str) -> object:
    """Run a command with ``--json``; return what it prints, a list if it prints JSONL."""
    code, out, err = icdcode(*words, "--json")
    assert code == 0, err
    return parsed(out)


def expected(name: str) -> object:
    return parsed((STORED / "expected" / f"{name}.json").read_text(encoding="utf-8"))


def parsed(text: str) -> object:
    if text.startswith("{\n"):
        return json.loads(text)
    return [json.loads(line) for line in text.splitlines()]


def assert_same(found: object, before: object, place: str = "") -> None:
    """Compare with what 1b2e631 gave: the same codes, and numbers as close as another CPU allows.

    A later version may add keys, but none may be missing.
    """
    if isinstance(before, dict):
        assert isinstance(found, dict) and before.keys() <= found.keys(), place
        for key in before.keys() - PROSE:
            if not (key == "threshold" and isinstance(before[key], str)):
                assert_same(found[key], before[key], f"{place}/{key}")
    elif isinstance(before, list):
        assert isinstance(found, list) and len(found) == len(before), place
        for number, (one, other) in enumerate(zip(found, before, strict=True)):
            assert_same(one, other, f"{place}/{number}")
    elif isinstance(before, float):
        assert found == pytest.approx(before, rel=1e-4, abs=1e-5), place
    else:
        assert found == before, place


def set_in_checkpoint(folder: Path, key: str, value: object) -> None:
    """Change a value of ``coder.json`` and its hash in the manifest, as if written so."""
    path, manifest_path = folder / "coder.json", folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    manifest = json.loads(manifest_path.read_text())
    manifest["files"]["coder.json"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest_path.write_text(json.dumps(manifest))


def test_the_corpus_opens_and_is_not_prepared_again(stored: Path) -> None:
    config = load_config(stored / "runs" / "neural" / "args.yaml").data
    prepared = prepare(config.accepting())
    assert (prepared.folder, prepared.created) == (Path(".icdcode") / CORPUS, False)
    corpus = open_corpus(prepared.folder)
    assert [len(corpus.documents(split)) for split in corpus.splits] == [28, 6, 6]
    assert corpus.labels.codes == ("E11.9", "I10", "I48.91", "J18.9", "N17.9", "R50.9")
    rows = [json.loads(line) for line in Path("notes.jsonl").read_text().splitlines()]
    assert list(corpus.texts("test")) == [row["text"] for row in rows if row["split"] == "test"]


@pytest.mark.parametrize("run", RUNS)
def test_evaluate_gives_the_stored_results(stored: Path, run: str) -> None:
    parts = ["--ablate"] if run == "neural" else []
    assert_same(answer("evaluate", f"runs/{run}", *parts), expected(f"{run}.evaluate"))


@pytest.mark.parametrize("run", RUNS)
def test_predict_gives_the_stored_codes_and_evidence(stored: Path, run: str) -> None:
    if run == "neural":  # its predictions came from all windows of a note
        set_long_notes_in_checkpoint(stored / "runs" / run, "windows")
    evidence = ["--evidence"] if run == "neural" else []
    found = answer("predict", f"runs/{run}", "new_notes.csv", *evidence)
    assert_same(found, expected(f"{run}.predict"))


def set_long_notes_in_checkpoint(run: Path, long_notes: str) -> None:
    checkpoint = (run / "weights" / "metric").resolve()
    model = json.loads((checkpoint / "coder.json").read_text())["model"]
    assert "long_notes" not in model
    set_in_checkpoint(checkpoint, "model", model | {"long_notes": long_notes})


def test_predict_reads_what_the_stored_run_was_evaluated_on(stored: Path) -> None:
    found = answer("predict", "runs/neural", "new_notes.csv", "--evidence")
    before = expected("neural.predict")
    assert isinstance(found, list) and isinstance(before, list)
    cut = [note["read"] < 1 for note in found]
    assert cut == [note["windows"] > 1 for note in before]
    assert any(cut) and not all(cut)
    for now, then in zip(found, before, strict=True):
        assert now["windows"] == min(then["windows"], 1)
        if then["windows"] <= 1:
            assert_same(now, then)


@pytest.mark.parametrize("run", RUNS)
def test_show_predictions_gives_the_stored_documents(stored: Path, run: str) -> None:
    evidence = ["--evidence"] if run == "neural" else []
    found = answer("show-predictions", f"runs/{run}", "-n", "2", *evidence)
    assert_same(found, expected(f"{run}.show-predictions"))


def test_compare_reads_the_stored_evaluations(stored: Path) -> None:
    files = [stored / "runs" / run / "evaluation" / "test" / "statistics.npz" for run in RUNS]
    before = [file.stat().st_mtime_ns for file in files]
    then = expected("compare")
    interval = then["runs"][1]["differences"]["r_precision"]
    interval["low"] = max(
        interval["low"], -1.0
    )  # intervals of differences could leave [-1, 1] then
    assert_same(answer("compare", "runs/neural", "runs/tfidf"), then)
    assert [file.stat().st_mtime_ns for file in files] == before  # read, not computed again


def test_a_stored_run_resumes_to_the_same_end(stored: Path) -> None:
    assert_same(answer("resume", "runs/neural", "steps=56"), expected("neural.resume"))
    found, before = (
        list(csv.DictReader(path.read_text().splitlines()))
        for path in (stored / "runs/neural/results.csv", STORED / "expected/neural.results.csv")
    )
    numbers = [
        [{name: float(row[name]) for name in before[0] if name != "seconds"} for row in rows]
        for rows in (found, before)
    ]
    assert_same(*numbers)
    assert (stored / "runs" / "neural" / "weights" / "last").resolve().name == "56-2"
    resumed = read_labels(stored / "runs" / "neural" / "weights" / "last" / "labels.parquet")
    assert resumed.editions == {"diagnosis": earlier_editions("icd10")["diagnosis"]}
    assert (stored / "runs" / "neural" / "weights" / "metric").resolve().name == "20"


def test_a_stored_baseline_is_finished(stored: Path) -> None:
    found = answer("resume", "runs/tfidf")
    assert isinstance(found, dict) and found["finished"] and found["step"] == 1


@pytest.mark.parametrize("run", RUNS)
def test_load_model_predicts_the_stored_codes(stored: Path, run: str) -> None:
    model = load_model(f"runs/{run}")
    text = next(csv.DictReader(Path("new_notes.csv").read_text().splitlines()))["text"]
    before = expected(f"{run}.predict")[0]["codes"]
    found = [
        {"code": code.code, "title": code.title, "score": code.score}
        for code in model.predict([text])[0]
    ]
    assert_same(found, [{key: code[key] for key in ("code", "title", "score")} for code in before])


@pytest.mark.parametrize("run", RUNS)
def test_stored_runs_have_the_editions_of_their_version(stored: Path, run: str) -> None:
    edition = earlier_editions("icd10")["diagnosis"]
    assert edition["name"] == "icd10cm-2024"
    before = read_labels(stored / "runs" / run / "weights" / "metric" / "labels.parquet")
    assert before.editions is None
    assert load_model(f"runs/{run}").labels.editions == {"diagnosis": edition}
    assert open_corpus(stored / ".icdcode" / CORPUS).labels.editions == {"diagnosis": edition}
    base = ["--base"] if run == "neural" else []
    code, _, err = icdcode("export", f"runs/{run}", "exported", *base)
    assert code == 0, err
    assert edition_id(edition) in Path("exported", "README.md").read_text()
    assert load_model("exported").labels.editions == {"diagnosis": edition}


@pytest.mark.parametrize(
    ("command", "run"),
    [
        *(
            (command, run)
            for command in ("evaluate", "predict", "show-predictions")
            for run in RUNS
        ),
        ("resume", "neural"),
    ],
)
def test_a_checkpoint_of_another_format_is_refused(stored: Path, command: str, run: str) -> None:
    for name in ("metric", "last"):
        set_in_checkpoint(stored / "runs" / run / "weights" / name, "format", 99)
    words = ["new_notes.csv"] if command == "predict" else []
    code, out, err = icdcode(command, f"runs/{run}", *words)
    assert (code, out) == (4, "")
    assert err.startswith("error: runs/") and "0.1.0" in err
    assert "Load it with that version, or train the model again" in err


def test_a_corpus_of_another_format_is_refused(stored: Path) -> None:
    path = stored / ".icdcode" / CORPUS / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    code, out, err = icdcode("describe", f".icdcode/{CORPUS}")
    assert (code, out) == (3, "")
    assert "has format 99" in err and "Prepare the data again" in err
