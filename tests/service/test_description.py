"""``/openapi.json`` against what is served: every route, and answers of every kind."""

import json
import re

import pytest
from starlette.testclient import TestClient

from icdcli.service.application import create_service
from icdcli.service.clients import ServiceClients
from icdcli.service.coding_service import ServiceSettings
from icdcli.service.inception import inception_router
from icdcli.service.job_routes import jobs_router
from icdcli.service.jobs import Jobs
from icdcli.service.label_studio import label_studio_router
from icdcli.service.routing import client_name

TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}


class Schema:
    """The part of JSON Schema that the description uses; anything else is an error."""

    KNOWN = frozenset(
        "$ref additionalProperties anyOf const default description enum items maximum minimum "
        "properties required title type".split()
    )

    def __init__(self, description):
        self.components = description["components"]["schemas"]

    def problems(self, schema, value, place=""):
        if "$ref" in schema:
            schema = self.components[schema["$ref"].rpartition("/")[2]]
        assert not schema.keys() - self.KNOWN, schema
        if "anyOf" in schema:
            return (
                []
                if any(not self.problems(one, value) for one in schema["anyOf"])
                else [f"{place}: none of anyOf"]
            )
        kind = schema.get("type")
        if kind is not None and (
            not isinstance(value, TYPES[kind]) or (kind != "boolean" and isinstance(value, bool))
        ):
            return [f"{place}: not {kind}"]
        if "enum" in schema and value not in schema["enum"]:
            return [f"{place}: not one of {schema['enum']}"]
        found = []
        if isinstance(value, dict):
            properties, more = schema.get("properties", {}), schema.get("additionalProperties")
            found += [
                f"{place}.{name}: missing"
                for name in schema.get("required", ())
                if name not in value
            ]
            for name, inner in value.items():
                if name in properties:
                    found += self.problems(properties[name], inner, f"{place}.{name}")
                elif more is False or (more is None and properties):
                    found.append(f"{place}.{name}: not described")
        if isinstance(value, list):
            for number, inner in enumerate(value):
                found += self.problems(schema.get("items", {}), inner, f"{place}[{number}]")
        return found


@pytest.fixture
def client(engine_of, tmp_path):
    engine = engine_of("llama")
    jobs = Jobs(tmp_path / "jobs", lambda: engine)
    jobs.start()

    async def code(notes):
        return await app.state.coding_service.code_with_evidence(notes)

    routers = (
        jobs_router(jobs, client_name),
        label_studio_router(code, "small"),
        inception_router(code),
    )
    settings = ServiceSettings(note_characters=1000)
    app = create_service(lambda: engine, settings, routers)
    client = TestClient(app, raise_server_exceptions=False)
    client.service = app.state.coding_service
    yield client
    jobs.stop()


def answers(client):
    """Ask for everything; yield (method, described path, answer)."""
    code = "/v1/code"
    options = {"top": 3, "evidence": True, "resolve": True}
    yield "post", code, client.post(code, json={"text": "heart failure, had no cough", **options})
    yield "post", code, client.post(code, json={"notes": [{"text": ""}]})
    yield "post", code, client.post(code, json={"text": 1})
    yield "post", code, client.post(code, json={"text": "x" * 1001})
    json_type = {"Content-Type": "application/json"}
    yield "post", code, client.post(code, content=b"\xff", headers=json_type)
    resource = {"resourceType": "Composition", "section": [{"title": "Pneumonia"}]}
    yield "post", code, client.post(code, json=resource)
    for path in ("/healthz", "/readyz", "/metrics"):
        yield "get", path, client.get(path)
    created = client.post("/v1/jobs?type=txt", content=b"chest pain")
    yield "post", "/v1/jobs", created
    yield "post", "/v1/jobs", client.post("/v1/jobs", content=b"chest pain")
    yield "get", "/v1/jobs", client.get("/v1/jobs")
    job = f"/v1/jobs/{created.json()['id']}"
    yield "get", "/v1/jobs/{id}", client.get(job)
    yield "get", "/v1/jobs/{id}", client.get("/v1/jobs/none")
    while client.get(job).json()["state"] not in ("done", "failed"):
        pass
    yield "get", "/v1/jobs/{id}/result", client.get(f"{job}/result")
    yield "get", "/v1/jobs/{id}/result", client.get("/v1/jobs/none/result")
    yield "delete", "/v1/jobs/{id}", client.delete(job)
    yield "delete", "/v1/jobs/{id}", client.delete(job)
    config = '<View><Text name="t" value="$text"/><Taxonomy name="c" toName="t"/></View>'
    studio = "/label-studio"
    for path in ("/", "/health", "/versions"):
        yield "get", studio + path, client.get(studio + path)
    for path, body in (
        ("/setup", {"schema": config}),
        ("/versions", {}),
        ("/predict", {"tasks": [{"id": 1, "data": {"text": "pain"}}], "label_config": config}),
        ("/train", {}),
        ("/webhook", {}),
    ):
        yield "post", studio + path, client.post(studio + path, json=body)
    for path in ("/predict", "/train"):
        yield "post", f"/inception{path}", client.post(f"/inception{path}", json={})
    client.service.settings = ServiceSettings(ServiceClients([("a", b"")]))
    yield "post", code, client.post(code, json={"text": "pain"})
    yield "get", "/metrics", client.get("/metrics")
    client.service.settings = ServiceSettings()
    client.service.stop()
    yield "get", "/readyz", client.get("/readyz")
    yield "post", code, client.post(code, json={"text": "pain"})


def test_the_description_is_what_is_served(client):
    description = client.get("/openapi.json").json()
    schema, seen, wrong = Schema(description), set(), []
    for method, path, answer in answers(client):
        described = description["paths"][path][method]["responses"]
        seen.add((method, path))
        status, kind = str(answer.status_code), answer.headers.get("content-type", "")
        if status not in described:
            wrong.append(f"{method} {path} {status}: not described: {answer.text[:200]}")
            continue
        content = described[status].get("content", {})
        media_type = kind.partition(";")[0]
        if media_type == "application/json":
            body = answer.json()
            found = schema.problems(content.get(media_type, {}).get("schema", {"enum": []}), body)
            wrong += [f"{method} {path} {status}{one}" for one in found]
        elif answer.content and media_type not in content:
            wrong.append(f"{method} {path} {status}: {media_type} isn't described")
    assert wrong == []
    assert seen == {
        (method, path) for path, methods in description["paths"].items() for method in methods
    }
    assert description["info"]["title"] == "icdcode"


def test_the_request_of_codes_is_described_with_its_options_and_tokens(client):
    description = client.get("/openapi.json").json()
    code = description["paths"]["/v1/code"]["post"]
    assert {one["name"] for one in code["parameters"]} == {
        "top", "min_score", "evidence", "check", "resolve",
    }  # fmt: skip
    bodies = code["requestBody"]["content"]
    assert set(bodies) == {"application/json", "application/fhir+json"}
    name = re.sub(r".*/", "", bodies["application/json"]["schema"]["$ref"])
    assert {"text", "notes", "resource", "top"} <= set(
        description["components"]["schemas"][name]["properties"]
    )
    assert code["security"] and "HTTPValidationError" not in json.dumps(code)
