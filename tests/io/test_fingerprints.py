"""Recognizing files: small ones by content, large ones by all that the disk knows of them."""

import json
import os
import time
from pathlib import Path

import pytest
from xxhash import xxh3_128

from icdcli.errors import DataError
from icdcli.io import fingerprints
from icdcli.io.fingerprints import file_hash, file_states, recall_hashes, remember_hashes


def digest(text: str) -> str:
    return xxh3_128(text.encode()).hexdigest()


def replace_in_place(path: Path, text: str) -> None:
    """Change a file's content and keep its size, time and inode."""
    before = path.stat()
    time.sleep(0.02)  # the clock of a file system has steps
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (
        before.st_size,
        before.st_mtime_ns,
        before.st_ino,
    )


@pytest.fixture(params=["small", "large"])
def path(request, tmp_path, monkeypatch):
    if request.param == "large":
        monkeypatch.setattr(fingerprints, "HASHED_AT_ONCE", 3)
    path = tmp_path / "raw.csv"
    path.write_text("a\n1\n")
    remember_hashes(tmp_path, file_states([path]), {path: file_hash(path)})
    return path


def test_a_file_of_the_same_size_and_time_is_another_one(path):
    assert recall_hashes(path.parent, file_states([path])) == {path: digest("a\n1\n")}
    before = file_states([path])
    replace_in_place(path, "a\n2\n")
    now = file_states([path])
    assert now[path].key != before[path].key
    assert recall_hashes(path.parent, now) == {path: digest("a\n2\n")}


def test_a_new_file_over_an_old_one_is_another_one(path):
    before = file_states([path])[path].key
    other = path.with_name("other.csv")
    other.write_text("a\n2\n")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    states = file_states([path])
    assert states[path].key != before
    assert recall_hashes(path.parent, states) == {path: digest("a\n2\n")}


def test_a_file_of_another_size_is_read_by_the_caller_if_it_is_large(path):
    path.write_text("a\n22\n")
    states = file_states([path])
    expected = {path: digest("a\n22\n")} if states[path].hash else {}
    assert recall_hashes(path.parent, states) == expected


def test_a_large_file_is_not_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "HASHED_AT_ONCE", 0)
    path = tmp_path / "raw.csv"
    path.write_text("a\n1\n")
    assert recall_hashes(tmp_path, file_states([path])) == {}
    remember_hashes(tmp_path, file_states([path]), {path: "x"})
    assert recall_hashes(tmp_path, file_states([path])) == {path: "x"}
    assert recall_hashes(tmp_path, file_states([path]), fresh=True) == {path: digest("a\n1\n")}
    stages = []
    path.chmod(0o600)
    now = file_states([path])
    found = recall_hashes(tmp_path, now, on_progress=lambda *words: stages.append(words))
    assert found == {path: digest("a\n1\n")}
    assert stages == [("comparing raw.csv", 4, 4, "bytes")]
    remember_hashes(tmp_path, now, found)
    assert list(json.loads((tmp_path / "sources.json").read_text()).values()) == [found[path]]


def test_a_memory_of_version_0_1_0_leads_to_one_more_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "HASHED_AT_ONCE", 0)
    path = tmp_path / "raw.csv"
    path.write_text("a\n1\n")
    key = f"{path.resolve()}|4|{path.stat().st_mtime_ns}"
    (tmp_path / "sources.json").write_text(json.dumps({key: "of another content"}))
    assert recall_hashes(tmp_path, file_states([path])) == {path: digest("a\n1\n")}


def test_files_are_hashed_up_to_a_size_altogether(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "HASHED_AT_ONCE", 10)
    files = [tmp_path / name for name in "abcd"]
    for file, size in zip(files, (4, 7, 6, 1), strict=True):
        file.write_text("x" * size)
    assert [state.hash is not None for state in file_states(files).values()] == [
        True,
        False,
        True,
        False,
    ]


def test_a_pipe_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert file_states([tmp_path / "pipe"])[tmp_path / "pipe"].hash is None


def test_a_memory_that_cannot_be_read_knows_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "HASHED_AT_ONCE", 0)
    path = tmp_path / "raw.csv"
    path.write_text("a\n1\n")
    (tmp_path / "sources.json").write_text("{ half")
    assert recall_hashes(tmp_path, file_states([path])) == {}
    remember_hashes(tmp_path, file_states([path]), {path: "x"})
    assert recall_hashes(tmp_path, file_states([path])) == {path: "x"}
    path.unlink()
    with pytest.raises(DataError, match=r"raw.csv: can't be read"):
        file_states([path])
