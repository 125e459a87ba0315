"""`icdcode serve`: users, and what it refuses with one message, before anything is served."""

import os
import socket
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_store import made_up_store
from small_runs import notes, small_run
from starlette.testclient import TestClient

from icdcli.review.store import open_store
from icdcli.review.users import list_users, sign_in
from icdcli.review_page import hosting
from icdcli.review_page.store_lock import only_server

pytestmark = pytest.mark.usefixtures("own_folder")

# Users


def test_users_are_added_changed_and_closed(command: Callable[..., tuple[int, str]]) -> None:
    added = command("--create-user", "ana", "--role", "admin", typed="correct horse\n")
    assert added == (
        0,
        "Added: ana, admin, in review.db\n"
        "A server that is running without users must be started again.\n",
    )
    twice = command("--create-user", "ana", typed="correct horse\n")
    assert twice[0] == 2 and "there is a user 'ana' already" in twice[1]
    with open_store("review.db") as store:
        assert [(one.name, one.role) for one in list_users(store)] == [("ana", "admin")]
        assert sign_in(store, "ana", "correct horse")
    assert command("--set-password", "ana", typed="battery staple\n")[0] == 0
    with open_store("review.db") as store:
        assert sign_in(store, "ana", "correct horse") is None
        assert sign_in(store, "ana", "battery staple")
    assert command("--close-account", "ana")[0] == 0
    with open_store("review.db") as store:
        assert list_users(store) == []


@pytest.mark.parametrize(
    ("words", "typed", "code", "message"),
    [
        (("--create-user", "ana"), "", 2, "standard input has no password"),
        (("--create-user", "ana"), "short\n", 2, "at least 8 characters"),
        (("--create-user", " ana"), "correct horse\n", 2, "without blanks around it"),
        (("--set-password", "ana"), "correct horse\n", 2, "there is no such store"),
        (("--create-user", "a", "--set-password", "a"), "correct horse\n", 2, "give one of them"),
    ],
)
def test_users_that_cannot_be_added_are_refused(
    command: Callable[..., tuple[int, str]],
    words: tuple[str, ...],
    typed: str,
    code: int,
    message: str,
) -> None:
    found, printed = command(*words, typed=typed)
    assert found == code and message in printed


# Bad input: one message each, and nothing is served


@pytest.fixture
def never(served: list[Callable[[TestClient], None]]) -> None:
    def fail(_: TestClient) -> None:
        raise AssertionError("it was served")

    served.append(fail)


@pytest.mark.usefixtures("never")
def test_a_port_that_is_taken(command: Callable[..., tuple[int, str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, printed = command("--port", str(port))
    assert code == 2 and f"port {port}" in printed and "--port" in printed
    assert not Path("review.db").exists()


@pytest.mark.usefixtures("never")
def test_a_store_without_users_is_for_this_computer(
    command: Callable[..., tuple[int, str]],
) -> None:
    code, printed = command("--host", "0.0.0.0", "--port", "0")
    assert code == 2 and "has no users" in printed and "--create-user NAME" in printed
    for words in (("--host-name", "review.example"), ("--trusted-proxy", "127.0.0.1")):
        code, printed = command(*words, "--port", "0")
        assert code == 2 and f"{words[0]}: the store has no users" in printed
    code, printed = command("--trusted-header", "X-Remote-User")
    assert code == 2 and "--trusted-proxy" in printed
    assert os.listdir() == []  # nothing that was refused leaves a new store behind


@pytest.mark.usefixtures("never")
def test_what_is_refused_leaves_an_old_store_alone(
    command: Callable[..., tuple[int, str]],
) -> None:
    open_store("review.db").close()
    for words in (("missing",), ("--notes", "missing.csv"), ("--host", "0.0.0.0")):
        assert command(*words, "--port", "0")[0] in (2, 3)
        assert Path("review.db").exists()
    Path("review.db").unlink()
    for words in (("missing",), ("--notes", "missing.csv")):
        assert command(*words, "--port", "0")[0] in (2, 3)
        assert not list(Path.cwd().glob("review.db*"))


@pytest.mark.usefixtures("never")
def test_an_open_service_is_for_this_computer(
    command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    run = str(small_run(tmp_path / "run"))
    code, printed = command(run, "--host", "0.0.0.0", "--port", "0", "--no-page")
    assert code == 2 and "--token-file FILE" in printed
    assert command("--no-page")[0] == 2
    code, printed = command(run, "--no-page", "--no-service")
    assert code == 2 and "nothing would be served" in printed


@pytest.mark.usefixtures("never")
def test_a_store_that_is_already_served(
    command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    with open_store(tmp_path / "review.db") as store, only_server(store) as suggests:
        assert suggests
        code, printed = command("--port", "0")
    assert code == 2 and "is already being served (process" in printed
    assert not Path("review.db.lock").exists()


@pytest.mark.usefixtures("never")
def test_a_store_of_a_newer_version(
    command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    open_store(tmp_path / "review.db").close()
    with sqlite3.connect("review.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    code, printed = command("--port", "0")
    assert code == 3 and "newer version of icdcode" in printed


@pytest.mark.usefixtures("never")
def test_a_store_of_another_model(command: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    made_up_store(tmp_path / "review.db").close()
    run = str(small_run(tmp_path / "run"))
    code, printed = command(run, "--port", "0")
    assert code == 3 and "the label space of" in printed and "Use another store" in printed


@pytest.mark.usefixtures("never")
def test_a_share_that_cannot_be_changed(command: Callable[..., tuple[int, str]]) -> None:
    open_store("review.db", double_share=0.1).close()
    code, printed = command("--port", "0", "--double-share", "0.5")
    assert code == 2 and "was made with 0.1" in printed


@pytest.mark.usefixtures("never")
def test_an_id_with_another_text(command: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    made_up_store(tmp_path / "review.db").close()
    path = notes(tmp_path, new="Fine.", plain="Another text.")
    code, printed = command("--port", "0", "--notes", str(path))
    assert code == 3 and "note 'plain': there is another text with this id" in printed
    with open_store("review.db") as store:
        assert hosting.note_count(store) == 14  # nothing is half imported


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("missing",), 2, "missing"),
        (("--store", "missing/review.db"), 2, "the folder doesn't exist"),
        (("--notes", "missing.csv"), 3, "missing.csv: can't be read"),
        (("--port", "70000"), 2, "65,535"),
        (("--host", "nothing.invalid"), 2, "--host nothing.invalid"),
    ],
)
def test_what_is_not_there(
    command: Callable[..., tuple[int, str]], words: tuple[str, ...], code: int, message: str
) -> None:
    port = () if "--port" in words else ("--port", "0")
    found, printed = command(*words, *port)
    assert found == code and message in printed and "Traceback" not in printed


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("locked", ["review.db", "."])
def test_a_store_that_cannot_be_written(
    command: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.chdir(folder)
        path = Path("review.db")
        made_up_store(path).close()
        is_root = os.geteuid() == 0  # who may write everywhere, so that somebody else tries
        nobody = 65534
        if is_root:
            os.chown(folder, nobody, nobody)
            os.chown(path, nobody, nobody)
        Path(locked).chmod(0o400 if locked == "review.db" else 0o500)
        try:
            if is_root:
                os.seteuid(nobody)
            code, printed = command("--port", "0")
        finally:
            if is_root:
                os.seteuid(0)
            Path(locked).chmod(0o700)
        monkeypatch.chdir("/")
    assert code == 3 and "review.db: can't be written" in printed
    assert "Correct the permissions" in printed
