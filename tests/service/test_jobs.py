import asyncio
import gzip
import json
import shutil
import stat
import threading
import time
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from job_client import JSONL, ended, token, upload

from icdcli.data.notes.files import find_notes
from icdcli.errors import ConfigError
from icdcli.predict.batches import NotePredictor
from icdcli.predict.checking import Checking
from icdcli.predict.run import predict_to_file
from icdcli.service.job_record import JobOptions
from icdcli.service.jobs import JobLimits, Jobs


@pytest.fixture
def blocked(engine_of):
    """Return an engine that works on nothing until the event is set."""
    engine, free = engine_of(), threading.Event()
    engine.call(lambda model: free.wait(60))
    yield engine, free
    free.set()


@pytest.mark.parametrize("output", ["jsonl", "csv", "parquet"])
def test_the_result_is_the_file_that_predict_writes(serve, checkpoints, tmp_path, output):
    client = serve()
    accepted = upload(client, output=output, top=3, evidence=output != "csv")
    assert accepted.status_code == 202
    id = accepted.json()["id"]
    assert accepted.headers["location"] == f"/v1/jobs/{id}"
    job = ended(client, id)
    assert (job["state"], job["notes"], job["done"], job["message"]) == ("done", 40, 40, None)
    answer = client.get(f"/v1/jobs/{id}/result")
    (tmp_path / "notes.jsonl").write_bytes(JSONL)
    expected = tmp_path / f"codes.{output}"
    notes = find_notes([str(tmp_path / "notes.jsonl")])
    predict_to_file(checkpoints("tfidf"), notes, expected, top=3, evidence=output != "csv")
    assert answer.content == expected.read_bytes()
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_checks_are_those_of_predict(serve, engine_of, checkpoints, tmp_path):
    client = serve(engine=engine_of("bert"))
    id = upload(client, resolve=True, day="2026-05-31", min_score=0.1).json()["id"]
    assert ended(client, id)["state"] == "done"
    (tmp_path / "notes.jsonl").write_bytes(JSONL)
    notes, checking = find_notes([str(tmp_path / "notes.jsonl")]), Checking(True, date(2026, 5, 31))
    expected = tmp_path / "codes.jsonl"
    predict_to_file(checkpoints("bert"), notes, expected, min_score=0.1, checking=checking)
    answer = client.get(f"/v1/jobs/{id}/result")
    assert answer.content == expected.read_bytes()
    assert b"findings" in answer.content


def test_a_model_whose_codes_can_not_be_checked_refuses_the_upload(serve):
    answer = upload(serve(), check=True)
    assert answer.status_code == 422
    assert "edition" in answer.json()["message"]


@pytest.mark.parametrize(
    ("headers", "type", "content", "first"),
    [
        ({"Content-Type": "text/csv; charset=utf-8"}, None, b"id,text\n7,chest pain\n", "7"),
        ({"Content-Type": "text/tab-separated-values"}, None, b"text\tid\npain\t8\n", "8"),
        ({"Content-Type": "text/plain"}, None, b"chest pain\n", "notes.txt"),
        ({}, "parquet", None, "9"),
        ({}, "csv.gz", None, "7"),
    ],
)
def test_files_of_many_types_are_read(serve, tmp_path, headers, type, content, first):
    if type == "parquet":
        pq.write_table(pa.table({"id": ["9"], "text": ["chest pain"]}), tmp_path / "n.parquet")
        content = (tmp_path / "n.parquet").read_bytes()
    if type == "csv.gz":
        content = gzip.compress(b"id,text\n7,chest pain\n")
    client = serve()
    accepted = client.post(
        "/v1/jobs", params={"type": type} if type else {}, content=content, headers=headers
    )
    id = accepted.json()["id"]
    assert ended(client, id)["state"] == "done"
    [line] = client.get(f"/v1/jobs/{id}/result").text.splitlines()
    assert json.loads(line)["id"] == first


def test_notes_are_deleted_when_the_job_is_done_and_nobody_else_reads_the_folder(serve, tmp_path):
    client = serve()
    id = upload(client).json()["id"]
    ended(client, id)
    folder = tmp_path / "jobs" / id
    assert {path.name for path in folder.iterdir()} == {"job.json", "result.jsonl"}
    paths = [folder, *folder.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o700, 0o600}
    failed = upload(client, b'{"id": "1"}\n').json()["id"]
    assert ended(client, failed)["state"] == "failed"
    assert [path.name for path in (tmp_path / "jobs" / failed).iterdir()] == ["job.json"]


def test_a_client_sees_only_its_own_jobs(serve):
    client = serve()
    id = upload(client).json()["id"]
    ended(client, id)
    other = {"Authorization": f"Bearer {token('ben')}"}
    for method, path in (("GET", ""), ("GET", "/result"), ("DELETE", "")):
        answer = client.request(method, f"/v1/jobs/{id}{path}", headers=other)
        missing = client.request(method, f"/v1/jobs/{'0' * 32}{path}", headers=other)
        assert answer.status_code == missing.status_code == 404
        assert answer.content == missing.content
    assert client.get("/v1/jobs", headers=other).json() == {"jobs": []}
    assert [job["id"] for job in client.get("/v1/jobs").json()["jobs"]] == [id]
    assert client.get(f"/v1/jobs/{id}").status_code == 200


def test_a_deleted_job_leaves_nothing(serve, blocked, tmp_path):
    engine, free = blocked
    client = serve(engine=engine)
    working, waiting = (upload(client).json()["id"] for _ in range(2))
    until = time.monotonic() + 30
    while client.get(f"/v1/jobs/{working}").json()["notes"] is None and time.monotonic() < until:
        time.sleep(0.01)
    for id in (working, waiting):
        assert client.delete(f"/v1/jobs/{id}").status_code == 204
        assert client.get(f"/v1/jobs/{id}").status_code == 404
        assert client.delete(f"/v1/jobs/{id}").status_code == 404
    free.set()
    done = upload(client).json()["id"]
    assert ended(client, done)["state"] == "done"
    folders = [path.name for path in (tmp_path / "jobs").iterdir() if path.is_dir()]
    assert folders == [done]


def test_progress_and_results_before_the_end(serve, blocked):
    engine, free = blocked
    client = serve(engine=engine)
    id = upload(client).json()["id"]
    until = time.monotonic() + 30
    while client.get(f"/v1/jobs/{id}").json()["state"] != "running" and time.monotonic() < until:
        time.sleep(0.01)
    answer = client.get(f"/v1/jobs/{id}/result")
    assert answer.status_code == 409
    assert answer.json()["message"].startswith("the job is running: 0")
    free.set()
    ended(client, id)


def test_the_next_service_continues_with_the_first_block_that_is_not_done(
    serve, engine_of, checkpoints, tmp_path, monkeypatch
):
    monkeypatch.setattr("icdcli.predict.batches.BLOCK_CHARACTERS", 2_000)
    engine, stop, seen = engine_of(), threading.Event(), []
    predict = NotePredictor.predict

    def slowly(self, notes, *others):
        seen.extend(note.id for note in notes)
        if len(seen) > 20:
            stop.set()
            time.sleep(0.3)
        return predict(self, notes, *others)

    monkeypatch.setattr(NotePredictor, "predict", slowly)
    client = serve(engine=engine)
    id = upload(client, top=2).json()["id"]
    assert stop.wait(30)
    client.jobs.stop()
    parts = sorted(path.name for path in (tmp_path / "jobs" / id / "result.jsonl.parts").iterdir())
    assert any(name.endswith(".jsonl") for name in parts)
    assert not (tmp_path / "jobs" / id / "result.jsonl").exists()
    seen.clear()
    monkeypatch.setattr(
        NotePredictor,
        "predict",
        lambda self, notes, *more: seen.extend(n.id for n in notes) or predict(self, notes, *more),
    )
    again = serve(engine=engine_of())
    assert ended(again, id)["done"] == 40
    assert 0 < len(seen) < 40
    assert "note 0" not in seen  # of a block that was done
    (tmp_path / "notes.jsonl").write_bytes(JSONL)
    expected = tmp_path / "codes.jsonl"
    notes = find_notes([str(tmp_path / "notes.jsonl")])
    predict_to_file(checkpoints("tfidf"), notes, expected, top=2)
    assert again.get(f"/v1/jobs/{id}/result").content == expected.read_bytes()


def test_jobs_wait_until_the_model_is_loaded(engine_of, tmp_path):
    async def content():
        yield JSONL

    engines = []
    jobs = Jobs(tmp_path / "jobs", lambda: engines[0] if engines else None)
    jobs.start()
    try:
        id = asyncio.run(jobs.create("ana", JobOptions("jsonl"), content())).id
        assert jobs.find("ana", id).state == "waiting"
        engines.append(engine_of())
        until = time.monotonic() + 60
        while jobs.find("ana", id).state != "done" and time.monotonic() < until:
            time.sleep(0.02)
        assert jobs.find("ana", id).done == 40
    finally:
        jobs.stop()


def test_half_an_upload_is_gone_and_results_are_kept_after_a_restart(serve, engine_of, tmp_path):
    client = serve()
    id = upload(client).json()["id"]
    ended(client, id)
    client.jobs.stop()
    half = tmp_path / "jobs" / ("f" * 32)
    half.mkdir()
    (half / "notes.jsonl").write_bytes(JSONL[:100])
    again = serve(engine=engine_of())
    assert again.get(f"/v1/jobs/{id}").json()["state"] == "done"
    assert again.get(f"/v1/jobs/{id}/result").content
    assert not half.exists()


def test_a_second_service_refuses_the_folder(serve, engine_of, tmp_path):
    serve()
    with pytest.raises(ConfigError, match="another service keeps its jobs there"):
        Jobs(tmp_path / "jobs", engine_of).start()


def test_the_number_of_jobs_is_bounded_and_fetched_results_give_way(serve, blocked):
    engine, free = blocked
    client = serve(JobLimits(jobs=3, client_jobs=2), engine)
    ids = [upload(client).json()["id"] for _ in range(2)]
    refused = upload(client)
    assert refused.status_code == 429
    assert refused.json()["message"].startswith("you have 2 jobs")
    assert int(refused.headers["retry-after"]) > 0
    assert upload(client, name="ben").status_code == 202
    assert upload(client, name="eva").json()["message"].startswith("the service has as many")
    free.set()
    for id in ids:
        ended(client, id)
    assert upload(client).status_code == 429  # nothing was fetched yet
    client.get(f"/v1/jobs/{ids[1]}/result")
    assert upload(client).status_code == 202
    assert client.get(f"/v1/jobs/{ids[1]}").status_code == 404
    assert client.get(f"/v1/jobs/{ids[0]}/result").status_code == 200


def test_files_and_the_disk_are_bounded(serve, tmp_path):
    client = serve(JobLimits(upload_bytes=len(JSONL) - 1))
    answer = upload(client)
    assert (answer.status_code, "bytes" in answer.json()["message"]) == (413, True)
    assert [path for path in (tmp_path / "jobs").iterdir() if path.is_dir()] == []
    client.jobs.stop()
    shutil.rmtree(tmp_path / "jobs")
    full = serve(JobLimits(disk_bytes=len(JSONL) // 2))
    assert upload(full).status_code == 507
    assert [path for path in (tmp_path / "jobs").iterdir() if path.is_dir()] == []


def test_a_result_that_does_not_fit_ends_its_job(serve, engine_of, monkeypatch):
    monkeypatch.setattr("icdcli.service.jobs._BETWEEN_CHECKS", -1.0)
    client = serve(JobLimits(disk_bytes=len(JSONL) + 4_500))
    job = ended(client, upload(client, top=6).json()["id"])
    assert (job["state"], job["message"]) == ("failed", "there is no space for the result.")


def test_an_upload_that_breaks_off_leaves_nothing(serve, tmp_path):
    client = serve()

    async def half():
        yield JSONL[:200]
        raise ConnectionError

    with pytest.raises(Exception, match="stored"):
        asyncio.run(client.jobs.create("ana", JobOptions("jsonl"), half()))
    assert client.get("/v1/jobs").json() == {"jobs": []}
    assert [path for path in (tmp_path / "jobs").iterdir() if path.is_dir()] == []
