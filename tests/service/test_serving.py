"""The service on real sockets: addresses, clients that leave, and an end by a signal."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from service_models import made_up_text

from icdcli.data.notes.text import Note
from icdcli.errors import ConfigError
from icdcli.model.checkpoint import load_checkpoint
from icdcli.offline import is_local
from icdcli.predict.batches import NotePredictor
from icdcli.predict.run import predict_notes
from icdcli.predict.writers import note_line
from icdcli.service.application import create_service
from icdcli.service.coding_service import ServiceSettings
from icdcli.service.serving import ApplicationServer, listen

MARK = "Zebrapatient"


def post(port, body, timeout=60):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", "/v1/code", content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@contextmanager
def served(engine, drain_seconds=30, **settings):
    """Serve in a thread; yield the port and the server."""
    app = create_service(lambda: engine, ServiceSettings(**settings))
    listening = listen("127.0.0.1", 0)
    server = ApplicationServer(app, app.state.coding_service, drain_seconds)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield listening.getsockname()[1], server
    finally:
        server.end()
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture
def blocked(engine_of):
    """Return an engine that works on nothing until the event is set."""
    engine, free, started = engine_of(), threading.Event(), threading.Event()
    engine.call(lambda model: (started.set(), free.wait(60)), background=False)
    assert started.wait(60)
    yield engine, free
    free.set()


def until(holds, seconds=30):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_request_that_nobody_waits_for_is_not_coded(blocked, monkeypatch):
    engine, free = blocked
    coded = []
    predict = NotePredictor.predict
    monkeypatch.setattr(
        NotePredictor, "predict", lambda self, notes: coded.extend(notes) or predict(self, notes)
    )
    with served(engine) as (port, server):
        leaving = http.client.HTTPConnection("127.0.0.1", port)
        leaving.request(
            "POST",
            "/v1/code",
            json.dumps({"text": "cough", "id": "left"}),
            {"Content-Type": "application/json"},
        )
        until(lambda: engine.load.requests == 2)
        leaving.close()
        metrics = server.config.app.state.coding_service.metrics
        until(lambda: b'status="499"} 1.0' in metrics.text())
        staying = threading.Thread(target=post, args=(port, {"text": "pain", "id": "stays"}))
        staying.start()
        until(lambda: engine.load.requests == 3)
        free.set()
        staying.join(60)
    assert [note.id for note in coded] == ["stays"]


def test_a_large_body_is_refused_before_it_was_sent(engine_of):
    with served(engine_of(), body_bytes=1000) as (port, _):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(
                b"POST /v1/code HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n"
                b"Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n"
            )
            assert client.recv(100).startswith(b"HTTP/1.1 413")
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(
                b"POST /v1/code HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                b"Content-Type: application/json\r\n\r\n" + (b"64\r\n" + b" " * 100 + b"\r\n") * 11
            )
            assert client.recv(100).startswith(b"HTTP/1.1 413")
        assert post(port, {"text": "pain"})[0] == 200


def test_the_end_finishes_what_was_accepted_and_refuses_more(blocked):
    engine, free = blocked
    answers = []
    with served(engine) as (port, server):
        accepted = [
            threading.Thread(target=lambda: answers.append(post(port, {"text": "pain"})))
            for _ in range(3)
        ]
        for thread in accepted:
            thread.start()
        until(lambda: engine.load.requests == 4)
        server.end()
        until(lambda: not engine.ready)
        status, body = post(port, {"text": MARK})
        assert status == 503 and MARK not in str(body)
        free.set()
        for thread in accepted:
            thread.join(60)
    assert [status for status, _ in answers] == [200, 200, 200]


def test_the_end_does_not_wait_for_ever(blocked):
    engine, _ = blocked
    answers = []
    with served(engine, drain_seconds=0.2) as (port, server):
        waiting = threading.Thread(target=lambda: answers.append(post(port, {"text": "pain"})))
        waiting.start()
        until(lambda: engine.load.requests == 2)
        server.end()
        waiting.join(30)
    assert [status for status, _ in answers] == [503]


SERVER = """
import sys
from icdcli.model.checkpoint import load_checkpoint
from icdcli.service.application import create_service
from icdcli.service.engine import CodingEngine
from icdcli.service.serving import listen, serve
listening = listen("127.0.0.1", 0)
engine = CodingEngine(load_checkpoint(sys.argv[1]), "small")
engine.call(lambda model: __import__("time").sleep(1), background=False)
app = create_service(lambda: engine)
print("port", listening.getsockname()[1], flush=True)
serve(app, listening, app.state.coding_service)
print("ended", engine.close(), flush=True)
"""


@pytest.mark.slow
def test_sigterm_answers_what_was_accepted_and_logs_no_text(checkpoints):
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(checkpoints("tfidf"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        port = int(process.stdout.readline().split()[1])
        answers = []
        thread = threading.Thread(target=lambda: answers.append(post(port, {"text": MARK})))
        thread.start()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        thread.join(60)
        output = process.communicate(timeout=60)[0]
    finally:
        process.kill()
    assert answers[0][0] == 200
    assert (process.returncode, output) == (0, "ended True\n")


@pytest.mark.slow
def test_a_very_long_note_is_coded_as_predict_does(engine_of, checkpoints):
    text = made_up_text(1, 30_000)
    (note,) = predict_notes(
        load_checkpoint(checkpoints("llama")).model,
        [Note("1", text)],
        top=3,
    )
    with served(engine_of("llama")) as (port, _):
        status, body = post(port, {"text": text, "top": 3}, 300)
    assert status == 200 and body["notes"] == [json.loads(note_line(note))]
    assert body["notes"][0]["windows"] > 100


def test_a_port_that_is_taken_is_named(engine_of):
    with listen("127.0.0.1", 0) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            ConfigError, match=re.escape(f"port {port} of 127.0.0.1 is taken")
        ) as error:
            listen("127.0.0.1", port)
    assert "--port" in str(error.value) and error.value.exit_code == 2


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", 70_000, "--port 70000: isn't between"),
        ("127.0.0.1", -1, "--port -1: isn't between"),
        ("no such host", 0, "--host no such host: can't be found"),
        ("a" * 80, 0, "can't be found"),
        ("192.0.2.1", 0, "--host 192.0.2.1: isn't an address of this machine."),
    ],
)
def test_an_address_that_is_impossible_is_named(host, port, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        listen(host, port)


def test_a_privileged_port_is_explained(monkeypatch):
    def refuse(self, address):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(ConfigError, match=r"--port 80: isn't allowed .* from 1,024 on"):
        listen("127.0.0.1", 80)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("LOCALHOST", True),
        ("localhost.example.org", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
    ],
)
def test_which_hosts_are_local(host, local):
    assert is_local(host) is local


def test_an_offline_service_listens_on_this_computer_only(monkeypatch):
    monkeypatch.setenv("ICDCODE_OFFLINE", "1")
    listen("127.0.0.1", 0).close()
    for host in ("0.0.0.0", "::", "10.0.0.1"):
        with pytest.raises(ConfigError, match=f"--host {re.escape(host)}: icdcode works offline"):
            listen(host, 0)
