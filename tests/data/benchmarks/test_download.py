import errno
import hashlib
import os
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from icdcli.data.benchmarks import download as split_fetch
from icdcli.data.benchmarks import split_lists
from icdcli.data.benchmarks.download import fetch_split_lists
from icdcli.data.benchmarks.split_lists import PublishedFile, PublishedLists, load_split_lists
from icdcli.errors import ConfigError, DataError

CONTENTS = {
    "train_50_hadm_ids.csv": b"11\n14\n",
    "dev_50_hadm_ids.csv": b"12\n",
    "test_50_hadm_ids.csv": b"13\n",
}
NAMES = list(CONTENTS)


@pytest.fixture(autouse=True)
def published(monkeypatch):
    """Replace the published lists by small ones at addresses that don't exist; set no proxy."""

    def lists(source, contents):
        files = [
            PublishedFile(
                name, f"https://lists.invalid/public/{name}", hashlib.sha256(content).hexdigest()
            )
            for name, content in contents.items()
        ]
        return PublishedLists(source, tuple(files))

    caml, edin = lists("CAML", CONTENTS), lists("Edin et al.", {"all.feather": b"never requested"})
    monkeypatch.setattr(
        split_lists,
        "PUBLISHED",
        {"mimic3-50": (caml, edin), "again": (caml,), "mimic4-icd9": (edin,)},
    )
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("HF_HUB_OFFLINE")  # with it, nothing is downloaded


@pytest.fixture
def mirror():
    """Serve path to (status, content, promised length) on the loopback; record requested paths."""
    served = {f"/public/{name}": (200, content, len(content)) for name, content in CONTENTS.items()}
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status, content, length = served.get(urlsplit(self.path).path, (404, b"Not Found", 9))
            if status is None:
                return  # closes the connection without an answer
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield SimpleNamespace(
            address=f"http://127.0.0.1:{server.server_port}", served=served, asked=asked
        )
        server.shutdown()
        thread.join()


def refused(folder, address, *says):
    """Check that fetching fails with these words and leaves the folder unchanged."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(DataError) as caught:
        fetch_split_lists(["mimic3-50"], folder / "lists", address)
    for part in (*says, "Nothing was written", "`icdcode splits list`"):
        assert part in str(caught.value)
    assert sorted(folder.rglob("*")) == before


def test_the_preferred_lists_are_fetched_whole_and_can_be_read(mirror, tmp_path):
    reported = []
    folder = tmp_path / "new" / "lists"
    files = fetch_split_lists(
        ["mimic3-50"], folder, mirror.address, lambda *news: reported.append(news)
    )
    assert files == [folder / name for name in NAMES]
    assert sorted(folder.iterdir()) == sorted(files)
    assert mirror.asked == [f"/public/{name}" for name in NAMES]
    assert reported == [("downloading split lists", number, 3, "files") for number in (1, 2, 3)]
    lists = load_split_lists("mimic3-50", folder)
    assert lists.published
    assert lists.splits == {
        "11": "train",
        "14": "train",
        "12": "validation",
        "13": "test",
    }


def test_what_two_protocols_share_is_fetched_once(mirror, tmp_path):
    assert (
        len(fetch_split_lists(["mimic3-50", "again"], tmp_path, mirror.address))
        == len(mirror.asked)
        == 3
    )


def test_only_what_is_missing_or_wrong_is_fetched_again(mirror, tmp_path):
    fetch_split_lists(["mimic3-50"], tmp_path, mirror.address)
    mirror.asked.clear()
    assert fetch_split_lists(["mimic3-50"], tmp_path, mirror.address) == mirror.asked == []
    (tmp_path / NAMES[0]).unlink()
    (tmp_path / NAMES[2]).write_text("changed")
    assert fetch_split_lists(["mimic3-50"], tmp_path, mirror.address) == [
        tmp_path / NAMES[0],
        tmp_path / NAMES[2],
    ]
    assert (tmp_path / NAMES[2]).read_bytes() == CONTENTS[NAMES[2]]


def test_the_mirror_may_have_a_path_of_its_own(mirror, tmp_path):
    mirror.served |= {f"/github{path}": answer for path, answer in mirror.served.items()}
    fetch_split_lists(["mimic3-50"], tmp_path, f"{mirror.address}/github/")
    assert mirror.asked[0] == f"/github/public/{NAMES[0]}"


def test_public_lists_may_be_read_by_others(mirror, tmp_path):
    mask = os.umask(0o022)
    try:
        files = fetch_split_lists(["mimic3-50"], tmp_path / "lists", mirror.address)
    finally:
        os.umask(mask)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o644}
    assert stat.S_IMODE((tmp_path / "lists").stat().st_mode) == 0o755


def test_another_file_than_the_published_one(mirror, tmp_path):
    changed = b"11\n15\n"
    mirror.served[f"/public/{NAMES[1]}"] = (200, changed, len(changed))
    right, found = (
        hashlib.sha256(content).hexdigest() for content in (CONTENTS[NAMES[1]], changed)
    )
    address = f"{mirror.address}/public/{NAMES[1]}"
    refused(
        tmp_path,
        mirror.address,
        f"{NAMES[1]}: the file at {address}",
        f"should be {right}, but is {found} (6 bytes)",
    )


def test_a_wrong_copy_stays_where_no_better_one_is_to_be_had(mirror, tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / NAMES[0]).write_text("mine")
    mirror.served.clear()
    refused(tmp_path, mirror.address, "404")
    assert (tmp_path / "lists" / NAMES[0]).read_text() == "mine"


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_server_that_refuses(mirror, tmp_path, status):
    mirror.served[f"/public/{NAMES[2]}"] = (status, b"", 0)
    refused(
        tmp_path,
        mirror.address,
        f"{mirror.address}/public/{NAMES[2]}: the server answers {status} ",
    )


@pytest.mark.parametrize(
    "answer", [(200, b"11\n", 6), (None, b"", 0)], ids=["half-way", "before the answer"]
)
def test_a_dropped_connection(mirror, tmp_path, answer):
    mirror.served[f"/public/{NAMES[0]}"] = answer
    refused(tmp_path, mirror.address, f"/public/{NAMES[0]}: can't be downloaded (")


def test_a_server_that_stays_silent(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(split_fetch, "_TIMEOUT", 0.05)
    mirror.served[f"/public/{NAMES[0]}"] = (200, b"", 6)
    release = threading.Event()
    write = BaseHTTPRequestHandler.end_headers

    def wait(handler):
        write(handler)
        release.wait(10)

    monkeypatch.setattr(BaseHTTPRequestHandler, "end_headers", wait)
    try:
        refused(tmp_path, mirror.address, "can't be downloaded (timed out)")
    finally:
        release.set()


def test_no_server(mirror, tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        closed = f"http://127.0.0.1:{server.server_port}"
    refused(tmp_path, closed, f"{closed}/public/{NAMES[0]}: can't be downloaded (")


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:no", "http://127.0.0.1:99999999", "http://a b", "http://a..b"]
)
def test_a_host_or_port_that_cannot_be(tmp_path, address):
    refused(tmp_path, address, "can't be downloaded (")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "mirror.hospital",
        "file:///lists",
        "ftp://mirror.hospital",
        "data:,11",
        "https://",
        "https:///lists",
        "http://[",
    ],
)
def test_an_address_that_is_none(tmp_path, address):
    with pytest.raises(ConfigError, match="should begin with http:// or https:// and name a host"):
        fetch_split_lists(["mimic3-50"], tmp_path / "lists", address)
    assert list(tmp_path.iterdir()) == []


def test_a_protocol_without_lists(tmp_path):
    with pytest.raises(ConfigError, match="protocol 'patient' has no published split lists"):
        fetch_split_lists(["mimic3-50", "patient"], tmp_path / "lists")
    assert list(tmp_path.iterdir()) == []


def test_proxies_of_the_environment_are_used(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", mirror.address)
    fetch_split_lists(["mimic3-50"], tmp_path, "http://mirror.invalid")
    assert mirror.asked[0] == f"http://mirror.invalid/public/{NAMES[0]}"


def test_a_folder_that_cannot_be_written(mirror, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"lists: can't be written .*choose another folder"):
        fetch_split_lists(["mimic3-50"], tmp_path / "file" / "lists", mirror.address)


def test_a_full_disk_leaves_no_half_file(mirror, tmp_path, monkeypatch):
    write = Path.write_bytes

    def fill(path, content):
        write(path, content[:2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(DataError, match=r"can't be written \(No space left on device\)"):
        fetch_split_lists(["mimic3-50"], tmp_path, mirror.address)
    assert list(tmp_path.iterdir()) == []
