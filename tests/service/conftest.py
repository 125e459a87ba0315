"""Checkpoints of small models, and engines with them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for `service_models`, which these tests share

from fastapi.testclient import TestClient
from job_client import token
from service_models import small_model

from icdcli.io.manifest import write_manifest
from icdcli.model.checkpoint import load_checkpoint
from icdcli.service.application import create_service
from icdcli.service.clients import read_token_file
from icdcli.service.coding_service import ServiceSettings
from icdcli.service.engine import CodingEngine
from icdcli.service.job_routes import jobs_router
from icdcli.service.jobs import JobLimits, Jobs
from icdcli.service.routing import client_name


@pytest.fixture(scope="session")
def checkpoints(
    model_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Return a function that returns the checkpoint of a kind of model, one of `KINDS`."""
    root = tmp_path_factory.mktemp("checkpoints")

    def checkpoint(kind: str) -> Path:
        folder = root / kind
        if not folder.exists():
            folder.mkdir()
            small_model(kind, model_folders).save(folder)
            write_manifest(folder, {"step": 1})
        return folder

    return checkpoint


@pytest.fixture
def engine_of(checkpoints: Callable[[str], Path]) -> Iterator[Callable[..., CodingEngine]]:
    """Return a function that starts an engine, which is closed after the test."""
    with ExitStack() as stack:

        def start(kind: str = "tfidf", **options: object) -> CodingEngine:
            engine = CodingEngine(load_checkpoint(checkpoints(kind)), kind, **options)
            stack.callback(engine.close, drain=False, timeout=60)
            return engine

        yield start


@pytest.fixture
def serve(
    engine_of: Callable[..., CodingEngine], tmp_path: Path
) -> Iterator[Callable[..., TestClient]]:
    """Return a function that starts a service of jobs and returns a client of it."""
    started: list[Jobs] = []
    tokens = tmp_path / "tokens"
    tokens.touch(0o600)
    tokens.write_text("".join(f"{name}:{token(name)}\n" for name in ("ana", "ben", "eva")))
    settings = ServiceSettings(read_token_file(tokens))

    def start(limits: JobLimits | None = None, engine: CodingEngine | None = None) -> TestClient:
        own = engine or engine_of()
        jobs = Jobs(tmp_path / "jobs", lambda: own, limits)
        jobs.start()
        started.append(jobs)
        router = jobs_router(jobs, client_name)
        client = TestClient(create_service(lambda: own, settings, [router]))
        client.jobs = jobs
        client.headers["Authorization"] = f"Bearer {token('ana')}"
        return client

    yield start
    for jobs in started:
        jobs.stop()
