"""Stores are made, upgraded and refused, in SQLite and PostgreSQL."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import delete, insert, text, update
from sqlalchemy.exc import DBAPIError

from icdcli.errors import ConfigError, DataError
from icdcli.review import store as store_module
from icdcli.review.migrations.upgrade import known_versions, schema_version
from icdcli.review.schema import APPEND_ONLY, SettingRow, Table, TextRow
from icdcli.review.store import Store, open_store


def test_the_migrations_make_the_tables_of_the_models(store: Store) -> None:
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, Table.metadata) == []
        assert schema_version(connection) == known_versions()[0]


def test_a_store_keeps_the_settings_that_it_was_made_with(opened: Callable[..., Store]) -> None:
    opened(double_share=0.25, double_seed=7)
    settings = opened(double_share=0.5, double_seed=8).settings()
    assert (settings["double_share"], settings["double_seed"]) == (0.25, 7)


def test_processes_that_make_a_store_at_once_make_one(target: str) -> None:
    def settings(_: int) -> dict:
        with open_store(target) as store:
            return store.settings()

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(settings, range(4)))
    assert found == found[:1] * 4


def test_a_store_of_a_newer_version_is_refused(opened: Callable[..., Store]) -> None:
    with opened().writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DataError, match=r"newer version of icdcode .*9999.* Upgrade icdcode"):
        opened()


def test_a_database_of_another_program_is_refused(opened: Callable[..., Store]) -> None:
    with opened().writing() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    with pytest.raises(DataError, match="is a database of another program"):
        opened()


def test_a_store_that_must_exist_is_not_made(target: str) -> None:
    with pytest.raises(ConfigError, match="there is no"):
        open_store(target, create=False)
    assert "://" in target or not Path(target).exists()


@pytest.mark.parametrize("table", APPEND_ONLY, ids=lambda table: table.__tablename__)
def test_the_database_refuses_to_change_what_is_append_only(store: Store, table: type) -> None:
    raw = {
        "settings": "INSERT INTO settings VALUES ('x', '1')",
        "notes": "INSERT INTO notes VALUES (1, 'a', 't', null, null, null, null, null, 1, 'now')",
        "models": "INSERT INTO models VALUES (1, 'h', 'm', 'l', 1, '{}', '{}', 'now')",
        "suggestion_sets": "INSERT INTO suggestion_sets VALUES (1, 1, 1, 'c', 0, 'now')",
        "suggestions": "INSERT INTO suggestions VALUES (1, 1, 'I10', null, 1, 1, 1, null, '[]')",
        "events": "INSERT INTO events VALUES (1, 1, 1, 1, 'a', 'now', 'submit', '{}', '{}', '{}', "
        "null, null, '{}', 0, null, null)",
        "queue_changes": "INSERT INTO queue_changes VALUES (1, 1, 1, 'a', 'now', 0, null)",
    }
    with store.writing() as connection:
        connection.execute(text("INSERT INTO texts VALUES ('t', 1, 'x')"))
        for statement in raw.values():
            connection.execute(text(statement.replace(":", r"\:")))
    column = next(iter(table.__table__.columns))
    for statement in (update(table).values({column.name: column}), delete(table)):
        with pytest.raises(DBAPIError, match="append-only"), store.writing() as connection:
            connection.execute(statement)


def test_texts_can_be_purged_and_nothing_else(store: Store) -> None:
    with store.writing() as connection:
        connection.execute(insert(TextRow).values(sha256="a", characters=1, content="x"))
    for statement in (update(TextRow).values(content="y"), delete(TextRow)):
        with pytest.raises(DBAPIError, match=r"purged|append-only"), store.writing() as connection:
            connection.execute(statement)
    with store.writing() as connection:
        connection.execute(update(TextRow).values(content=None))


def test_a_migration_that_fails_leaves_nothing_behind(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import icdcli.review.migrations.versions.v0001_first as first

    def broken(store: Store, *_: object) -> None:
        from icdcli.review.migrations.upgrade import upgrade_schema

        with store.writing() as connection:
            upgrade_schema(connection)
            raise RuntimeError("broken")

    assert first.revision == "0001"
    with monkeypatch.context() as patch:
        patch.setattr("icdcli.review.store._bring_up_to_date", broken)
        with pytest.raises(RuntimeError, match="broken"):
            open_store(target)
    assert "://" in target or not Path(target).exists()
    with open_store(target) as store:  # also in PostgreSQL, the tables were rolled back
        assert store.settings()["double_share"] == 0


def test_messages_have_no_values_of_statements(store: Store) -> None:
    row = {"key": "note", "value": "a secret text"}
    with pytest.raises(DBAPIError) as caught, store.writing() as connection:
        connection.execute(insert(SettingRow), [row, row])
    assert "secret" not in str(caught.value)


# SQLite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "review.db"


def test_only_the_user_can_read_the_file(path: Path) -> None:
    before = os.umask(0)
    try:
        with open_store(path) as store, store.writing():
            files = sorted(path.parent.iterdir())
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files}
    finally:
        os.umask(before)
    assert modes == {"review.db": 0o600, "review.db-shm": 0o600, "review.db-wal": 0o600}


def test_the_file_has_the_promised_settings(
    path: Path, monkeypatch: pytest.MonkeyPatch, stores_wait_for_no_disk: str
) -> None:
    monkeypatch.setattr(store_module, "_SYNCHRONOUS", stores_wait_for_no_disk)
    with open_store(path) as store, store.reading() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        }
    assert found == {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "busy_timeout": 30000,
        "synchronous": 2,
    }


def test_a_foreign_key_is_enforced(store: Store) -> None:
    statement = "INSERT INTO queue_changes VALUES (1, 99, 1, 'a', 'now', 0, null)"
    with pytest.raises(DBAPIError), store.writing() as connection:
        connection.execute(text(statement))


def test_a_path_that_cannot_be_a_store_is_one_message(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        open_store(tmp_path)
    with pytest.raises(ConfigError, match="folder doesn't exist"):
        open_store(tmp_path / "missing" / "review.db")
    path.write_text("id,text\n1,fever\n")
    with pytest.raises(DataError, match="is not a review store"):
        open_store(path)
    assert path.read_text() == "id,text\n1,fever\n"
    path.write_bytes(b"SQLite format 3\x00" + b"nonsense" * 100)
    with pytest.raises(DataError, match="can't be read"):
        open_store(path)
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE bookmarks (url)")
    other.close()
    with pytest.raises(DataError, match=r"another program .*'bookmarks'"):
        open_store(path)


@pytest.mark.parametrize("what", ["folder", "file", "hidden"])
def test_a_read_only_place_is_one_message(what: str) -> None:
    folder = Path(tempfile.mkdtemp())
    path = folder / "review.db"
    if what == "file":
        open_store(path).close()
        path.chmod(0o444)
    folder.chmod(0o000 if what == "hidden" else 0o555)
    code = (
        "import os, sys\n"
        "from icdcli.review.store import open_store\n"
        "from icdcli.errors import DataError\n"
        "open_store(sys.argv[2]).close()\n"  # everything is imported before the user changes
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: open_store(sys.argv[1])\n"
        "except DataError as error: print(error)\n"
    )
    with tempfile.TemporaryDirectory() as other:
        done = subprocess.run(
            [sys.executable, "-c", code, str(path), f"{other}/review.db"],
            capture_output=True,
            text=True,
            check=False,
        )
    folder.chmod(0o755)
    shutil.rmtree(folder)
    assert "Correct the permissions" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("url", ["mysql://host/db", "http://host", "postgres//x://", "://"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        open_store(url)


def test_a_server_that_does_not_answer_is_one_message_without_the_password() -> None:
    with pytest.raises(DataError) as caught:
        open_store("postgresql://me:secret@127.0.0.1:1/reviews?connect_timeout=2")
    assert "doesn't answer" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_without_the_extra_there_is_one_message() -> None:
    code = (
        "import importlib.util, sys\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda n, *a: None if n == 'alembic' else found(n, *a)\n"
        "from icdcli.errors import ConfigError\n"
        "import icdcli\n"
        "assert not {'sqlalchemy', 'alembic', 'argon2'} & sys.modules.keys()\n"
        "try: import icdcli.review.store\n"
        "except ConfigError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "reviewing needs more packages (alembic): pip install 'icdcode[serve]'\n"
    )
