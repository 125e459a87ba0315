"""`icdcode refit`: what it shows and refuses."""

import json
import signal

import pytest

from icdcli.config.loading import load_config
from icdcli.training.run import run_training


@pytest.fixture(scope="module")
def run(notes, tmp_path_factory):
    """A run of TF-IDF."""
    folder = tmp_path_factory.mktemp("refit")
    keys = {
        "model": "tfidf", "positive_threshold": "auto", "metrics": "[map, f1_micro]",
        "data_path": notes, "project": folder / "runs", "cache_dir": folder / "cache",
        "lr0": 0.01,
    }  # fmt: skip
    return run_training(load_config(None, [f"{key}={value}" for key, value in keys.items()])).run


def test_it_shows_what_was_measured_by_what_and_as_json(icdcode, run, tmp_path):
    answer = icdcode("refit", run.root, "--folds", 2, "--name", "both", "--json")
    assert answer.code == 0, answer.err
    shown = answer.json
    assert shown["chosen_by"] == "2-fold cross-fitting on train+validation"
    assert shown["documents"] == {"train": 100, "validation": 8}
    assert shown["intervals"].keys() >= {"f1_micro"} or shown["metrics"]["f1_micro"] == 1
    assert "not of the final fit, which has seen all documents" in answer.err
    assert answer.err.count("model: tfidf doesn't use lr0") == 1  # not once per fold
    note = tmp_path / "note.txt"
    note.write_text("htn and dm2")
    assert "I10" in icdcode("predict", run.root.with_name("both"), note).out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--folds", "1"], "should be at least 2, got 1"),
        (["--folds", "5000"], "too few for 5,000 folds"),
    ],
)
def test_bad_numbers_of_folds_are_one_message(icdcode, run, words, says):
    answer = icdcode("refit", run.root, *words, "--name", "bad")
    assert (answer.code, answer.err.count("error: ")) == (2, 1)
    assert says in answer.err
    assert not run.root.with_name("bad").exists()


def test_a_folder_that_is_no_run_is_refused(refused, tmp_path):
    refused(2, "refit", tmp_path, says="isn't a run folder")


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_a_time_limit_ends_it_with_75_and_the_same_command_finishes_it(
    icdcode, run_copy, signal_at
):
    words = ("refit", run_copy, "--folds", 2, "--events", "json", "--stop-after", "2d")
    patch = signal_at(5, signal.SIGALRM)
    answer = icdcode(*words)
    patch.undo()
    assert answer.code == 75, answer
    assert "Interrupted. Repeat the command to continue from here." in answer.err
    first = [json.loads(line) for line in answer.out.splitlines()]
    assert [one["step"] for one in first if one["event"] == "interrupted"] == [5]
    answer = icdcode(*words)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert answer.code == 0, answer
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert next(one for one in lines if one["event"] == "prepared")["resumed_from"] is not None
    ended = [one["run"].rpartition("/")[2] for one in lines if one["event"] == "finished"]
    assert ended == ["fold-1", "fold-2", "run-refit"]
    assert lines[-1]["event"] == "result" and lines[-1]["run"].endswith("run-refit")
    assert icdcode(*words[:4], "--stop-after", "soon").code == 2
    assert icdcode(*words[:4], "--events", "json", "--json").code == 2
