"""`icdcode export`: the folder predicts as the run does."""

import json
import shutil

import pytest


@pytest.fixture
def note(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("Known congestive heart failure, denies chest pain.")
    return path


@pytest.fixture
def same_codes(icdcode, note):
    """Return a function that asserts that two models give a note the same codes and scores."""

    def check(run, folder):
        answers = [
            icdcode("predict", place, note, "--top", 5, "--device", "cpu", "--json")
            for place in (run, folder)
        ]
        assert [answer.code for answer in answers] == [0, 0], answers
        assert answers[0].json == answers[1].json

    return check


def test_the_exported_folder_predicts_the_same(icdcode, run_copy, same_codes, tmp_path):
    answer = icdcode("export", run_copy, tmp_path / "out", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["folder"] == str(tmp_path / "out") and answer.json["base_included"] is None
    same_codes(run_copy, tmp_path / "out")
    shutil.rmtree(run_copy)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md",
        "reference.json",
        "backbone",
        "coder.json",
        "config.yaml",
        "head.safetensors",
        "labels.parquet",
        "manifest.json",
    }
    assert "words of notes" in icdcode("export", tmp_path / "out", tmp_path / "again").out


def test_the_exported_files_name_the_edition_but_no_path(icdcode, run_copy, tmp_path):
    arguments = run_copy / "args.yaml"
    text = arguments.read_text()
    assert "code_system: null" in text
    arguments.write_text(text.replace("code_system: null", "code_system: file:/data/me/kcd.csv"))
    assert icdcode("export", run_copy, tmp_path / "out").code == 0
    assert "code_system: file:kcd.csv\n" in (tmp_path / "out" / "config.yaml").read_text()
    assert "| code system | icd9cm-32@" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("options", [("model=tfidf",), ("lexical=True",)])
def test_lexical_models_are_exported_too(icdcode, place, same_codes, tmp_path, options):
    assert icdcode("train", place.config, f"project={tmp_path}", *options).code == 0
    assert icdcode("export", tmp_path / "run", tmp_path / "out").code == 0
    same_codes(tmp_path / "run", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert ("lexical model" if options[0].startswith("lexical") else "| model | tfidf |") in card
    metrics = json.loads((tmp_path / "out" / "manifest.json").read_text())["metrics"]
    assert f"| f1_micro | {metrics['f1_micro']:.3f} |" in card


def test_bad_exports_are_refused(refused, run_copy, tmp_path):
    (tmp_path / "taken").write_text("")
    refused(2, "export", run_copy, tmp_path / "taken", says="taken: exists already. Choose another")
    refused(2, "export", tmp_path / "none", tmp_path / "out", says="no such run or checkpoint")
    (run_copy / "weights" / "metric" / "labels.parquet").unlink()
    refused(4, "export", run_copy, tmp_path / "out", says="labels.parquet is missing")
    assert not (tmp_path / "out").exists()
