"""Real signals to a process: it saves, exits with the usual code, and can be resumed."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from icdcli.cli.runs import leave_at_once
from icdcli.distributed.signals import StopSignals


@pytest.fixture
def training(place, tmp_path):
    """Start a training in a new process, wait for its first steps; yield it and its run folder."""
    command = [
        sys.executable,
        "-m",
        "icdcli",
        "train",
        place.config,
        f"project={tmp_path}",
        "steps=100000",
        "log_every=1",
    ]
    process = subprocess.Popen(
        [*map(str, command), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "run" / "steps.csv").exists():
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.05)
        yield process, tmp_path / "run"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_the_run_resumes(icdcode, training, rows, number, code):
    process, run = training
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    step = json.loads((run / "weights" / "last" / "manifest.json").read_text())["step"]
    result = json.loads(out)
    assert (result["step"], result["finished"], result["stopped"]) == (
        step,
        False,
        f"interrupted by {number.name}",
    )
    assert "Traceback" not in err
    assert f"Next: icdcode resume {run}" in err
    answer = icdcode("resume", run, f"steps={step + 2}")
    assert answer.code == 0
    assert f"all {step + 2} steps are done" in answer.out
    assert rows(run / "steps.csv")[-1]["step"] == str(step + 2)


def test_a_second_signal_leaves_at_once(monkeypatch):
    left = []
    monkeypatch.setattr(os, "_exit", left.append)
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals(leave_at_once) as signals:
        assert signals.number == 0
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.number == signal.SIGINT
        assert left == []
        os.kill(os.getpid(), signal.SIGTERM)
    assert left == [143]
    assert signals.number == signal.SIGINT
    assert signal.getsignal(signal.SIGTERM) is before
