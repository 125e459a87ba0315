"""Stores with invented notes, and people who visit their pages."""

import io
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from starlette.testclient import TestClient

sys.path.append(str(Path(__file__).parent))  # for the modules that these tests share

from made_up_store import made_up_store
from visiting import PageVisitor, visitor_of

from icdcli.cli import main
from icdcli.review import users
from icdcli.review.store import Store, open_store
from icdcli.review_page import hosting


@pytest.fixture(scope="session", autouse=True)
def quick_disk(stores_wait_for_no_disk: str) -> None:
    """Save without waiting for the disk."""


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords with little work; tests/review has those of the real cost."""
    monkeypatch.setattr(users, "PasswordHasher", partial(PasswordHasher, 1, 8, 1))


@pytest.fixture(scope="session")
def made_up_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the stores that were made before, by their options."""
    return {"": tmp_path_factory.mktemp("made_up")}


@pytest.fixture
def new_store(tmp_path: Path, made_up_files: dict[str, Path]) -> Iterator[Callable[..., Store]]:
    """Return a function that makes a store with invented notes: a copy of one made before."""
    with ExitStack() as opened:

        def make(**options: object) -> Store:
            key = repr(sorted(options.items()))
            if key not in made_up_files:
                path = made_up_files[""] / f"{len(made_up_files)}.db"
                made_up_store(path, **options).close()
                made_up_files[key] = path
            path = Path(shutil.copy(made_up_files[key], tmp_path / "review.db"))
            return opened.enter_context(open_store(path))

        yield make


@pytest.fixture
def store(new_store: Callable[..., Store]) -> Store:
    return new_store()


@pytest.fixture
def visitor(store: Store) -> PageVisitor:
    """Return the local user, who has opened the queue."""
    return visitor_of(store)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Return a function that runs ``icdcode serve``, and returns its code and what it printed."""

    def run(*words: str, typed: str = "") -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["icdcode", "serve", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[TestClient], None]]:
    """Let servers call the functions of a list with a client, and end, instead of listening."""
    visits: list[Callable[[TestClient], None]] = []

    class Server:
        def __init__(self, app: object, service: object) -> None:
            self.app = app

        def end(self) -> None:
            pass

        def run(self, sockets: object) -> None:
            client = TestClient(self.app, base_url="http://localhost", follow_redirects=False)
            for visit in visits:
                visit(client)

    monkeypatch.setattr(hosting, "ApplicationServer", Server)
    return visits
