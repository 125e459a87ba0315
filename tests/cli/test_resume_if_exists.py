"""`icdcode train --resume-if-exists`: the same command, however often a scheduler runs it."""

import contextlib
import errno
import io
import json
import math
import re
import shutil
import signal
from pathlib import Path

import pytest

from icdcli.cli.processes import in_all_processes
from icdcli.cli.runs import seconds_of
from icdcli.distributed import signals
from icdcli.errors import ConfigError, DataError, ResumeError
from icdcli.report.console import Output
from icdcli.report.event_lines import EventLines
from icdcli.run_dir import RunDir, train_alone
from icdcli.training.events import (
    Evaluated,
    Evaluating,
    Prepared,
    Saved,
    Started,
    StepDone,
    Stopped,
    TrainingSummary,
)
from icdcli.training.setting_up.earlier_run import clear_unstarted


@pytest.fixture
def train(icdcode, place, tmp_path):
    """Return a function that runs the command for a run in an empty project."""

    def run(*words):
        return icdcode("train", place.config, f"project={tmp_path}", "--resume-if-exists", *words)

    return run


def steps_of(rows, run):
    return [int(row["step"]) for row in rows(run / "steps.csv")]


@pytest.mark.parametrize(
    "name",
    ["SIGUSR1", *(pytest.param(name, marks=pytest.mark.slow) for name in ("SIGTERM", "SIGALRM"))],
)
def test_a_signal_saves_and_the_same_command_finishes_the_run(
    train, rows, tmp_path, signal_at, name
):
    signal_at(5, getattr(signal, name))
    answer = train("--json")
    assert answer.code == 75, answer
    assert (answer.json["step"], answer.json["finished"]) == (5, False)
    answer = train("--json", "--stop-after", "2d")
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert answer.code == 0, answer
    assert (answer.json["step"], answer.json["finished"]) == (12, True)
    assert steps_of(rows, tmp_path / "run") == [2, 4, 6, 8, 10, 12]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_finished_run_is_not_trained_again(train, run_copy, tmp_path):
    answer = train("--json")
    before = (tmp_path / "run" / "results.csv").read_bytes()
    assert answer.code == 0, answer
    assert "already finished" in answer.err
    assert (tmp_path / "run" / "results.csv").read_bytes() == before


def test_a_run_that_died_before_its_first_checkpoint_starts_over_in_its_folder(
    train, rows, run_copy, tmp_path
):
    shutil.rmtree(run_copy / "weights")
    with (run_copy / "steps.csv").open("a") as file:
        file.write("99,1,1,1,1\n")
    answer = train()
    assert answer.code == 0, answer
    assert steps_of(rows, run_copy) == [2, 4, 6, 8, 10, 12]
    assert [row["epoch"] for row in rows(run_copy / "results.csv")] == ["1", "2"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def without_names(run):
    """Remove the links to checkpoints, and damage the file that has their names, too."""
    for path in (run / "weights").iterdir():
        if path.is_symlink():
            path.unlink()
    names = run / "weights" / "names.json"
    names.write_text(names.read_text()[:20])


def without_steps(run):
    """Move the checkpoints away, so that the links lead nowhere."""
    (run / "weights" / "steps").rename(run / "elsewhere")
    (run / "weights" / "names.json").unlink()


@pytest.mark.parametrize(
    ("damage", "remedy"),
    [(without_names, "Use one of them in place of the run"), (without_steps, "copy the run with")],
)
def test_checkpoints_whose_names_are_lost_are_not_removed(
    refused, run_copy, place, tmp_path, damage, remedy
):
    damage(run_copy)
    before = sorted(run_copy.rglob("*"))
    words = ("train", place.config, f"project={tmp_path}", "--resume-if-exists")
    refused(4, *words, says=remedy)
    assert sorted(run_copy.rglob("*")) == before
    with pytest.raises(ResumeError, match="has no checkpoint 'last'"):
        clear_unstarted(RunDir(run_copy))
    assert sorted(run_copy.rglob("*")) == before


def test_another_configuration_is_refused_with_the_keys(refused, run_copy, place, tmp_path):
    words = ("train", place.config, f"project={tmp_path}", "--resume-if-exists")
    message = refused(4, *words, "lr0=5e-4", "steps=24", says="exists with other values")
    assert "lr0=0.0005 (was 0.001)" in message
    assert "steps=24 (was 12)" in message
    assert message.count("(was") == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_of_something_else_is_left_alone(refused, place, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    words = ("train", place.config, f"project={tmp_path}", "--resume-if-exists")
    refused(2, *words, says="exists and isn't a run folder")
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_a_run_that_another_process_trains_is_refused(refused, run_copy, place, tmp_path):
    words = ("train", place.config, f"project={tmp_path}", "--resume-if-exists")
    with train_alone(RunDir(run_copy), print):
        refused(4, *words, says="is being trained by process")


def test_times_are_read_and_set_the_timer():
    assert [seconds_of(words) for words in ("3h50m", "90min", "1d", "1h 5s")] == [
        *(13_800, 5_400, 86_400, 3_605),
    ]
    for words in ("", "3", "h", "-1h", "1.5h", "0m"):
        with pytest.raises(ConfigError, match="--stop-after"):
            seconds_of(words)
    signals.stop_after(1000)
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    assert 0 < left <= 1000


def test_a_time_limit_needs_a_command_that_resumes(refused, place):
    says = "--stop-after 2d: needs --resume-if-exists"
    refused(2, "train", place.config, "--stop-after", "2d", says=says)


def test_events_are_lines_of_json_and_an_empty_folder_of_a_killed_job_is_used(train, tmp_path):
    (tmp_path / "run").mkdir()
    answer = train("--events", "json")
    assert answer.code == 0, answer
    lines = [json.loads(line) for line in answer.out.splitlines()]
    names = [line["event"] for line in lines]
    shown = [name for name in names if name not in ("progress", "validating", "warning")]
    assert shown[:3] == ["prepared", "started", "step"]
    assert shown[-2:] == ["finished", "result"]
    assert names.count("step") == 6 and names.count("validated") == 2
    assert {line["checkpoint"] for line in lines if line["event"] == "saved"} >= {"last", "metric"}
    assert {line["run"] for line in lines if line["event"] in shown} == {str(tmp_path / "run")}
    assert all(line["time"].endswith("+00:00") for line in lines)
    assert "Results:" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_events_have_the_values_of_the_documentation(documented):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        lines = EventLines(Output(events=True))
        lines.on_progress("reading", 1, 2)
        for event in made_up_events():
            lines.handle(event)
    found = {line["event"]: set(line) for line in map(json.loads, output.getvalue().splitlines())}
    common = {"event", "time", "run"}
    assert {name: values - common for name, values in found.items()} == {
        name: values
        for name, values in documented.items()
        if name not in ("warning", "failed", "result")
    }


@pytest.fixture
def documented():
    """Return the values of each event that docs/training.md lists."""
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    table = page.partition("| `event` | values | when |\n")[2].partition("\n\n")[0]
    rows = [row.split("|") for row in table.splitlines()[1:]]
    return {
        name.strip(" `"): set(re.findall("`([a-z_]+)`", values)) for _, name, values, *_ in rows
    }


def made_up_events():
    size = TrainingSummary("corpus", 3, 2, 5, 4, "cpu")
    yield Prepared(size, Path("run"), None, {})
    yield Started(0, 9, 3)
    yield StepDone(1, 1, 1e-3, train_loss=0.5, tokens_per_second=7.0)
    yield Evaluating(1, 2)
    yield Evaluated(1, 3, 1.0, 0.5, math.nan, 1e-3, {"f1_micro": 0.5}, 0.5, True, True, 2)
    yield Saved("last", 3)
    yield Stopped("interrupted by SIGTERM", 3, finished=False)
    yield Stopped("all steps are done", 3, finished=True)


def test_a_failure_is_an_event_too(icdcode, run_copy, tmp_path):
    shutil.rmtree(run_copy / "weights")
    answer = icdcode("resume", run_copy, "--events", "json")
    assert answer.code == 4
    last = json.loads(answer.out.splitlines()[-1])
    assert (last["event"], last["exit_code"]) == ("failed", 4)
    assert "has no checkpoint" in last["message"]


def test_the_event_of_a_failure_has_the_exit_code_of_the_command(capsys):
    """A full disk is an error of the system, which the command reports with exit code 3."""

    def fill(_):
        raise OSError(errno.ENOSPC, "No space left on device", "runs/steps.csv")

    with pytest.raises(DataError, match="can't be written") as raised:
        in_all_processes("cpu", 10001, fill, json=False, events=True)
    failed = json.loads(capsys.readouterr().out)
    assert (
        (failed["event"], failed["exit_code"])
        == ("failed", raised.value.exit_code)
        == ("failed", 3)
    )
    assert failed["message"] == str(raised.value)


def test_standard_output_is_for_one_of_them(refused, place):
    refused(2, "train", place.config, "--events", "json", "--json", says="Give one of them")
