"""Files of another file system: fsspec's own in memory, and made-up failures of packages."""

import errno
import io
import stat
import sys

import pytest

from icdcli.errors import ConfigError
from icdcli.io.files import flush, replacing, write_json
from icdcli.io.fingerprints import file_states
from icdcli.io.locks import exclusive
from icdcli.io.remote.paths import any_path, is_remote, is_url, remove_files
from icdcli.io.remote.systems import storage_errors
from icdcli.offline import OfflineError


def test_a_path_of_this_machine_is_a_path(tmp_path):
    assert any_path(str(tmp_path)) == any_path(tmp_path) == any_path(f"file://{tmp_path}")
    assert not is_remote(any_path("notes.csv")) and not is_url("notes.csv")


def test_a_url_has_the_parts_of_a_path(memory):
    path = any_path("memory://bucket/notes/a.jsonl.gz")
    assert str(path) == path.as_posix() == "memory://bucket/notes/a.jsonl.gz"
    assert (path.name, path.suffix, path.suffixes) == ("a.jsonl.gz", ".gz", [".jsonl", ".gz"])
    assert str(path.parent) == "memory://bucket/notes"
    assert str(path.with_name("b.csv")) == "memory://bucket/notes/b.csv"
    assert path.relative_to(any_path("memory://bucket")).parts == ("notes", "a.jsonl.gz")
    assert path == any_path("memory://bucket/notes/") / "a.jsonl.gz"
    assert str(any_path("memory:///user/a")) == "memory:///user/a"  # hdfs:/// names no host


def test_files_and_folders_are_found(memory):
    memory.pipe({"/bucket/notes/a.txt": b"one", "/bucket/notes/deep/b.txt": b"two"})
    folder = any_path("memory://bucket/notes")
    assert [path.name for path in folder.iterdir()] == ["a.txt", "deep"]
    assert [path.is_dir() for path in folder.iterdir()] == [False, True]
    assert stat.S_ISREG((folder / "a.txt").stat().st_mode)
    assert (folder / "a.txt").stat().st_size == 3
    assert [path.name for path in folder.rglob("*.txt")] == ["a.txt", "b.txt"]
    assert [path.name for path in folder.glob("*.txt")] == ["a.txt"]
    assert not (folder / "c.txt").exists() and not (folder / "c.txt").is_dir()
    with pytest.raises(FileNotFoundError, match="no such file"):
        (folder / "c.txt").open()


def test_the_marker_of_a_folder_is_not_in_it(memory, monkeypatch):
    """An object store lists an empty object of the folder's name, which its console made."""
    names = ["/bucket/notes/", "/bucket/notes/a.txt", "/bucket/notes/deep/"]
    monkeypatch.setattr(type(memory), "ls", lambda *_, **__: names)
    for name in ("memory://bucket/notes", "memory://bucket/notes/"):
        assert [path.name for path in any_path(name).iterdir()] == ["a.txt", "deep"]
    names.append("/bucket/notes/notes")  # a file in it with its name
    folder = any_path("memory://bucket/notes")
    assert [path.name for path in folder.iterdir()] == ["a.txt", "deep", "notes"]


def test_a_file_is_read_from_any_place(memory):
    memory.pipe("/bucket/a.bin", bytes(range(256)) * 64)
    with any_path("memory://bucket/a.bin").open("rb") as file:
        assert file.read(3) == b"\0\1\2"
        assert file.seek(-2, io.SEEK_END) == 256 * 64 - 2 and file.read() == b"\xfe\xff"
    with pytest.raises(io.UnsupportedOperation):
        any_path("memory://bucket/a.bin").open("wb")


def test_a_file_is_published_as_a_whole(memory):
    path = any_path("memory://bucket/codes.json")
    write_json(path, [1])
    flush(path)
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        raise ZeroDivisionError
    assert path.read_text("utf-8") == "[\n  1\n]\n" and not temporary.parent.exists()
    write_json(path, [2])
    assert path.read_text("utf-8") == "[\n  2\n]\n"
    assert [one.name for one in path.parent.iterdir()] == ["codes.json"]


def test_a_failed_upload_leaves_the_file_that_was_there(memory, monkeypatch):
    path = any_path("memory://bucket/codes.json")
    write_json(path, [1])

    def half(self, source, target, **options):
        self.pipe_file(target, b"ha")
        raise ConnectionResetError

    monkeypatch.setattr(type(memory), "put_file", half)
    with pytest.raises(OSError, match="can't be reached"):
        write_json(path, [2])
    assert path.read_text("utf-8") == "[\n  1\n]\n"
    assert [one.name for one in path.parent.iterdir()] == ["codes.json"]


def test_files_and_empty_folders_are_removed(memory):
    memory.pipe({"/bucket/a": b"", "/bucket/b": b"", "/bucket/c": b""})
    folder = any_path("memory://bucket")
    remove_files([folder / "a", folder / "b"])
    with pytest.raises(OSError, match="not empty"):
        folder.rmdir()
    (folder / "c").unlink()
    (folder / "c").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (folder / "c").unlink()
    folder.rmdir()
    assert not folder.exists()


def test_nothing_is_locked_but_the_file_shows_that_the_folder_is_writable(memory):
    path = any_path("memory://bucket/codes.parts/.lock")
    with exclusive(path) as locked, exclusive(path):
        assert not locked and "host" not in path.read_text("utf-8").splitlines()[0]
    assert not path.exists()


def test_the_state_of_a_file_changes_with_it_although_it_is_not_read(memory, monkeypatch):
    path = any_path("memory://bucket/a.csv")
    memory.pipe("/bucket/a.csv", b"one")
    before = file_states([path])[path].key
    assert file_states([path])[path].key == before
    memory.pipe("/bucket/a.csv", b"two")
    monkeypatch.setattr(type(path), "open", None)
    assert file_states([path])[path].key != before


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("gs://bucket/a.csv", "pip install 'gcsfs'"),
        ("nosuch://bucket/a.csv", "nosuch:// isn't a file system that is known"),
        ("sftp://me:secret@host/a.csv", "has a password in it"),
        ("zip://a.csv::memory://b.zip", "combines several file systems"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url, says, monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)  # as if it weren't installed
    with pytest.raises(ConfigError) as refused:
        any_path(url)
    assert says in str(refused.value) and "secret" not in str(refused.value)


def _raised(name, module):
    return type(name, (Exception,), {"__module__": module})("key AKIA and secret")


@pytest.mark.parametrize(
    ("error", "number", "says"),
    [
        (_raised("NoCredentialsError", "botocore.exceptions"), errno.EACCES, "access denied"),
        (_raised("RefreshError", "google.auth.exceptions"), errno.EACCES, "access denied"),
        (_raised("EndpointConnectionError", "botocore.exceptions"), errno.EHOSTUNREACH, "network"),
        (_raised("Strange", "somefs"), errno.EIO, "reports Strange"),
        (PermissionError("Access Denied: AKIA"), errno.EACCES, "access denied"),
        (FileNotFoundError("The specified bucket does not exist"), errno.ENOENT, "no such bucket"),
        (FileNotFoundError("bucket/a.csv"), errno.ENOENT, "no such file"),
        (TimeoutError(), errno.EHOSTUNREACH, "can't be reached"),
    ],
)
def test_an_error_of_a_package_has_a_number_and_a_reason_but_no_secret(error, number, says):
    with pytest.raises(OSError, match=says) as raised, storage_errors():
        raise error
    assert raised.value.errno == number and "AKIA" not in str(raised.value)


@pytest.mark.parametrize("package", [None, TimeoutError(), _raised("Strange", "somefs")])
def test_offline_work_is_the_reason_whatever_a_package_makes_of_it(package):
    refusal = OfflineError("store: icdcode works offline")
    assert refusal.strerror == str(refusal)
    if package is not None:
        package.__cause__ = refusal
    says = "store: icdcode works offline"
    with pytest.raises(ConfigError, match=says) as raised, storage_errors():
        raise package or refusal
    assert not isinstance(raised.value, OSError)  # or a caller would report a file


@pytest.mark.parametrize("error", [ValueError("ours"), ConfigError("ours"), OSError(28, "full")])
def test_other_errors_stay(error):
    with pytest.raises(type(error)) as raised, storage_errors():
        raise error
    assert raised.value is error
