"""A run that was stopped and resumed ends as if it had never been stopped."""

import errno
import json
import os
import shutil
import signal

import pytest
import torch

pytestmark = pytest.mark.usefixtures("no_pictures")


def manifest(run, name):
    return json.loads((run / "weights" / name / "manifest.json").read_text())


def state(run, name="last"):
    return torch.load(run / "weights" / name / "state.pt", weights_only=True)


def same_end(run, reference, rows):
    """Everything but the clock is equal: tables, the three checkpoints' weights, optimiser, best so far and patience."""
    for table in ("results.csv", "steps.csv"):
        assert rows(run / table) == rows(reference / table), table
    for name in ("metric", "loss", "last"):
        one, other = manifest(run, name), manifest(reference, name)
        assert one["step"] == other["step"], name
        for file in ("head.safetensors", "labels.parquet"):
            assert one["files"][file] == other["files"][file], (name, file)
    ends = [state(run), state(reference)]
    for end in ends:
        end["run"].pop("seconds")
    assert ends[0]["run"] == ends[1]["run"]
    optimizers = [end["optimizer"]["state"] for end in ends]
    assert optimizers[0].keys() == optimizers[1].keys()
    for weight in optimizers[0]:
        for name, value in optimizers[0][weight].items():
            assert torch.equal(value, optimizers[1][weight][name])
    return True


@pytest.fixture
def interrupted(icdcode, place, tmp_path, signal_at):
    """A run that SIGINT ended after this step."""

    def train(step, *options):
        patch = signal_at(step, signal.SIGINT)
        answer = icdcode("train", place.config, f"project={tmp_path / 'stopped'}", *options)
        patch.undo()
        return answer, tmp_path / "stopped" / "run"

    return train


# In the first epoch; between its last step and its validation; in the second epoch; before the last validation.
@pytest.mark.parametrize("step", [3, 6, 9, 12])
def test_interrupted_and_resumed_is_as_never_interrupted(icdcode, interrupted, trained, rows, step):
    answer, run = interrupted(step)
    assert answer.code == 130 and answer.err == ""
    assert f"interrupted by SIGINT (step {step})" in answer.out and f"Next: icdcode resume {run}" in answer.out
    assert manifest(run, "last")["step"] == step and len(rows(run / "results.csv")) == (step > 6)
    answer = icdcode("resume", run)
    assert answer.code == 0 and f"step {step}" in answer.out.splitlines()[0]
    assert same_end(run, trained, rows)
    assert not list(run.glob("*superseded*"))
    seconds = [float(row.split(",")[2]) for row in (run / "results.csv").read_text().splitlines()[1:]]
    assert seconds == sorted(seconds)


def test_finished_run_says_so_and_stays_as_it_is(icdcode, run_copy, trained, rows):
    answer = icdcode("resume", run_copy)
    assert answer.code == 0 and "all 12 steps are done (step 12)" in answer.out and "Next: icdcode evaluate" in answer.out
    assert same_end(run_copy, trained, rows)
    assert (run_copy / "args.yaml").read_bytes() == (trained / "args.yaml").read_bytes()


def test_more_steps_go_on_and_are_kept_in_args(icdcode, run_copy, rows):
    answer = icdcode("resume", run_copy, "steps=14", "patience=7", "--json")
    assert answer.code == 0 and (answer.json["step"], answer.json["finished"]) == (14, True)
    assert "changed    steps: 12 -> 14, patience: 5 -> 7" in answer.err
    assert [row["step"] for row in rows(run_copy / "results.csv")] == ["6", "12", "14"]
    args = (run_copy / "args.yaml").read_text()
    assert "\nsteps: 14\n" in args and "\npatience: 7\n" in args
    assert json.loads(icdcode("evaluate", run_copy, "--load", "last", "--json").out)["checkpoint"] == "last"


def test_patience_counts_on_over_an_interruption(icdcode, interrupted, rows):
    # A threshold that no score reaches makes every validation's F1 the same: no progress after the first.
    options = ("positive_threshold=1", "metrics=[f1_micro]", "steps=60", "patience=2")
    answer, run = interrupted(14, *options)
    assert answer.code == 130 and state(run)["run"]["best_metric"]["without_progress"] == 1
    answer = icdcode("resume", run)
    assert answer.code == 0 and "no progress in 2 validations (step 18)" in answer.out
    assert [row["epoch"] for row in rows(run / "results.csv")] == ["1", "2", "3"]
    answer = icdcode("resume", run)
    assert answer.code == 0 and "no progress in 2 validations (step 18)" in answer.out
    answer = icdcode("resume", run, "patience=3", "--json")
    assert answer.json["step"] == 24


def test_going_back_to_an_earlier_checkpoint_sets_later_rows_aside(icdcode, interrupted, run_copy, trained, rows):
    _, stopped = interrupted(9)
    assert manifest(stopped, "metric")["step"] == 6
    shutil.rmtree(run_copy / "weights" / "metric")
    shutil.copytree(stopped / "weights" / "metric", run_copy / "weights" / "metric")  # as if the first epoch were the best
    answer = icdcode("resume", run_copy, "--load", "metric")
    assert answer.code == 0 and "4 rows of later steps moved to *.superseded.csv" in answer.out
    assert [row["step"] for row in rows(run_copy / "results.superseded.csv")] == ["12"]
    assert [row["step"] for row in rows(run_copy / "steps.superseded.csv")] == ["8", "10", "12"]
    assert [row["step"] for row in rows(run_copy / "results.csv")] == ["6", "12"]
    for table in ("results.csv", "steps.csv"):
        assert rows(run_copy / table) == rows(trained / table)


def test_full_disk_leaves_the_checkpoint_before_and_the_run_resumes(icdcode, place, trained, tmp_path, rows, monkeypatch):
    save, saved = torch.save, []

    def full(*arguments):
        saved.append(arguments)
        if len(saved) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(*arguments)

    monkeypatch.setattr(torch, "save", full)
    run = tmp_path / "run"
    answer = icdcode("train", place.config, f"project={tmp_path}")
    assert answer.code == 3 and "Traceback" not in answer.err
    assert "the checkpoint of step 12 can't be written ([Errno 28] No space left on device)" in answer.err
    assert f"free space, then `icdcode resume {run}`" in answer.err
    assert {path.name for path in (run / "weights").iterdir()} == {"metric", "loss", "last"}
    assert manifest(run, "last")["step"] == 6
    answer = icdcode("resume", run)
    assert answer.code == 0 and "rows of later steps moved" in answer.out
    assert same_end(run, trained, rows)


@pytest.mark.slow  # peft alone takes ten seconds to import
def test_adapters_go_on_exactly_too(icdcode, place, interrupted, tmp_path, model_folders, rows, files):
    options = (f"model={model_folders['llama']}", "lora_activate=True", "lora_r=4", "gradient_checkpointing=True")
    assert icdcode("train", place.config, f"project={tmp_path}", *options).code == 0
    reference = tmp_path / "run"
    expected = {"adapter/adapter_config.json", "adapter/adapter_model.safetensors", "head.safetensors", "labels.parquet"}
    assert files(reference / "weights" / "last") == {*expected, "coder.json", "state.pt", "manifest.json"}
    answer, run = interrupted(4, *options)
    assert answer.code == 130
    assert icdcode("resume", run).code == 0
    assert same_end(run, reference, rows)
    adapters = [manifest(folder, "last")["files"]["adapter/adapter_model.safetensors"] for folder in (run, reference)]
    assert adapters[0] == adapters[1]
    assert icdcode("evaluate", run).code == 0
