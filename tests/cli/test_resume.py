"""A run that was stopped and resumed ends as if it had never been stopped."""

import errno
import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch

from icdcli.io.manifest import verify
from icdcli.report.plots import run as plots
from icdcli.report.views.training import TrainingView
from icdcli.training.events import Evaluating


def manifest(run, name):
    return json.loads((run / "weights" / name / "manifest.json").read_text())


def state(run, name="last"):
    return torch.load(run / "weights" / name / "state.pt", weights_only=True)


def same_end(run, reference, rows):
    """Assert that two runs are equal but for times: tables, checkpoints, optimizer, patience."""
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
    """Return a run that SIGINT ended after a step."""

    def train(step, *options):
        patch = signal_at(step, signal.SIGINT)
        answer = icdcode("train", place.config, f"project={tmp_path / 'stopped'}", *options)
        patch.undo()
        return answer, tmp_path / "stopped" / "run"

    return train


# In the first epoch; between its last step and its validation; in the second epoch; before the
# last validation.
@pytest.mark.parametrize(
    "step", [9, *(pytest.param(step, marks=pytest.mark.slow) for step in (3, 6, 12))]
)
def test_interrupted_and_resumed_is_as_never_interrupted(icdcode, interrupted, trained, rows, step):
    answer, run = interrupted(step)
    assert answer.code == 130
    assert answer.err == ""
    assert f"interrupted by SIGINT (step {step})" in answer.out
    assert f"Next: icdcode resume {run}" in answer.out
    assert manifest(run, "last")["step"] == step
    assert len(rows(run / "results.csv")) == (step > 6)
    answer = icdcode("resume", run)
    assert answer.code == 0
    assert f"step {step}" in answer.out.splitlines()[0]
    assert same_end(run, trained, rows)
    assert not list(run.glob("*.before-*"))
    seconds = [
        float(row.split(",")[2]) for row in (run / "results.csv").read_text().splitlines()[1:]
    ]
    assert seconds == sorted(seconds)


def test_finished_run_is_reported_and_unchanged(icdcode, run_copy, trained, rows):
    answer = icdcode("resume", run_copy)
    assert answer.code == 0
    assert "all 12 steps are done (step 12)" in answer.out
    assert "Next: icdcode evaluate" in answer.out
    assert (
        f"This run was already finished. To continue it: icdcode resume {run_copy} steps=24\n"
        in answer.out
    )
    assert same_end(run_copy, trained, rows)
    assert (run_copy / "args.yaml").read_bytes() == (trained / "args.yaml").read_bytes()


def test_more_steps_continue_and_are_kept_in_args(icdcode, run_copy, rows):
    answer = icdcode("resume", run_copy, "steps=14", "patience=7", "--json")
    assert answer.code == 0
    assert (answer.json["step"], answer.json["finished"]) == (14, True)
    assert "changed    steps: 12 -> 14, patience: 5 -> 7" in answer.err
    assert [row["step"] for row in rows(run_copy / "results.csv")] == ["6", "12", "14"]
    args = (run_copy / "args.yaml").read_text()
    assert "\nsteps: 14\n" in args
    assert "\npatience: 7\n" in args
    assert (
        json.loads(icdcode("evaluate", run_copy, "--load", "last", "--json").out)["checkpoint"]
        == "last"
    )


@pytest.mark.slow
def test_patience_counts_on_over_an_interruption(icdcode, interrupted, rows):
    # A threshold that no score reaches gives each validation the same F1: no progress.
    options = ("positive_threshold=1", "metrics=[f1_micro]", "steps=60", "patience=2")
    answer, run = interrupted(14, *options)
    assert answer.code == 130
    assert state(run)["run"]["best_metric"]["without_progress"] == 1
    answer = icdcode("resume", run)
    assert answer.code == 0
    assert "no improvement in 2 validations (step 18)" in answer.out
    assert [row["epoch"] for row in rows(run / "results.csv")] == ["1", "2", "3"]
    answer = icdcode("resume", run)
    assert "no improvement in 2 validations (step 18)" in answer.out
    assert f"To continue it: icdcode resume {run} patience=4\n" in answer.out
    answer = icdcode("resume", run, "patience=3", "--json")
    assert answer.json["step"] == 24


@pytest.fixture
def best_first(interrupted, run_copy):
    """Return a finished run whose best epoch was the first of two."""
    _, stopped = interrupted(9)
    assert manifest(stopped, "metric")["step"] == 6
    shutil.copytree(stopped / "weights" / "metric", run_copy / "weights" / "first")
    remove(run_copy / "weights" / "metric")
    (run_copy / "weights" / "first").rename(run_copy / "weights" / "metric")
    return run_copy


def remove(path):
    path.unlink() if path.is_symlink() else shutil.rmtree(path)


def snapshot(folder):
    paths = {path.relative_to(folder): path for path in folder.rglob("*")}
    links = {name: os.readlink(path) for name, path in paths.items() if path.is_symlink()}
    return links, {name: path.read_bytes() for name, path in paths.items() if path.is_file()}


def test_going_back_to_an_earlier_checkpoint_sets_later_rows_aside(
    icdcode, best_first, trained, rows
):
    answer = icdcode("resume", best_first, "--load", "metric")
    assert answer.code == 0
    assert "set aside  4 rows of later steps\n" in answer.out
    assert f"\n           {best_first / 'results.before-1.csv'}\n" in answer.out
    assert [row["step"] for row in rows(best_first / "results.before-1.csv")] == ["12"]
    assert [row["step"] for row in rows(best_first / "steps.before-1.csv")] == ["8", "10", "12"]
    assert [row["step"] for row in rows(best_first / "results.csv")] == ["6", "12"]
    for table in ("results.csv", "steps.csv"):
        assert rows(best_first / table) == rows(trained / table)
    assert manifest(best_first, "previous")["step"] == 12  # before the validation


def test_after_going_back_the_last_checkpoint_is_the_chosen_one(
    icdcode, best_first, trained, rows, monkeypatch
):
    def killed(*arguments):
        raise SystemExit(137)

    with monkeypatch.context() as patch:
        patch.setattr("icdcli.training.run.recording", killed)
        assert icdcode("resume", best_first, "--load", "metric").code == 137
    assert manifest(best_first, "last")["step"] == 6
    assert icdcode("resume", best_first).code == 0
    assert same_end(best_first, trained, rows)


def test_dry_run_shows_changes_and_makes_none(icdcode, best_first):
    before = snapshot(best_first)
    answer = icdcode(
        "resume",
        best_first,
        "--load",
        "metric",
        "--dry-run",
        "steps=20",
        "lr0=2e-3",
        "checkpoint_every=20min",
    )
    assert answer.code == 0
    assert answer.err == ""
    assert "Dry run: nothing was trained or written." in answer.out
    for line in (
        "changed    steps: 12 -> 20, lr0: 0.001 -> 0.002, checkpoint_every: None -> 20min\n",
        "set aside  4 rows of later steps\n",
        ", step 6\n",
    ):
        assert line in answer.out
    assert snapshot(best_first) == before
    reported = icdcode("resume", best_first, "--load", "metric", "--dry-run", "--json").json
    assert reported["dry_run"]
    assert (reported["changed"], reported["set aside"]) == (
        "nothing",
        "4 rows of later steps",
    )


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("pos_weight=2", "pos_weight=2.0 (was 5.0): the best value so far was measured with it"),
        ("positive_threshold=0.3", "the best value so far was measured with it"),
        ("weight_decay=0", "the optimizer's state is grouped by it"),
        ("head_lr_factor=3", "the optimizer's state is grouped by it"),
        ("text_cleaning=caml", "the corpus depends on it"),
    ],
)
def test_changes_that_cannot_be_made_are_refused(refused, run_copy, override, says):
    refused(
        4,
        "resume",
        run_copy,
        override,
        says=["a resumed run can't change these keys; start a new run instead", says],
    )


def test_broken_last_is_skipped_and_the_one_before_comes_to_the_same_end(
    icdcode, run_copy, trained, rows
):
    head = run_copy / "weights" / "last" / "head.safetensors"
    content = bytearray(head.read_bytes())
    content[-1] ^= 1
    head.write_bytes(content)
    answer = icdcode("resume", run_copy)
    assert answer.code == 0, answer
    assert "head.safetensors: was changed or is damaged" in answer.err
    assert "Resuming from the checkpoint before: " in answer.err
    assert "steps/12, step 12\n" in answer.out  # written before the validation
    assert "set aside  1 row of later steps\n" in answer.out
    assert same_end(run_copy, trained, rows)


def test_interrupted_in_a_validation_and_resumed_is_as_never_interrupted(
    icdcode, place, tmp_path, trained, rows, monkeypatch
):
    handle = TrainingView.handle

    def handle_and_signal(view, event):
        handle(view, event)
        if isinstance(event, Evaluating):
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingView, "handle", handle_and_signal)
        answer = icdcode("train", place.config, f"project={tmp_path}")
    run = tmp_path / "run"
    assert answer.code == 143
    assert "interrupted by SIGTERM (step 6)" in answer.out
    assert rows(run / "results.csv") == []
    assert state(run)["run"]["validated"] == 0
    assert icdcode("resume", run).code == 0
    assert same_end(run, trained, rows)


def test_a_training_that_diverges_ends_with_one_message(icdcode, place, tmp_path):
    run = tmp_path / "run"
    answer = icdcode(
        "train",
        place.config,
        f"project={tmp_path}",
        "lr0=1e30",
        "checkpoint_every=1",
        "log_every=5",
    )
    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert answer.err.count("error: ") == 1
    bad = (
        r"step (\d+): (the training loss|the gradient|a weight) is not a finite number. "
        r"The documents of this step are (.+?)\. "
    )
    step = re.search(bad, answer.err)
    assert step
    assert len(step[3].split(", ")) == 16
    last = manifest(run, "last")["step"]
    assert last < int(step[1])
    advice = f"weights/steps/{last}; resume from it with `icdcode resume {run} lr0=5e+29`"
    assert advice in answer.err
    assert manifest(run, "last") == verify(run / "weights" / "last")


def test_full_disk_leaves_the_checkpoint_before_and_the_run_resumes(
    icdcode, place, trained, tmp_path, rows, monkeypatch
):
    save, saved = torch.save, []

    def full(*arguments):
        saved.append(arguments)
        if len(saved) == 3:  # after those before and after the first validation
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(*arguments)

    monkeypatch.setattr(torch, "save", full)
    run = tmp_path / "run"
    answer = icdcode("train", place.config, f"project={tmp_path}")
    assert answer.code == 3
    assert "Traceback" not in answer.err
    assert (
        "the checkpoint of step 12 can't be written ([Errno 28] No space left on device)"
        in answer.err
    )
    assert f"Free space, then run `icdcode resume {run}`" in answer.err
    assert {path.name for path in (run / "weights" / "steps").iterdir()} == {"6", "6-2"}
    assert manifest(run, "last")["step"] == 6
    answer = icdcode("resume", run)
    assert answer.code == 0
    assert "rows of later steps" in answer.out
    assert same_end(run, trained, rows)


@pytest.mark.parametrize(
    "what",
    [
        "results.csv",
        pytest.param("steps.csv", marks=pytest.mark.slow),
        pytest.param("vis_outputs/learning_curves.png", marks=pytest.mark.slow),
    ],
)
def test_full_disk_under_tables_and_pictures_is_one_message(
    icdcode, place, trained, tmp_path, rows, monkeypatch, what
):
    run, opened = tmp_path / "run", Path.open

    def full(path, mode="r", **options):
        if path == run / what and mode in ("ab", "wb"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(path, mode, **options)

    with monkeypatch.context() as patch:
        patch.setattr(
            plots, "learning_curves_png", lambda rows, columns, path, *_: path.open("wb").close()
        )
        patch.setattr(Path, "open", full)
        answer = icdcode("train", place.config, f"project={tmp_path}", "checkpoint_every=1")
    assert (
        answer.code == 3 and "Traceback" not in answer.err and answer.err.count("error: ") == 1
    ), answer
    assert (
        f"{run / what}: can't be written (No space left on device). "
        "Everything written before is complete. Free space" in answer.err
    )
    assert verify(run / "weights" / "last")["step"] == {"results.csv": 6, "steps.csv": 1}.get(
        what, 6
    )
    assert icdcode("resume", run).code == 0
    assert same_end(run, trained, rows)


@pytest.mark.slow  # peft alone takes ten seconds to import
def test_adapters_are_resumed_exactly_too(
    icdcode, place, interrupted, tmp_path, model_folders, rows, files
):
    options = (
        f"model={model_folders['llama']}",
        "lora_activate=True",
        "lora_r=4",
        "gradient_checkpointing=True",
    )
    assert icdcode("train", place.config, f"project={tmp_path}", *options).code == 0
    reference = tmp_path / "run"
    expected = {
        "adapter/README.md",
        "adapter/config.json",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "head.safetensors",
        "labels.parquet",
    }
    assert files(reference / "weights" / "last") == {
        *expected,
        "coder.json",
        "state.pt",
        "manifest.json",
        "reference.json",
    }
    answer, run = interrupted(4, *options)
    assert answer.code == 130
    assert icdcode("resume", run).code == 0
    assert same_end(run, reference, rows)
    adapters = [
        manifest(folder, "last")["files"]["adapter/adapter_model.safetensors"]
        for folder in (run, reference)
    ]
    assert adapters[0] == adapters[1]
    assert icdcode("evaluate", run).code == 0
