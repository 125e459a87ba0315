import base64
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from service_models import made_up_notes
from starlette.testclient import TestClient

from icdcli.data.notes.files import find_notes
from icdcli.model.checkpoint import load_checkpoint
from icdcli.predict.batches import NotePredictor
from icdcli.predict.run import predict_notes
from icdcli.predict.writers import note_line
from icdcli.service.application import create_service
from icdcli.service.clients import read_token_file
from icdcli.service.coding_service import ServiceSettings

MARK = "Zebrapatient"
TOKEN = "a-made-up-token-of-a-test"


@pytest.fixture
def client_of(engine_of):
    """Return a function that returns a client of a service with a small model."""

    def client(kind="tfidf", queue=None, **settings):
        client.engine = engine = engine_of(kind, **(queue or {}))
        app = create_service(lambda: engine, ServiceSettings(**settings))
        return TestClient(app, raise_server_exceptions=False)

    return client


def lines_of(folder, notes, **options):
    model = load_checkpoint(folder).model
    return [note_line(note) for note in predict_notes(model, notes, **options)]


@pytest.mark.parametrize("options", [{}, {"top": 3}, {"min_score": 0.2, "evidence": True}], ids=str)
def test_codes_are_the_bytes_that_predict_prints(client_of, checkpoints, options):
    notes = made_up_notes(5)
    body = {"notes": [{"id": note.id, "text": note.text} for note in notes], **options}
    expected = lines_of(checkpoints("llama"), notes, **options)
    client = client_of("llama")
    answer = client.post("/v1/code", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    inside = ", ".join(line.removesuffix("\n") for line in expected)
    assert f'"notes": [{inside}]'.encode() in answer.content
    lines = client.post("/v1/code", json=body, headers={"Accept": "text/x, application/jsonl;q=1"})
    assert lines.content == "".join(expected).encode()
    assert lines.headers["icdcode-model"] == answer.json()["model"]["sha256"]


def test_one_text_is_a_note_and_empty_ones_have_no_codes(client_of):
    client = client_of()
    (note,) = client.post("/v1/code", json={"text": "Kidney failure.", "top": 1}).json()["notes"]
    assert (note["id"], len(note["codes"])) == ("1", 1)
    notes = [{"text": ""}, {"text": " \n", "id": 7}]
    found = client.post("/v1/code", json={"notes": notes, "top": 1}).json()["notes"]
    assert [(note["id"], note["windows"], note["codes"]) for note in found] == [
        ("1", 0, []),
        ("7", 0, []),
    ]


def document(text):
    data = base64.b64encode(text.encode()).decode()
    attachment = {"contentType": "text/plain; charset=utf-8", "data": data}
    return {
        "resourceType": "DocumentReference",
        "id": "d1",
        "content": [{"attachment": attachment}],
    }


def test_a_document_reference_gives_what_predict_prints_of_it(client_of, checkpoints, tmp_path):
    client, resource = client_of(), document("Kidney failure and pneumonia.")
    (tmp_path / "d1.json").write_text(json.dumps(resource))
    notes = list(find_notes([str(tmp_path / "d1.json")]))
    model = load_checkpoint(checkpoints("tfidf")).model
    coded = list(predict_notes(model, notes, top=2))
    (expected,) = (note_line(note, given) for note, given in zip(coded, notes, strict=True))
    lines = {"Accept": "application/jsonl"}
    inside = client.post("/v1/code", json={"resource": resource, "top": 2}, headers=lines)
    fhir = {"Content-Type": "application/fhir+json", **lines}
    bare = client.post("/v1/code?top=2", content=json.dumps(resource), headers=fhir)
    assert inside.text == bare.text == expected
    assert json.loads(expected)["origin"]["resource"] == "DocumentReference/d1"


def test_checks_are_those_of_predict(client_of, checkpoints):
    body = {"text": "heart failure", "min_score": 0, "check": True, "date": "2026-05-01"}
    (note,) = client_of("llama").post("/v1/code", json=body).json()["notes"]
    assert note["checked_by"][0].startswith("icd10cm-2026-04@")
    assert isinstance(note["findings"], list)
    refused = client_of("tfidf").post("/v1/code", json=body)
    assert refused.status_code == 422 and "--check" in refused.json()["message"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("{}", 422, "the request needs one of text, notes and resource."),
        (f'{{"text": "{MARK}", "notes": []}}', 422, "and has text and notes"),
        (f'{{"notes": [], "id": "{MARK}"}}', 422, "id and date belong to text"),
        (f'{{"text": "{MARK}", "{MARK}": 1}}', 422, "(another): there is no such field."),
        (f'{{"text": ["{MARK}"]}}', 422, "text: input should be a valid string."),
        (f'{{"text": "x", "top": "{MARK}"}}', 422, "top: input should be a valid integer"),
        ('{"text": "x", "top": 0}', 422, "top: input should be greater than or equal to 1."),
        ('{"text": "x", "min_score": NaN}', 422, "min_score:"),
        ('{"text": "x", "date": "1.2.2026"}', 422, "date: has a value that isn't allowed."),
        (f'{{"notes": [{{"text": "a"}}, {{"id": "{MARK}"}}]}}', 422, "notes[1].text: is missing."),
        (f'{{"notes": ["{MARK}"]}}', 422, "notes[0]: has a value that isn't allowed."),
        (f'{{"text": "{MARK}\\u0000"}}', 422, "text: has zero bytes"),
        (f'{{"text": "{MARK}\\ud800"}}', 422, "text: isn't valid Unicode"),
        (f'{{"text": "x", "id": "{MARK}\\udc80"}}', 422, "id: "),
        (f'{{"text": "{{\\\\rtf1 {MARK}}}"}}', 422, "not plain text"),
        (f'{{"text": "{MARK}', 422, "the body isn't valid JSON (character"),
        (f'"{MARK}"', 422, "the body: has a value that isn't allowed."),
        ('{"text": "\xff' + MARK + '"}', 400, "the body can't be read."),
        ("[" * 100_000, 400, "the body can't be read."),
        (f'{{"resourceType": "Patient", "id": "{MARK}"}}', 422, "resource: is Patient."),
        ("", 422, "the body: is missing."),
    ],
)
def test_a_bad_request_gets_one_message_without_what_was_sent(client_of, body, status, message):
    json_type = {"Content-Type": "application/json"}
    answer = client_of().post("/v1/code", content=body.encode("latin-1"), headers=json_type)
    assert answer.status_code == status and message in answer.json()["message"]
    assert MARK not in answer.text


def test_an_option_twice_a_wrong_method_and_address_are_refused(client_of):
    client = client_of()
    twice = client.post(f"/v1/code?top=2&min_score={MARK}", json={"text": "x", "top": 1})
    assert twice.status_code == 422 and MARK not in twice.text
    twice = client.post("/v1/code?top=2", json={"text": "x", "top": 1})
    assert (twice.status_code, twice.json()["message"][:4]) == (422, "top:")
    assert client.get("/v1/code").status_code == 405
    missing = client.get(f"/{MARK}")
    assert missing.status_code == 404 and MARK not in missing.text


def test_requests_and_notes_that_are_too_large_are_refused_before_they_are_read(client_of):
    client = client_of(note_characters=100, request_notes=2, body_bytes=1000)
    long = client.post("/v1/code", json={"text": "x" * 101})
    assert long.status_code == 413 and "101 characters, more than 100" in long.json()["message"]
    many = client.post("/v1/code", json={"notes": [{"text": "x"}] * 3})
    assert many.status_code == 413 and "3 notes, more than 2" in many.json()["message"]
    large = client.post("/v1/code", content=b" " * 1001)
    assert large.status_code == 413 and "1,000 bytes" in large.json()["message"]
    without_length = client.post("/v1/code", content=(b" " * 100 for _ in range(11)))
    assert without_length.status_code == 413


def test_clients_need_a_valid_token(client_of, tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"# of a test\nward: {TOKEN}\n")
    path.chmod(0o600)
    client = client_of(clients=read_token_file(path))
    body = {"text": "pain"}
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Token {TOKEN}"}):
        answer = client.post("/v1/code", json=body, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    basic = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
    for value in (f"Bearer {TOKEN}", f"bearer  {TOKEN}", f"Basic {basic}"):
        authorization = {"Authorization": value}
        assert client.post("/v1/code", json=body, headers=authorization).status_code == 200
    assert client.get("/metrics").status_code == 401
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
    metrics = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    assert 'icdcode_requests_total{client="ward",route="/v1/code",status="200"} 3.0' in metrics
    assert 'icdcode_requests_total{client="",route="/v1/code",status="401"} 3.0' in metrics
    assert TOKEN not in metrics


def test_metrics_count_notes_batches_and_what_waits(client_of, checkpoints):
    client = client_of()
    client.post("/v1/code", json={"notes": [{"text": "pain"}, {"text": "cough"}]})
    metrics = client.get("/metrics").text
    for line in (
        "icdcode_notes_total 2.0",
        "icdcode_characters_total 9.0",
        "icdcode_batch_notes_count 1.0",
        "icdcode_waiting_requests 0.0",
        f'icdcode_model{{name="tfidf",sha256="{client_of.engine.sha256}"}} 1.0',
        "process_resident_memory_bytes",
    ):
        assert line in metrics


def test_a_full_queue_is_429_and_a_closed_service_503(client_of):
    client = client_of(queue={"waiting_requests": 1})
    free, started = threading.Event(), threading.Event()
    engine = client_of.engine
    engine.call(lambda model: (started.set(), free.wait(60)), background=False)
    assert started.wait(60)
    full = client.post("/v1/code", json={"text": MARK})
    assert full.status_code == 429 and int(full.headers["retry-after"]) >= 1
    client.app.state.coding_service.stop()
    closed = client.post("/v1/code", json={"text": MARK})
    assert closed.status_code == 503 and closed.headers["retry-after"] == "5"
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (503, {"status": "stopping"})
    assert client.get("/healthz").json() == {"status": "ok"}
    free.set()


def test_a_service_answers_while_its_model_is_loaded(engine_of):
    engines = []
    client = TestClient(create_service(lambda: engines[0] if engines else None))
    assert client.get("/readyz").json() == {"status": "loading"}
    waiting = client.post("/v1/code", json={"text": "pain"})
    assert waiting.status_code == 503 and "loaded" in waiting.json()["message"]
    engines.append(engine_of())
    assert client.get("/readyz").json() == {"status": "ready"}
    assert client.post("/v1/code", json={"text": "pain"}).status_code == 200


def test_no_text_reaches_logs_metrics_or_errors(client_of, monkeypatch, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    client = client_of()
    bodies = [
        {"text": MARK, "id": MARK, "evidence": True},
        {"notes": [{"text": MARK}], MARK: MARK},
        document(MARK),
        {"text": MARK + "\0"},
        {"text": MARK, "date": MARK},
    ]
    for body in bodies:
        client.post("/v1/code", json=body)

    def fail(self, notes):
        raise ValueError(f"could not read {notes[0].text}")

    monkeypatch.setattr(NotePredictor, "predict", fail)
    failed = client.post("/v1/code", json={"text": MARK})
    assert failed.status_code == 500 and MARK not in failed.text
    seen = capfd.readouterr()
    for place in (caplog.text, client.get("/metrics").text, seen.out, seen.err):
        assert MARK not in place
    assert "a request failed: ValueError at " in caplog.text


def test_64_clients_at_once_get_what_predict_prints(client_of, checkpoints):
    notes = made_up_notes(16, 100)
    lines = lines_of(checkpoints("llama"), notes, top=3)
    client = client_of("llama")

    def ask(number):
        note = notes[number % len(notes)]
        body = {"text": note.text, "id": note.id, "top": 3}
        return client.post("/v1/code", json=body, headers={"Accept": "application/jsonl"}).text

    with ThreadPoolExecutor(64) as threads:
        answers = list(threads.map(ask, range(64)))
    assert answers == [lines[number % len(notes)] for number in range(64)]
