import functools
import hashlib
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from icdcli.data.benchmarks import split_lists
from icdcli.data.benchmarks.split_lists import PublishedFile, PublishedLists

CONTENTS = {
    "train_50_hadm_ids.csv": b"11\n14\n",
    "dev_50_hadm_ids.csv": b"12\n",
    "test_50_hadm_ids.csv": b"13\n",
}


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Serve small lists, which replace the published ones here, on the loopback interface only."""
    folder, asked = tmp_path / "mirror", []
    folder.mkdir()
    mirror = SimpleNamespace(
        folder=folder, asked=asked, home=tmp_path / "icdcode" / "splits", drops=False
    )

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def copyfile(self, source, outputfile):
            if mirror.drops:
                outputfile.write(source.read(2))  # and closes, after announcing more
            else:
                super().copyfile(source, outputfile)

        def log_message(self, *_):
            return None

    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    files = [
        PublishedFile(
            name, f"https://lists.invalid/{name}", hashlib.sha256(CONTENTS[name]).hexdigest()
        )
        for name in CONTENTS
    ]
    lists = {
        "mimic3-50": (PublishedLists("CAML", tuple(files)),),
        "mimic3-clean": (PublishedLists("Edin et al.", (files[0],)),),
    }
    monkeypatch.setattr(split_lists, "PUBLISHED", lists)
    monkeypatch.setattr(split_lists, "user_data_path", lambda name: tmp_path / name)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=folder)
    ) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        mirror.address = f"http://127.0.0.1:{server.server_port}"
        yield mirror
        server.shutdown()
        thread.join()


def test_all_lists_are_fetched_once(icdcode, mirror):
    answer = icdcode("splits", "fetch", "--address", mirror.address)
    assert answer.code == 0
    assert answer.out == f"Downloaded: {', '.join(CONTENTS)}; folder: {mirror.home}\n"
    assert {file.name: file.read_bytes() for file in mirror.home.iterdir()} == CONTENTS
    assert len(mirror.asked) == 3
    answer = icdcode("splits", "fetch", "--address", mirror.address)
    assert answer.code == 0
    assert answer.out == f"All are present; folder: {mirror.home}\n"
    assert len(mirror.asked) == 3


def test_lists_of_one_protocol_can_be_saved_elsewhere(icdcode, mirror, tmp_path):
    folder = tmp_path / "elsewhere"
    words = ("splits", "fetch", "mimic3-clean", "--to", folder, "--address", mirror.address)
    assert f"splits_path={folder}" in icdcode(*words).out
    assert [file.name for file in folder.iterdir()] == ["train_50_hadm_ids.csv"]
    assert not mirror.home.exists()
    (folder / "train_50_hadm_ids.csv").unlink()
    expected = {"folder": str(folder), "downloaded": [str(folder / "train_50_hadm_ids.csv")]}
    assert icdcode(*words, "--json").json == expected
    assert icdcode(*words, "--json").json == expected | {"downloaded": []}


def test_a_wrong_file_is_refused_with_both_sums(refused, mirror):
    (mirror.folder / "dev_50_hadm_ids.csv").write_bytes(b"<html>Please log in</html>")
    sums = [
        hashlib.sha256(content).hexdigest()
        for content in (CONTENTS["dev_50_hadm_ids.csv"], b"<html>Please log in</html>")
    ]
    says = ["dev_50_hadm_ids.csv: the file at ", *sums, "Nothing was written"]
    refused(3, "splits", "fetch", "mimic3-50", "--address", mirror.address, says=says)
    assert not mirror.home.exists()


def test_a_missing_file_on_the_server(refused, mirror):
    (mirror.folder / "test_50_hadm_ids.csv").unlink()
    says = [f"{mirror.address}/test_50_hadm_ids.csv: the server answers 404", "Nothing was written"]
    refused(3, "splits", "fetch", "--address", mirror.address, "--json", says=says)
    assert not mirror.home.exists()


def test_a_dropped_connection(refused, mirror):
    mirror.drops = True
    says = [f"{mirror.address}/train_50_hadm_ids.csv: can't be downloaded (", "Nothing was written"]
    refused(3, "splits", "fetch", "--address", mirror.address, says=says)
    assert not mirror.home.exists()


def test_wrong_arguments(refused, mirror):
    says = "'mimic3-500' has no published split lists (did you mean 'mimic3-50'?)"
    refused(2, "splits", "fetch", "mimic3-500", "--address", mirror.address, says=says)
    refused(
        2,
        "splits",
        "fetch",
        "--address",
        "ftp://mirror.hospital",
        says="should begin with http:// or https://",
    )
    assert mirror.asked == []
    assert not mirror.home.exists()


def test_present_and_correct_lists_are_marked(icdcode, mirror):
    mirror.home.mkdir(parents=True)
    (mirror.home / "train_50_hadm_ids.csv").write_bytes(CONTENTS["train_50_hadm_ids.csv"])
    (mirror.home / "dev_50_hadm_ids.csv").write_bytes(b"changed")
    answer = icdcode("splits", "list")
    lines = [line.split() for line in answer.out.splitlines()]
    assert answer.code == 0
    assert str(mirror.home) in answer.out
    assert ["mimic3-50", "train_50_hadm_ids.csv", "yes", "correct"] in lines
    assert ["mimic3-50", "dev_50_hadm_ids.csv", "yes", "wrong"] in lines
    assert ["mimic3-50", "test_50_hadm_ids.csv", "no"] in lines
    assert ["mimic3-clean", "train_50_hadm_ids.csv", "yes", "correct"] in lines
    assert lines.count(["https://lists.invalid/train_50_hadm_ids.csv"]) == 1
    files = icdcode("splits", "list", "--json").json["files"]
    assert [(file["there"], file["right"]) for file in files] == [
        (True, True),
        (True, False),
        (False, False),
        (True, True),
    ]
    assert files[2] == {
        "protocol": "mimic3-50",
        "file": "test_50_hadm_ids.csv",
        "source": "CAML",
        "there": False,
        "right": False,
        "sha256": hashlib.sha256(b"13\n").hexdigest(),
        "address": "https://lists.invalid/test_50_hadm_ids.csv",
    }
    assert mirror.asked == []


def test_the_real_list_fits_eighty_columns(icdcode):
    table = [
        line for line in icdcode("splits", "list").out.splitlines()[1:] if "https://" not in line
    ]
    assert max(map(len, table)) <= 80
    assert "…" not in "".join(table)
