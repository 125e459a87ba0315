"""What the system refuses: full or closed streams, folders without permission or deleted."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from icdcli import cli

ROOT = Path(__file__).parents[2]
# By icdcode's output, and by the command line's own.
QUICK = [pytest.param("config show", marks=pytest.mark.slow), "--help"]


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line; in it, ``icdcode`` is this project's command."""
    line = command.replace("icdcode", f"{sys.executable} -m icdcli")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has /dev/full")
@pytest.mark.parametrize("command", QUICK)
def test_a_full_standard_output_is_one_message(command: str, tmp_path: Path) -> None:
    done = shell(f"icdcode {command} > /dev/full", tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "error: standard output: can't be written (No space left on device). Free some space, then "
        "repeat the command."
    ]


@pytest.mark.parametrize("command", QUICK)
@pytest.mark.parametrize("closed", [pytest.param(">&-", marks=pytest.mark.slow), "<&- >&- 2>&-"])
def test_closed_streams_change_nothing(command: str, closed: str, tmp_path: Path) -> None:
    done = shell(f"icdcode {command} {closed}", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_closed_standard_input_is_empty(tmp_path: Path) -> None:
    done = shell("icdcode predict model - <&-", tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", QUICK)
def test_a_reader_that_stops_reading_gets_no_traceback(command: str, tmp_path: Path) -> None:
    done = shell(f"icdcode {command} | true", tmp_path)
    assert done.stderr == ""


def test_a_deleted_current_folder_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "t.csv").write_text("text,codes\n")
    done = shell("cd gone; rmdir ../gone; icdcode prepare-data ../t.csv", tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == (
        "error: The current folder no longer exists. Change to another one."
    )
    assert "Traceback" not in done.stderr


def test_a_folder_without_permission_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "closed/t.csv")

    monkeypatch.setattr(os, "dup2", lambda *_: None)
    monkeypatch.setattr(cli, "app", refuse)  # the tests may run as root, whom nothing is denied
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 3
    assert capsys.readouterr().err.rstrip() == (
        "error: closed/t.csv: Permission denied. Correct the permissions, or choose another place."
    )


def test_another_error_of_the_system_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(OSError, match="Bad file descriptor"):
        cli.main()
