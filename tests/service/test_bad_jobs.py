import pytest
from job_client import JSONL, ended, upload

from icdcli.errors import ConfigError
from icdcli.predict.batches import NotePredictor
from icdcli.service.jobs import Jobs

SECRET = "Longfellow"


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b'{"id": "1", "text": 5}\n', {}, "notes.jsonl, row 1"),
        (JSONL, {"text_column": "note"}, "note"),
        (b"", {}, "notes.jsonl"),
        (b'{"id": "1", "text": ""}\n', {}, "none of the notes has any text"),
        (JSONL[:-30], {}, "notes.jsonl"),
        (b"PAR1 isn't", {"type": "parquet"}, "notes.parquet"),
        (
            b"{\\rtf " + SECRET.encode(),
            {"type": "txt"},
            "notes.txt: the RTF document ends too early",
        ),
        (JSONL * 2, {}, "is the same as in row 1"),
    ],
)
def test_a_bad_file_ends_its_job_with_one_message_without_text(
    serve, tmp_path, content, options, message, caplog
):
    client = serve()
    job = ended(client, upload(client, content, **options).json()["id"])
    assert job["state"] == "failed"
    assert message in job["message"]
    assert str(tmp_path) not in job["message"]
    assert "--" not in job["message"]
    assert SECRET not in job["message"] + caplog.text
    result = client.get(f"/v1/jobs/{job['id']}/result")
    assert result.status_code == 409
    assert job["message"] in result.json()["message"]


def test_an_unexpected_error_shows_neither_text_nor_path(serve, monkeypatch, caplog):
    def fail(self, notes, *others):
        raise RuntimeError(f"{SECRET} {notes[0].text}")

    monkeypatch.setattr(NotePredictor, "predict", fail)
    client = serve()
    job = ended(client, upload(client).json()["id"])
    assert job["message"].startswith("a defect of the service: RuntimeError in ")
    assert SECRET not in job["message"] + caplog.text
    assert "RuntimeError" in caplog.text


@pytest.mark.parametrize(
    ("parameters", "headers", "status"),
    [
        ({}, {}, 415),
        ({"type": "docx"}, {}, 422),
        ({"type": "csv", "output": "xml"}, {}, 422),
        ({"type": "csv", "top": 0}, {}, 422),
        ({"type": "csv", "min_score": 2}, {}, 422),
        ({"type": "csv", "day": "31.5."}, {}, 422),
    ],
)
def test_bad_requests_are_refused(serve, parameters, headers, status):
    client = serve()
    answer = client.post("/v1/jobs", params=parameters, content=JSONL, headers=headers)
    assert answer.status_code == status
    assert client.get("/v1/jobs").json() == {"jobs": []}


def test_ids_can_not_be_guessed_and_lead_nowhere_else(serve):
    client = serve()
    ids = {upload(client).json()["id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(len(id) == 32 for id in ids)
    for path in ("..%2F..%2Fetc%2Fpasswd", "..", ".lock"):
        assert client.get(f"/v1/jobs/{path}/result").status_code == 404


def test_the_folder_must_be_writable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can't be written"):
        Jobs(tmp_path / "file" / "jobs", lambda: None).start()
