"""Several processes that train together: if one dies or is stopped, all of them end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from icdcli.cli.processes import in_all_processes
from icdcli.distributed.launcher import free_port

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
GONE = "has died, so the others end as well"
DEFECT = "a defect of ours"
ERROR = "error: notes.csv: can't be read. Restore the file."


@pytest.fixture
def config(place, tmp_path):
    """Return a configuration whose validations take several batches per process."""
    path = tmp_path / "config.yaml"
    lines = place.config.read_text().splitlines()
    lines = [
        line
        for line in lines
        if line.split(":")[0] not in ("steps", "log_every", "micro_batch_tokens")
    ]
    path.write_text(
        "\n".join([*lines, "steps: 12", "log_every: 50", "micro_batch_tokens: 64"]) + "\n"
    )
    return path


@pytest.fixture
def play(config, tmp_path):
    """Return a function that runs cases, see processes.py, and returns their outcomes."""

    def run(*cases):
        command = [
            sys.executable,
            HERE / "processes.py",
            config,
            tmp_path / "runs",
            json.dumps(cases),
        ]
        done = subprocess.run([*map(str, command)], env=ENVIRONMENT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def ends_well(case, found):
    """Assert that all ended, the failed one with its exit code, and one message gave the reason."""
    processes, rank, _, way = case
    codes, stderr = found["codes"], "".join(found["stderr"])
    own = {"killed": -9, "exit": 7, "defect": 1, "error": 3}[way]
    assert codes[rank] == own and None not in codes, found
    assert all(code not in (None, 0) for code in codes), found
    silent = way in ("killed", "exit")
    assert stderr.count(GONE) == silent and stderr.count(ERROR) == (way == "error"), found
    assert (
        stderr.count("Traceback") == (way == "defect") == stderr.count(f"RuntimeError: {DEFECT}")
    ), found
    assert not silent or f"process {rank} of {processes} " in stderr, found
    return True


@pytest.mark.slow
def test_a_process_ends_the_others_if_it_dies_or_is_stopped(play):
    died, asked = (2, 1, "step", "killed"), (2, 1, "validation", "SIGTERM")
    killed, stopped = play(died, asked)
    assert ends_well(died, killed)
    assert stopped["codes"] == [143, 143] and stopped["batches"] <= 4, stopped


@pytest.mark.slow
@pytest.mark.parametrize("way", ["killed", "exit", "defect", "error"])
def test_a_process_that_dies_anywhere_ends_the_others(play, way):
    cases = [(2, 1, "setup", way), (3, 2, "step", way), (2, 0, "validation", way)]
    if way in ("killed", "error"):
        cases += [(2, 0, "step", way), (2, 1, "validation", way), (2, 0, "checkpoint", way)]
    for case, found in zip(cases, play(*cases), strict=True):
        assert ends_well(case, found)


@pytest.mark.slow
def test_a_signal_to_any_process_stops_all_within_a_validation_and_between_steps(play, tmp_path):
    cases = [(2, 1, "validation", "SIGTERM"), (2, 1, "step", "SIGINT")]
    validation, step = play(*cases)
    assert (validation["codes"], step["codes"]) == ([143, 143], [130, 130]), (validation, step)
    # Each process may be in its next batch already; a complete validation has many.
    assert validation["batches"] <= 4
    assert step["batches"] == 0
    for name, state in (("case-0", 6), ("case-1", 1)):
        last = tmp_path / "runs" / name / "weights" / "last"
        assert json.loads((last / "manifest.json").read_text())["step"] == state
    assert "interrupted by SIGTERM (step 6)" in validation["stderr"][0]


@pytest.mark.slow
def test_one_process_writes_the_events_and_all_ask_to_be_started_again(play):
    more = ("--resume-if-exists", "--events=json")
    ways = ("SIGTERM", "killed", "error")
    stopped, killed, failed = play(*((2, 1, "step", way, *more) for way in ways))
    assert stopped["codes"] == [75, 75], stopped
    assert [one["event"] for one in events_of(stopped)][-3:] == ["interrupted", "saved", "result"]
    assert killed["codes"] == [1, -9] and failed["codes"] == [1, 3], (killed, failed)
    for found, says in ((killed, GONE), (failed, "process 1 of 2 (counted from 0) failed")):
        ends = [one for one in events_of(found) if one["event"] in ("failed", "result")]
        assert [one["event"] for one in ends] == ["failed"], found
        assert says in ends[0]["message"] and ends[0]["exit_code"] == 1, found


def events_of(found):
    """Return the events that the main process has written, after those of the others: none."""
    of_main, *of_others = [
        [json.loads(line) for line in text.splitlines() if line.startswith('{"event"')]
        for text in found["stderr"]
    ]
    assert not any(of_others)
    return of_main


@pytest.fixture
def launched(config, tmp_path):
    """Start two processes as torchrun or ``device: [0,1]`` does, one of which ends at a moment."""
    started = []

    def launch(how, rank, place, way):
        first = tmp_path / "first.py"
        first.write_text(
            f"import os, sys\nsys.path.insert(0, {str(HERE)!r})\n"
            "import processes\nfrom multiprocessing import Value\n"
            f"if os.environ['RANK'] == {str(rank)!r}:\n"
            f"    processes.at_the_moment({place!r}, {way!r}, Value('i', 0))\n"
            "processes.main()\n"
        )
        words = ["train", str(config), f"project={tmp_path / 'runs'}", "steps=100000", "patience=0"]
        port = str(free_port(29_500))
        if how == "torchrun":
            start = [
                "-m",
                "torch.distributed.run",
                "--nproc-per-node=2",
                f"--master-port={port}",
                str(first),
            ]
        else:
            ours = (
                "import sys; from icdcli.distributed import launcher; "
                "launcher.PROGRAM = [sys.argv[2]]; "
            )
            start = [
                "-c",
                ours + "sys.exit(launcher.launch(sys.argv[3:], 2, int(sys.argv[1])))",
                port,
                str(first),
            ]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(
            subprocess.Popen(
                [sys.executable, *start, *words], cwd=tmp_path, env=ENVIRONMENT, **pipes
            )
        )
        return started[-1]

    yield launch
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(("how", "code"), [("torchrun", 1), ("ours", 3)])
def test_a_launched_process_that_dies_ends_the_job(launched, how, code):
    job = launched(how, 1, "step", "error")
    stderr, _ = job.communicate(timeout=240)
    assert job.returncode == code and stderr.count(ERROR) == 1 and GONE not in stderr, stderr
    assert how == "torchrun" or "Traceback" not in stderr, stderr


@pytest.mark.slow
def test_a_launched_process_that_is_killed_ends_the_job(launched):
    job = launched("ours", 0, "validation", "killed")
    stderr, _ = job.communicate(timeout=240)
    assert (
        job.returncode == 128 + signal.SIGKILL
        and stderr.count(GONE) == 1
        and "Traceback" not in stderr
    ), stderr


@pytest.mark.slow
def test_a_signal_to_the_launcher_saves_and_is_its_exit_code(launched, tmp_path):
    job = launched("ours", 2, "step", "error")
    wait_for(tmp_path / "runs" / "run" / "weights" / "last", job)
    job.send_signal(signal.SIGTERM)
    stderr, _ = job.communicate(timeout=240)
    assert job.returncode == 143 and "Traceback" not in stderr, stderr
    step = json.loads(
        (tmp_path / "runs" / "run" / "weights" / "last" / "manifest.json").read_text()
    )["step"]
    assert f"interrupted by SIGTERM (step {step})" in stderr


@pytest.mark.slow
def test_without_their_launcher_the_processes_end(launched, tmp_path):
    job = launched("ours", 2, "step", "error")
    wait_for(tmp_path / "runs" / "run" / "weights" / "last", job)
    job.kill()
    job.communicate(timeout=60)  # returns when all processes that could write to its pipe are gone


def wait_for(path, job):
    deadline = time.monotonic() + 240
    while not path.exists():
        assert job.poll() is None and time.monotonic() < deadline, job.communicate()
        time.sleep(0.1)


@pytest.mark.parametrize(("rank", "printed"), [("0", "warning: odd data\n"), ("1", "")])
def test_one_process_shows_the_warnings_that_all_have(monkeypatch, capsys, rank, printed):
    monkeypatch.setenv("RANK", rank)
    before = sys.stdout
    monkeypatch.setattr(sys, "stdout", before)  # restored afterwards
    in_all_processes("cpu", 10001, lambda output: output.warn("odd data"), json=False)
    if sys.stdout is not before:
        sys.stdout.close()
    assert capsys.readouterr().err == printed
