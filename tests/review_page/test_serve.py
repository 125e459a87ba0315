"""`icdcode serve`: what it refuses, what it serves, and that a killed server loses nothing."""

import http.client
import io
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Timer

import pytest
from made_up_store import made_up_store
from starlette.testclient import TestClient
from visiting import PageVisitor

from icdcli.cli import main
from icdcli.data.corpus.reader import Labels
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.records import edition_record
from icdcli.io.manifest import write_manifest
from icdcli.lexical.tfidf import Tfidf
from icdcli.model.section import ModelConfig
from icdcli.model.tfidf_model import TfidfModel
from icdcli.model.threshold import Threshold
from icdcli.review.readings import read_events
from icdcli.review.store import open_store
from icdcli.review.users import list_users, sign_in
from icdcli.review_page import hosting
from icdcli.review_page.store_lock import only_server

ROOT = Path(__file__).parents[2]
WORDS = ("hypertension", "diabetes", "pneumonia")
CODES = ("I10", "E11.9", "J18.9")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Return a function that runs ``icdcode serve``, and returns its code and what it printed."""

    def run(*words: str, typed: str = "") -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["icdcode", "serve", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[TestClient], None]]:
    """Let servers call the functions of a list with a client, and end, instead of listening."""
    visits: list[Callable[[TestClient], None]] = []

    class Server:
        def __init__(self, app: object, service: object) -> None:
            self.app = app

        def end(self) -> None:
            pass

        def run(self, sockets: object) -> None:
            client = TestClient(self.app, base_url="http://localhost", follow_redirects=False)
            for visit in visits:
                visit(client)

    monkeypatch.setattr(hosting, "ApplicationServer", Server)
    return visits


def small_run(folder: Path, codes: tuple[str, ...] = CODES) -> Path:
    """Make a checkpoint that finds the codes of three words."""
    texts = [f"{one} {other}" for one in WORDS for other in WORDS if one != other]
    targets = [[WORDS.index(one) for one in text.split()] for text in texts]
    labels = Labels(codes, ("diagnosis",) * 3, codes, (4,) * 3, (4,) * 3)
    edition = edition_record(find_edition("icd10cm"))
    labels = replace(labels, editions={"diagnosis": edition})
    tfidf = Tfidf.fit(texts, targets, 3)
    folder.mkdir()
    TfidfModel(tfidf, labels, ModelConfig(model="tfidf"), Threshold(0.4)).save(folder)
    write_manifest(folder, {"step": 1})
    return folder


def notes(folder: Path, **texts: str) -> Path:
    path = folder / "notes.jsonl"
    path.write_text(
        "".join(json.dumps({"id": id, "text": text}) + "\n" for id, text in texts.items()),
        encoding="utf-8",
    )
    return path


# Users


def test_users_are_added_changed_and_closed(command: Callable[..., tuple[int, str]]) -> None:
    added = command("--create-user", "ana", "--role", "admin", typed="correct horse\n")
    assert added == (
        0,
        "Added: ana, admin, in review.db\n"
        "A server that is running without users must be started again.\n",
    )
    twice = command("--create-user", "ana", typed="correct horse\n")
    assert twice[0] == 2 and "there is a user 'ana' already" in twice[1]
    with open_store("review.db") as store:
        assert [(one.name, one.role) for one in list_users(store)] == [("ana", "admin")]
        assert sign_in(store, "ana", "correct horse")
    assert command("--set-password", "ana", typed="battery staple\n")[0] == 0
    with open_store("review.db") as store:
        assert sign_in(store, "ana", "correct horse") is None
        assert sign_in(store, "ana", "battery staple")
    assert command("--close-account", "ana")[0] == 0
    with open_store("review.db") as store:
        assert list_users(store) == []


@pytest.mark.parametrize(
    ("words", "typed", "code", "message"),
    [
        (("--create-user", "ana"), "", 2, "standard input has no password"),
        (("--create-user", "ana"), "short\n", 2, "at least 8 characters"),
        (("--create-user", " ana"), "correct horse\n", 2, "without blanks around it"),
        (("--set-password", "ana"), "correct horse\n", 2, "there is no such store"),
        (("--create-user", "a", "--set-password", "a"), "correct horse\n", 2, "give one of them"),
    ],
)
def test_users_that_cannot_be_added_are_refused(
    command: Callable[..., tuple[int, str]],
    words: tuple[str, ...],
    typed: str,
    code: int,
    message: str,
) -> None:
    found, printed = command(*words, typed=typed)
    assert found == code and message in printed


# Bad input: one message each, and nothing is served


@pytest.fixture
def never(served: list[Callable[[TestClient], None]]) -> None:
    def fail(_: TestClient) -> None:
        raise AssertionError("it was served")

    served.append(fail)


@pytest.mark.usefixtures("never")
def test_a_port_that_is_taken(command: Callable[..., tuple[int, str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, printed = command("--port", str(port))
    assert code == 2 and f"port {port}" in printed and "--port" in printed
    assert not Path("review.db").exists()


@pytest.mark.usefixtures("never")
def test_a_store_without_users_is_for_this_computer(
    command: Callable[..., tuple[int, str]],
) -> None:
    code, printed = command("--host", "0.0.0.0", "--port", "0")
    assert code == 2 and "has no users" in printed and "--create-user NAME" in printed
    code, printed = command("--trusted-header", "X-Remote-User")
    assert code == 2 and "--trusted-proxy" in printed


@pytest.mark.usefixtures("never")
def test_an_open_service_is_for_this_computer(
    command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    run = str(small_run(tmp_path / "run"))
    code, printed = command(run, "--host", "0.0.0.0", "--port", "0", "--no-page")
    assert code == 2 and "--token-file FILE" in printed
    assert command("--no-page")[0] == 2
    code, printed = command(run, "--no-page", "--no-service")
    assert code == 2 and "nothing would be served" in printed


@pytest.mark.usefixtures("never")
def test_a_store_that_is_already_served(
    command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    with open_store(tmp_path / "review.db") as store, only_server(store) as suggests:
        assert suggests
        code, printed = command("--port", "0")
    assert code == 2 and "is already being served (process" in printed
    assert not Path("review.db.lock").exists()


@pytest.mark.usefixtures("never")
def test_a_store_of_a_newer_version(
    command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    open_store(tmp_path / "review.db").close()
    with sqlite3.connect("review.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    code, printed = command("--port", "0")
    assert code == 3 and "newer version of icdcode" in printed


@pytest.mark.usefixtures("never")
def test_a_store_of_another_model(command: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    made_up_store(tmp_path / "review.db").close()
    run = str(small_run(tmp_path / "run"))
    code, printed = command(run, "--port", "0")
    assert code == 3 and "the label space of" in printed and "Use another store" in printed


@pytest.mark.usefixtures("never")
def test_a_share_that_cannot_be_changed(command: Callable[..., tuple[int, str]]) -> None:
    open_store("review.db", double_share=0.1).close()
    code, printed = command("--port", "0", "--double-share", "0.5")
    assert code == 2 and "was made with 0.1" in printed


@pytest.mark.usefixtures("never")
def test_an_id_with_another_text(command: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    made_up_store(tmp_path / "review.db").close()
    path = notes(tmp_path, new="Fine.", plain="Another text.")
    code, printed = command("--port", "0", "--notes", str(path))
    assert code == 3 and "note 'plain': there is another text with this id" in printed
    with open_store("review.db") as store:
        assert hosting.note_count(store) == 14  # nothing is half imported


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("missing",), 2, "missing"),
        (("--store", "missing/review.db"), 2, "the folder doesn't exist"),
        (("--notes", "missing.csv"), 3, "missing.csv: can't be read"),
        (("--port", "70000"), 2, "65,535"),
        (("--host", "nothing.invalid"), 2, "--host nothing.invalid"),
    ],
)
def test_what_is_not_there(
    command: Callable[..., tuple[int, str]], words: tuple[str, ...], code: int, message: str
) -> None:
    port = () if "--port" in words else ("--port", "0")
    found, printed = command(*words, *port)
    assert found == code and message in printed and "Traceback" not in printed


@pytest.mark.usefixtures("never")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(
    command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    made_up_store(tmp_path / "review.db").close()
    tmp_path.chmod(0o500)
    code, printed = command("--port", "0")
    tmp_path.chmod(0o700)
    assert code == 3 and "Correct the permissions" in printed


# What is served


def test_the_page_without_a_model(
    command: Callable[..., tuple[int, str]],
    served: list[Callable[[TestClient], None]],
    tmp_path: Path,
) -> None:
    made_up_store(tmp_path / "review.db").close()

    def visit(client: TestClient) -> None:
        assert client.get("/").status_code == 200
        assert client.get("/readyz").status_code == 404
        assert Path("review.db.lock").exists()

    served.append(visit)
    code, printed = command("--port", "0")
    assert code == 0 and not Path("review.db.lock").exists()
    assert re.search(
        r"Review page: http://127\.0\.0\.1:\d+/ \(14 notes; store: review\.db\)", printed
    )
    assert "There are no users: only this computer reaches the page" in printed
    assert "Coding service" not in printed and "Stopped." in printed


def test_one_model_suggests_codes_and_serves(
    command: Callable[..., tuple[int, str]],
    served: list[Callable[[TestClient], None]],
    tmp_path: Path,
) -> None:
    run = str(small_run(tmp_path / "run"))
    path = notes(tmp_path, a="Hypertension.", b="Pneumonia, pneumonia.", empty="")
    found: dict[str, list[str]] = {}

    def wait(client: TestClient) -> None:
        end = time.monotonic() + 60
        while (
            client.get("/readyz").status_code != 200
            or not client.get("/api/notes/3/1").json()["suggestion_set"]
        ):
            assert time.monotonic() < end
            time.sleep(0.02)

    def visit(client: TestClient) -> None:
        for number in (1, 2, 3):
            shown = client.get(f"/api/notes/{number}/1").json()
            found[shown["note"]["id"]] = [one["code"] for one in shown["suggestions"]][:1]
        coded = client.post("/v1/code", json={"text": "Hypertension."}).json()
        assert coded["notes"][0]["codes"][0]["code"] == "I10"
        visitor = PageVisitor(client.app)
        visitor.open()
        (hit,) = visitor.post("/api/codes/search", {"query": "J18.9", "limit": 1}).json()["codes"]
        assert hit["in_model"] is True
        assert client.get("/openapi.json").json()["paths"].keys() >= {"/v1/code", "/v1/jobs"}
        assert not [path for path in client.get("/openapi.json").json()["paths"] if "api/" in path]

    served += [wait, visit]
    for _ in range(2):  # the second time, everything is known
        code, printed = command(run, "--notes", str(path), "--port", "0")
        assert code == 0, printed
        assert "Coding service: POST http://127.0.0.1:" in printed
        assert found == {"a": ["I10"], "b": ["J18.9"], "empty": []}
    assert "Imported: 0 new notes, 3 known" in printed
    assert not Path("review.db.jobs").exists()
    with open_store("review.db") as store, store.reading() as connection:
        sets = connection.exec_driver_sql("SELECT COUNT(*) FROM suggestion_sets").scalar()
    assert sets == 3


def test_only_the_service(
    command: Callable[..., tuple[int, str]],
    served: list[Callable[[TestClient], None]],
    tmp_path: Path,
) -> None:
    run = str(small_run(tmp_path / "run"))

    def visit(client: TestClient) -> None:
        assert client.get("/").status_code == 404
        assert client.get("/healthz").status_code == 200
        assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 421

    served.append(visit)
    code, printed = command(run, "--no-page", "--port", "0")
    assert code == 0 and "Review page" not in printed
    assert not Path("review.db").exists()


def test_a_model_that_cannot_be_loaded_ends_the_server(
    command: Callable[..., tuple[int, str]],
    served: list[Callable[[TestClient], None]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = small_run(tmp_path / "run")
    (run / "tfidf.npz").write_bytes(b"damaged")
    work: list[hosting.ModelWork] = []

    class Kept(hosting.ModelWork):
        def start(self) -> None:
            work.append(self)
            super().start()

    monkeypatch.setattr(hosting, "ModelWork", Kept)
    served.append(lambda _: work[0]._thread.join(60))
    code, printed = command(str(run), "--port", "0", "--no-page")
    assert code in (3, 4) and "Traceback" not in printed and "run" in printed


# A real server


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], str]]]:
    """Return a function that starts a server of ``review.db``, and returns it and its address."""
    servers: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], str]:
        server = subprocess.Popen(
            [sys.executable, "-m", "icdcli", "serve", "--port", "0", "--json"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        servers.append(server)
        assert server.stdout is not None
        about = ""
        while not about.rstrip().endswith("}"):
            line = server.stdout.readline()
            assert line, server.stderr.read() if server.stderr else ""
            about += line
        return server, json.loads(about)["address"]

    yield start
    for server in servers:
        server.kill()
        server.communicate()


@pytest.mark.slow
def test_a_killed_server_loses_nothing_that_it_acknowledged(
    started: Callable[[], tuple[subprocess.Popen[str], str]], tmp_path: Path
) -> None:
    made_up_store(tmp_path / "review.db").close()
    acknowledged = stored = 0
    for _ in range(2):
        server, address = started()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        page = opener.open(address).read().decode()
        token = re.search('csrf-token" content="([0-9a-f]+)"', page)
        assert token is not None
        seen = stored = json.load(opener.open(f"{address}api/notes/1/1"))["state"]["number"]
        assert acknowledged <= stored <= acknowledged + 1
        with pytest.raises((OSError, http.client.HTTPException)):
            while True:
                draft = {"kind": "comment", "details": {"text": str(seen)}}
                body = {"seen": seen, "suggestion_set": None, "decisions": [draft]}
                request = urllib.request.Request(
                    f"{address}api/notes/1/1/decisions",
                    json.dumps(body).encode(),
                    {"X-CSRF-Token": token[1], "Content-Type": "application/json"},
                )
                with opener.open(request) as answer:
                    seen = acknowledged = json.load(answer)["state"]["number"]
                if acknowledged == stored + 1:
                    Timer(0.2, server.kill).start()  # amid the next ones
        server.wait(30)
    with open_store(tmp_path / "review.db") as store:
        texts = [one.details["text"] for one in read_events(store, "plain")]
    assert acknowledged > 1 and len(texts) in (acknowledged, acknowledged + 1)
    assert texts == [str(number) for number in range(len(texts))]


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server(
    started: Callable[[], tuple[subprocess.Popen[str], str]], sign: signal.Signals
) -> None:
    server, address = started()
    assert urllib.request.urlopen(address).status == 200
    server.send_signal(sign)
    _, printed = server.communicate(timeout=30)
    assert server.returncode == 0 and "Every decision is stored." in printed
    assert "Traceback" not in printed and not Path("review.db.lock").exists()
