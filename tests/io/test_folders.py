import subprocess
import sys

import pytest

from icdcli.errors import ConfigError, DataError
from icdcli.io.folders import new_folder
from icdcli.io.locks import exclusive

KILLED = """
import os, sys
from pathlib import Path
from icdcli.io.folders import new_folder
with new_folder(Path(sys.argv[1])) as partial:
    (partial / "half").touch()
    os.kill(os.getpid(), 9)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_folder_is_private_and_appears_complete(tmp_path):
    with new_folder(tmp_path / "new") as partial:
        (partial / "inside").mkdir()
        (partial / "inside" / "file").touch(mode=0o644)
        assert not (tmp_path / "new").exists()
    assert names(tmp_path) == ["new"]
    modes = [(tmp_path / "new" / name).stat().st_mode & 0o777 for name in ("", "inside/file")]
    assert modes == [0o700, 0o600]


def test_what_exists_stays_as_it_is(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    for name, says in (
        ("old", "exists already"),
        ("link", "exists"),
        ("a/b", "there is no folder"),
    ):
        with pytest.raises(ConfigError, match=says), new_folder(tmp_path / name):
            raise AssertionError("it isn't made")
    assert names(tmp_path) == ["link", "old"]


def test_after_an_error_or_an_interruption_nothing_is_left(tmp_path):
    for raised, expected in ((KeyboardInterrupt, KeyboardInterrupt), (OSError(28, "x"), DataError)):
        with pytest.raises(expected), new_folder(tmp_path / "new") as partial:
            (partial / "half").touch()
            raise raised
        assert names(tmp_path) == []


def test_the_next_call_removes_the_remains_of_a_killed_process(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "new"], check=False)
    assert len(names(tmp_path)) == 2 and not (tmp_path / "new").exists()
    with new_folder(tmp_path / "new") as partial:
        (partial / "whole").touch()
    assert names(tmp_path) == ["new"] and names(tmp_path / "new") == ["whole"]


def test_two_processes_do_not_write_one_folder(tmp_path):
    with (
        exclusive(tmp_path / ".new.icdcode-lock"),
        pytest.raises(ConfigError, match=r"new: process \d+ .* is writing it"),
        new_folder(tmp_path / "new"),
    ):
        raise AssertionError("it isn't made")
