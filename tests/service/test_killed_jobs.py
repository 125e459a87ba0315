"""A server that is killed in the middle of a job: the next one gives back the same bytes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from service_models import made_up_notes

from icdcli.data.notes.files import find_notes
from icdcli.predict.run import predict_to_file

NOTES = made_up_notes(700, 60)
TABLE = "".join(json.dumps({"id": note.id, "text": note.text}) + "\n" for note in NOTES)


class Server:
    """``icdcode serve`` in a process of its own."""

    def __init__(self, checkpoint: Path, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        command = ["serve", checkpoint, "--no-page", "--jobs", folder / "jobs", "--port", port]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "icdcli", *map(str, command)],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
        )
        self.wait_until(lambda: self.ask("/readyz"))

    def ask(self, path: str, content: bytes | None = None) -> bytes:
        with urlopen(Request(self.address + path, data=content), timeout=60) as answer:
            return bytes(answer.read())

    def wait_until(self, done) -> None:
        until = time.monotonic() + 180
        while time.monotonic() < until:
            try:
                if done():
                    return
            except (URLError, ConnectionError):
                assert self.process.poll() is None
            time.sleep(0.1)
        raise AssertionError("it takes too long")

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)


@pytest.mark.slow
def test_a_killed_server_loses_no_job(checkpoints, tmp_path):
    checkpoint = checkpoints("bert")
    first = Server(checkpoint, tmp_path)
    try:
        job = json.loads(first.ask("/v1/jobs?type=jsonl&top=3&evidence=true", TABLE.encode()))["id"]
        first.wait_until(lambda: json.loads(first.ask(f"/v1/jobs/{job}"))["done"] >= 270)
        state = json.loads(first.ask(f"/v1/jobs/{job}"))
        assert (state["state"], state["notes"]) == ("running", len(NOTES))
    finally:
        first.end(signal.SIGKILL)
    parts = [*(tmp_path / "jobs" / job).glob("result.jsonl.parts/*.jsonl")]
    assert parts  # what is done isn't done again
    written = {part: part.stat().st_mtime_ns for part in parts}
    second = Server(checkpoint, tmp_path)
    try:
        second.wait_until(lambda: json.loads(second.ask(f"/v1/jobs/{job}"))["done"] >= 400)
        assert {part: part.stat().st_mtime_ns for part in written} == written
        second.wait_until(lambda: json.loads(second.ask(f"/v1/jobs/{job}"))["state"] == "done")
        result = second.ask(f"/v1/jobs/{job}/result")
    finally:
        code = second.end(signal.SIGTERM)
    assert code == 0
    (tmp_path / "notes.jsonl").write_text(TABLE, encoding="utf-8")
    expected = tmp_path / "expected.jsonl"
    notes = find_notes([str(tmp_path / "notes.jsonl")])
    predict_to_file(checkpoint, notes, expected, top=3, evidence=True)
    assert result == expected.read_bytes()
