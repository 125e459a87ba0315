"""The benchmark of the service: its arguments, its notes, its percentiles and its clients."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest


@pytest.mark.parametrize("arguments", [["--notes", "0"], ["--clients", "0"], ["--threads", "0"]])
def test_nothing_to_measure_is_refused(
    script: Callable[[str], ModuleType], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        script("serve").read_arguments(["run", "notes.jsonl", *arguments])
    assert refused.value.code == 2


def test_notes_are_repeated_under_other_ids(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    table = tmp_path / "notes.jsonl"
    table.write_text('{"id": "a", "text": "pain"}\n{"id": "b", "text": " "}\n', encoding="utf-8")
    notes = script("serve").read_notes(table, 3)
    assert notes == [{"id": str(number), "text": "pain"} for number in range(3)]


def test_percentiles_are_measured_times(script: Callable[[str], ModuleType]) -> None:
    percentiles = script("serve_clients").percentiles
    assert percentiles([float(one) for one in range(100, 0, -1)]) == {
        "p50": 50.0,
        "p95": 95.0,
        "p99": 99.0,
    }
    assert percentiles([3.0]) == {"p50": 3.0, "p95": 3.0, "p99": 3.0}


@pytest.mark.parametrize("status", [200, 429])
def test_clients_send_each_note_once_and_stop_at_a_refusal(
    script: Callable[[str], ModuleType], status: int
) -> None:
    seen: list[str] = []

    class Service(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            note = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(note["id"])
            line = json.dumps({"id": note["id"]}).encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Length", str(len(line)))
            self.end_headers()
            self.wfile.write(line)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    notes = [{"id": str(number), "text": "pain"} for number in range(20)]
    try:
        ask_all = script("serve_clients").ask_all
        if status == 200:
            answers, seconds = ask_all(server.server_port, notes, 3, False)
            assert sorted(seen) == sorted(note["id"] for note in notes)
            lines = {one.id: one.line for one in answers}
            assert lines == {one: json.dumps({"id": one}) for one in seen}
            assert 0 < max(one.seconds for one in answers) <= seconds
        else:
            with pytest.raises(RuntimeError, match="429"):
                ask_all(server.server_port, notes, 3, False)
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()
