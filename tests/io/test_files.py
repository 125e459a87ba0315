import json
import math
import os

import pytest

from icdcli.errors import DataError
from icdcli.io.files import (
    flush,
    json_numbers,
    private_folder,
    replacing,
    write_atomically,
    write_json,
)


def test_a_failed_write_leaves_the_file_before(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "before")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("icdcli.io.files.os.fsync", full)
    with pytest.raises(
        DataError, match=r"file: can.t be written .No space left on device.*Free space"
    ):
        write_atomically(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_files_and_folders_reach_the_disk(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(
        "icdcli.io.files.os.fsync", lambda handle: flushed.append(os.fstat(handle).st_ino)
    )
    (tmp_path / "file").write_text("content")
    for path in (tmp_path / "file", tmp_path):
        flush(path)
    assert flushed == [(tmp_path / "file").stat().st_ino, tmp_path.stat().st_ino]


def test_undefined_numbers_are_null(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"map": math.nan, "losses": (1.0, math.inf), "run": tmp_path})
    stored = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert stored == {"map": None, "losses": [1.0, None], "run": str(tmp_path)}
    numbers = json_numbers({"map": stored["map"], "f1_micro": 0.5})
    assert math.isnan(numbers["map"]) and numbers["f1_micro"] == 0.5


def test_private_files_are_0600_and_public_ones_follow_the_umask(tmp_path):
    umask = os.umask(0o027)
    try:
        write_json(tmp_path / "private", {})
        write_atomically(tmp_path / "public", "text")
        private_folder(tmp_path / "folder")
    finally:
        os.umask(umask)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"private": 0o600, "public": 0o640, "folder": 0o700}


def test_a_durable_file_is_flushed_before_it_gets_its_name(tmp_path, monkeypatch):
    order = []
    replace = os.replace
    monkeypatch.setattr("icdcli.io.files.os.fsync", lambda _: order.append("flush"))
    monkeypatch.setattr(
        "icdcli.io.files.os.replace", lambda *paths: [order.append("rename"), replace(*paths)]
    )
    with replacing(tmp_path / "file", durable=True) as temporary:
        temporary.write_text("content")
    assert order == ["flush", "rename"]


def test_a_temporary_file_may_be_in_another_folder(tmp_path):
    (aside := tmp_path / "aside").mkdir()
    with replacing(tmp_path / "file", folder=aside) as temporary:
        temporary.write_text("content")
        assert temporary.parent == aside
    assert (tmp_path / "file").read_text() == "content"
    assert not list(aside.iterdir())
