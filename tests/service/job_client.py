"""Clients of a service of jobs, and the notes that they upload."""

import json
import time

from service_models import made_up_notes

ROWS = [{"id": note.id, "text": note.text} for note in made_up_notes(40, 40)]
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def token(name):
    return f"{name} {'0' * 20}"


def upload(client, content=JSONL, *, name="ana", **options):
    options.setdefault("type", "jsonl")
    headers = {"Authorization": f"Bearer {token(name)}"}
    return client.post("/v1/jobs", params=options, content=content, headers=headers)


def ended(client, id, name="ana"):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        job = client.get(
            f"/v1/jobs/{id}", headers={"Authorization": f"Bearer {token(name)}"}
        ).json()
        if job["state"] in ("done", "failed"):
            return job
        time.sleep(0.02)
    raise AssertionError(job)
