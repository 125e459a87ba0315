"""Checkpoints of small models, and engines with them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for `service_models`, which these tests share

from service_models import small_model

from icdcli.io.manifest import write_manifest
from icdcli.model.checkpoint import load_checkpoint
from icdcli.service.engine import CodingEngine


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
