"""Official editions: their names and days, and a download from a server on this machine."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from icdcli.errors import ConfigError, DataError
from icdcli.icd.editions.publications import address_of, downloaded, official


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args):
        """Print nothing."""


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "files" / "zip"
    folder.mkdir(parents=True)
    (folder / "2027-code-tables-tabular-and-index.zip").write_bytes(b"the archive")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_edition_is_downloaded_from_a_mirror_and_removed(mirror):
    with downloaded("icd10cm-2027", mirror) as path:
        assert path.read_bytes() == b"the archive"
    assert not path.exists()


def test_a_server_without_it_says_how_to_get_it_by_hand(mirror):
    with (
        pytest.raises(DataError, match=r"404.*icdcode codes import FILE --name icd10pcs-2027"),
        downloaded("icd10pcs-2027", mirror),
    ):
        pass


def test_without_a_network_the_page_is_named():
    with (
        pytest.raises(DataError, match=r"can't be downloaded.*with a browser"),
        downloaded("icd10cm-2027", "http://127.0.0.1:9"),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("icd10cm-2027", "/files/zip/2027-code-tables-tabular-and-index.zip"),
        ("icd10cm-2026-04", "/files/zip/april-1-2026-code-tables-tabular-index.zip"),
        ("icd10pcs-2026", "/files/zip/2026-icd-10-pcs-codes-file.zip"),
    ],
)
def test_addresses_of_official_editions(name, path):
    assert address_of(name) == f"https://www.cms.gov{path}"


def test_other_names_and_addresses_are_refused():
    assert official("kcd-9") is None
    with pytest.raises(ConfigError, match="icd10cm-YEAR"):
        address_of("kcd-9")
    with pytest.raises(ConfigError, match="should begin with http"):
        address_of("icd10cm-2027", "ftp://x")
