import os

import pytest

from icdcli.errors import DataError
from icdcli.io.files import flush, write_atomically


def test_a_failed_write_leaves_the_file_before(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "before")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("icdcli.io.files.os.fsync", full)
    with pytest.raises(
        DataError, match=r"file: can.t be written .No space left on device.*make room"
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
