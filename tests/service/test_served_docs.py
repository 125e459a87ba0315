"""The requests that docs/serve.md shows, sent by curl to a service that listens."""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from job_client import JSONL

from icdcli.data.notes.files import find_notes
from icdcli.predict.run import predict_to_file
from icdcli.service.application import create_service
from icdcli.service.clients import read_token_file
from icdcli.service.coding_service import ServiceSettings
from icdcli.service.job_routes import jobs_router
from icdcli.service.jobs import Jobs
from icdcli.service.routing import client_name
from icdcli.service.serving import ApplicationServer, listen

PAGE = Path(__file__).parents[2] / "docs" / "serve.md"
TOKEN = "0123456789 of a test"


@pytest.fixture
def address(engine_of, tmp_path):
    """Return the address of a service that listens, with one client."""
    tokens = tmp_path / "tokens"
    tokens.touch(0o600)
    tokens.write_text(f"ana:{TOKEN}\n")
    engine, listening = engine_of(), listen("127.0.0.1", 0)
    jobs = Jobs(tmp_path / "jobs", lambda: engine)
    jobs.start()
    settings = ServiceSettings(read_token_file(tokens))
    app = create_service(lambda: engine, settings, [jobs_router(jobs, client_name)])
    server = ApplicationServer(app, app.state.coding_service)
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]))
    thread.start()
    yield f"127.0.0.1:{listening.getsockname()[1]}"
    server.end()
    thread.join(60)
    jobs.stop()


def curl_blocks():
    return re.findall(r"<!-- curl -->\n```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl isn't installed")
def test_the_page_can_be_followed(address, checkpoints, tmp_path):
    (tmp_path / "notes.jsonl").write_bytes(JSONL)

    def run(command, **more):
        done = subprocess.run(
            ["bash", "-ec", command.replace("127.0.0.1:8765", address)],
            env={**os.environ, "TOKEN": TOKEN, **more},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    one, fhir, upload, job = curl_blocks()
    assert "evidence" in json.loads(run(one))["notes"][0]["codes"][0]
    assert len(json.loads(run(fhir))["notes"][0]["codes"]) == 3
    accepted = json.loads(run(upload))
    ask, *fetch = job.splitlines()
    until = time.monotonic() + 60
    while (found := json.loads(run(ask, JOB=accepted["id"])))["state"] != "done":
        assert time.monotonic() < until, found
        time.sleep(0.1)
    run("\n".join(fetch), JOB=accepted["id"])
    expected = tmp_path / "expected.csv"
    notes = find_notes([str(tmp_path / "notes.jsonl")])
    predict_to_file(checkpoints("tfidf"), notes, expected, top=5)
    assert (tmp_path / "codes.csv").read_bytes() == expected.read_bytes()
    assert "no such job" in run(ask, JOB=accepted["id"])
    assert run(ask.replace("$TOKEN", "wrong"), JOB=accepted["id"]).startswith('{"message":')
