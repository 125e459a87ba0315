import sqlite3

import pytest

from icdcli.io.tables.database import connected, is_database, without_password


def test_addresses():
    assert is_database("sqlite:///a.db") and is_database("postgresql+psycopg://h/d")
    assert is_database("postgres://h/d")
    assert not is_database("s3://bucket/notes.csv") and not is_database("notes.csv")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:pa@ss@h/d", "postgresql://me:***@h/d"),
        ("postgresql://me:pa/s?s@h/d", "postgresql://me:***@h/d"),
        ("postgresql:/me:pass@h/d", "postgresql:/me:***@h/d"),  # as a path has it
        ("postgresql://me@h:5432/d", "postgresql://me@h:5432/d"),
        ("postgresql://h/d?user=me&password=pass&x=1", "postgresql://h/d?user=me&password=***&x=1"),
        ("mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3Dp", "mssql+pyodbc:///?odbc_connect=***"),
        ("sqlite:////data/a:b@c.db", "sqlite:////data/a:b@c.db"),
    ],
)
def test_passwords_are_not_shown(url, shown):
    assert without_password(url) == shown


def test_all_rows_of_a_connection_are_of_one_moment(tmp_path):
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE note (id INTEGER)")
        writer.execute("INSERT INTO note VALUES (1)")
    with connected(f"sqlite:///{path}") as database:
        assert database.require("note", ["id"]) == {"id"}
        with writer:
            writer.execute("INSERT INTO note VALUES (2)")
        assert list(database.chunks("note", ["id"], "id", 10)) == [[(1,)]]
    writer.close()
    with connected(f"sqlite:///{path}") as database:
        assert list(database.chunks("note", ["id"], "id", 1)) == [[(1,)], [(2,)]]
