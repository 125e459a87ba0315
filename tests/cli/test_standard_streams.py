"""Standard streams that are full, closed, or no longer read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = ["--version", "config show", "config schema", "--help"]


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line; in it, ``icdcode`` is this project's command."""
    line = command.replace("icdcode", f"{sys.executable} -m icdcli")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has /dev/full")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_standard_output_is_one_message(command: str, tmp_path: Path) -> None:
    done = shell(f"icdcode {command} > /dev/full", tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "error: standard output: can't be written (No space left on device). Free some space, then "
        "repeat the command."
    ]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing(command: str, closed: str, tmp_path: Path) -> None:
    done = shell(f"icdcode {command} {closed}", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_closed_standard_input_is_empty(tmp_path: Path) -> None:
    done = shell("icdcode predict model - <&-", tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_stops_reading_gets_no_traceback(command: str, tmp_path: Path) -> None:
    done = shell(f"icdcode {command} | true", tmp_path)
    assert done.stderr == ""
