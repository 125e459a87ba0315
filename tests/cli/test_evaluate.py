"""Tuned thresholds, the output and files of evaluate, and the comparison of runs."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

OPTIONS = ("steps=6", "warmup_steps=1", "prediction_print_n=0")


@pytest.fixture(scope="module")
def tuned(icdcode, place, tmp_path_factory, without_pictures):
    """Return a run of one epoch with tuned thresholds; read only."""
    project = tmp_path_factory.mktemp("tuned")
    options = (f"project={project}", *OPTIONS, "positive_threshold=auto_per_code")
    with without_pictures():
        assert icdcode("train", place.config, *options).code == 0
    return project / "run"


@pytest.fixture
def pair(trained, tuned, tmp_path):
    """Return copies of both runs."""
    return [
        Path(shutil.copytree(run, tmp_path / name, symlinks=True))
        for name, run in (("one", trained), ("other", tuned))
    ]


def test_a_tuned_threshold_gives_the_numbers_that_training_saw(icdcode, pair):
    answer = icdcode("evaluate", pair[1], "--split", "validation", "--load", "last", "--json")
    assert answer.code == 0, answer
    last = pd.read_csv(pair[1] / "results.csv").iloc[-1]
    reported = answer.json
    assert reported["metrics"]["f1_micro"] == pytest.approx(last.f1_micro, abs=1e-12)
    assert last.f1_micro > 0
    assert (reported["threshold_how"], reported["threshold_tuned_on"]) == (
        "auto_per_code",
        "validation",
    )
    assert "tuned on this split" in reported["notes"][0]
    assert "note: The threshold was tuned" in answer.err
    assert "one per code (auto_per_code, tuned on the validation split)" in " ".join(
        answer.err.split()
    )
    per_code = pd.read_csv(
        pair[1] / "evaluation" / "validation" / "per_code.csv", dtype={"code": str}
    )
    assert per_code.threshold.nunique() > 5


def test_on_another_split_it_is_not_called_tuned(icdcode, pair):
    answer = icdcode("evaluate", pair[1], "--json")
    assert answer.json["notes"] == [
        "14 of 14 documents are longer than max_len: the network read only their beginning "
        "(long_notes: first), as predict does."
    ]
    assert answer.json["threshold_tuned_on"] == "validation"


def test_gold_and_predicted_codes_are_checked(icdcode, pair):
    answer = icdcode("evaluate", pair[1], "--html", "--no-behavior", "--json")
    checks = answer.json["checks"]
    assert checks["editions"] == ["icd9cm-32"]
    assert list(checks["resolved"]) == ["as predicted", "hard rules", "and Excludes1"]
    assert checks["resolved"]["as predicted"]["metrics"]["f1_micro"] == pytest.approx(
        answer.json["metrics"]["f1_micro"]
    )
    folder = pair[1] / "evaluation" / "test"
    assert json.loads((folder / "metrics.json").read_text())["checks"] == checks
    assert "findings of icdcode check per 100 documents (icd9cm-32)" in answer.err
    assert "<h2 id=checks>Checks</h2>" in (folder / "report.html").read_text()


def test_a_tuned_threshold_is_resumed_with_its_run(icdcode, pair):
    def per_code():
        return json.loads((pair[1] / "weights" / "last" / "coder.json").read_text())["threshold"][
            "per_code"
        ]

    before = per_code()
    assert icdcode("resume", pair[1], "--dry-run").code == 0
    assert per_code() == before
    answer = icdcode("resume", pair[1], "steps=8")
    assert answer.code == 0
    assert "one per code (auto_per_code, tuned on the validation split)" in answer.out
    assert len(per_code()) == len(before)
    assert per_code() != before


def test_a_wrong_threshold_is_refused(refused, place):
    refused(
        2,
        "train",
        place.config,
        "positive_threshold=best",
        says="should be a number from 0 to 1, auto or auto_per_code",
    )
    refused(2, "train", place.config, "positive_threshold=1.5", says="should be from 0 to 1")


def test_a_metric_that_falls_as_a_model_improves_is_minimized(icdcode, place, tmp_path):
    options = (
        "metrics=[calibration_error, f1_micro]",
        "monitor=calibration_error",
        "steps=12",
        "positive_threshold=auto",
    )
    assert icdcode("train", place.config, f"project={tmp_path}", *options).code == 0
    results = pd.read_csv(tmp_path / "run" / "results.csv").set_index("step")
    manifest = json.loads((tmp_path / "run" / "weights" / "metric" / "manifest.json").read_text())
    assert manifest["step"] == results.calibration_error.idxmin()


def test_the_page_is_written_on_request(icdcode, pair):
    assert icdcode("evaluate", pair[0]).code == 0
    page = pair[0] / "evaluation" / "test" / "report.html"
    assert not page.exists()
    answer = icdcode("evaluate", pair[0], "--html", "--no-behavior", "--against", "published")
    assert answer.code == 0
    assert f"Report: {page}" in answer.out
    assert "none comparable: no published result on mimic3, protocol patient" in " ".join(
        answer.out.split()
    )
    text = page.read_text(encoding="utf-8")
    assert f"<h1>{pair[0].name}: test split of mimic3</h1>" in text
    assert page.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_the_page_has_the_behavior_of_the_model(icdcode, pair, monkeypatch):
    page = pair[0] / "evaluation" / "test" / "report.html"
    answer = icdcode("evaluate", pair[0], "--html", "--json")
    assert answer.code == 0, answer.err
    assert "Testing behavior on short notes made for the model's codes" in answer.err
    reported = answer.json["behavior"]
    assert reported == icdcode("behavior", pair[0], "--json").json
    text = page.read_text(encoding="utf-8")
    assert "<h2 id=behavior>" in text
    for one in reported["capabilities"]:
        assert f"<td>{one['rate']:.3f}</td><td>{one['low']:.3f}–{one['high']:.3f}</td>" in text
    answer = icdcode("evaluate", pair[0], "--html", "--no-behavior", "--json")
    assert "behavior" not in answer.json
    assert "id=behavior" not in page.read_text(encoding="utf-8")
    monkeypatch.setattr("icdcli.evaluation.behavior.run.conditions_of", lambda *_: [])
    answer = icdcode("evaluate", pair[0], "--html")
    assert answer.code == 0
    assert "Behavior isn't tested: no label of the model" in " ".join(answer.out.split())
    assert "id=behavior" not in page.read_text(encoding="utf-8")


def test_no_output_holds_a_notes_text(icdcode, place, pair):
    corpus = next((place.tables / ".icdcode").glob("mimic3-patient-*"))
    notes = pd.read_parquet(corpus / "documents.parquet").query("split == 'test'").text
    lines = {line for note in notes for line in note.splitlines() if len(line) > 30}
    answer = icdcode("evaluate", pair[0], "--html", "--no-behavior", "--json")
    folder = pair[0] / "evaluation" / "test"
    written = [
        answer.out,
        answer.err,
        *((folder / name).read_text() for name in ("report.html", "metrics.json", "per_code.csv")),
    ]
    assert lines
    assert not any(line in text for line in lines for text in written)


def test_weights_that_are_no_numbers_name_documents(icdcode, pair, refused, monkeypatch):
    from icdcli.evaluation import score_split as split

    monkeypatch.setattr(
        split, "probabilities", lambda parts, fusion: parts["network"] * float("nan")
    )
    refused(
        3,
        "evaluate",
        pair[0],
        says=["test split: the scores of document ", "are not finite numbers", "--load"],
    )
    assert not (pair[0] / "evaluation" / "test").exists()


def test_runs_are_shown_side_by_side(icdcode, pair):
    answer = icdcode("compare", *pair)
    assert answer.code == 0
    assert f"A  {pair[0]}, threshold 0.5" in answer.out
    assert [f"Evaluated: {run / 'evaluation' / 'test'}" in answer.out for run in pair] == [
        True,
        True,
    ]
    again = icdcode("compare", *pair, "--json")
    assert "Evaluated: " not in again.err  # the files written before are enough
    reported = [
        json.loads((run / "evaluation" / "test" / "metrics.json").read_text()) for run in pair
    ]
    one, other = again.json["runs"]
    assert [one["metrics"], other["metrics"]] == [values["metrics"] for values in reported]
    difference = other["differences"]["f1_micro"]
    assert difference["value"] == pytest.approx(
        reported[1]["metrics"]["f1_micro"] - reported[0]["metrics"]["f1_micro"]
    )
    assert difference["low"] <= difference["value"] <= difference["high"]


def test_another_checkpoint_is_scored_again(icdcode, pair):
    assert icdcode("compare", *pair).code == 0
    answer = icdcode("compare", *pair, "--load", "last", "--split", "validation")
    assert answer.code == 0
    assert answer.out.count("Evaluated: ") == 2
    # The same split of another checkpoint: the results of the first don't count.
    first, last = (
        json.loads((pair[0] / "weights" / name / "manifest.json").read_text())["step"]
        for name in ("metric", "last")
    )
    assert ("Evaluated: " in icdcode("compare", *pair, "--load", "last").out) == (first != last)


def test_other_label_spaces_are_compared_on_their_common_codes(
    icdcode, place, pair, tmp_path, refused
):
    assert (
        icdcode(
            "train",
            place.config,
            f"project={tmp_path}",
            *OPTIONS,
            "label_pruning=False",
            "name=more",
        ).code
        == 0
    )
    refused(2, "compare", pair[0], tmp_path / "more", says=["its label space (", "--intersection"])
    assert not (pair[0] / "evaluation" / "test").exists()  # refused before anything was scored
    answer = icdcode("compare", pair[0], tmp_path / "more", "--intersection", "--json")
    assert answer.code == 0
    assert "other codes are ignored" in answer.err
    codes = pd.read_parquet(pair[0] / "weights" / "last" / "labels.parquet").code
    assert answer.json["codes"] == len(codes)
    assert answer.json["intersection"] is True
    assert "loss" not in answer.json["runs"][0]["metrics"]


def test_one_run_cannot_be_compared(refused, icdcode, pair, tmp_path):
    refused(2, "compare", pair[0], says="needs 2 to 26 runs")
    refused(2, "compare", pair[0], tmp_path / "missing", says="no such run folder")
    answer = icdcode("compare", *pair, "--split", "tset")
    assert answer.code == 2
    assert "--split" in answer.err
