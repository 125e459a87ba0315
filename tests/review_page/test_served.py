"""`icdcode serve`: what it serves, its end, and that a killed server loses nothing."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer

import pytest
from made_up_store import made_up_store
from small_runs import notes, small_ensemble, small_run
from starlette.testclient import TestClient
from typer.testing import CliRunner
from visiting import PageVisitor

from icdcli.cli import app
from icdcli.review.readings import read_events
from icdcli.review.store import open_store
from icdcli.review_page import hosting

pytestmark = pytest.mark.usefixtures("own_folder")
ROOT = Path(__file__).parents[2]

# What is served


def wait_until_coded(client: TestClient, number: int) -> None:
    """Wait for the model, and for its suggestions for the last note."""
    end = time.monotonic() + 60
    while (
        client.get("/readyz").status_code != 200
        or not client.get(f"/api/notes/{number}/1").json()["suggestion_set"]
    ):
        assert time.monotonic() < end
        time.sleep(0.02)


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

    def visit(client: TestClient) -> None:
        wait_until_coded(client, 3)
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

    served.append(visit)
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


def test_an_ensemble_suggests_and_serves_what_predict_prints(
    command: Callable[..., tuple[int, str]],
    served: list[Callable[[TestClient], None]],
    tmp_path: Path,
) -> None:
    ensemble = str(small_ensemble(tmp_path / "runs"))
    path = str(notes(tmp_path, a="Hypertension, pneumonia.", b="Diabetes is known.", empty=""))
    words = ["predict", ensemble, path, "--top", "3", "--evidence", "--json"]
    printed = CliRunner().invoke(app, words)
    assert printed.exit_code == 0, printed.output
    expected = [json.loads(line) for line in printed.stdout.splitlines()]
    assert [one["codes"] != [] for one in expected] == [True, True, False]
    rows = [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]

    def visit(client: TestClient) -> None:
        wait_until_coded(client, 3)
        answer = client.post("/v1/code", json={"notes": rows, "top": 3, "evidence": True}).json()
        assert answer["notes"] == expected
        for number, note in enumerate(expected, start=1):
            suggested = client.get(f"/api/notes/{number}/1").json()["suggestions"]
            assert {one["code"] for one in suggested} == {one["code"] for one in note["codes"]}

    served.append(visit)
    code, said = command(ensemble, "--notes", path, "--port", "0")
    assert code == 0, said


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
