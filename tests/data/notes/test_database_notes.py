"""OMOP's table NOTE in a database."""

import importlib.util
import sqlite3
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import InternalError

from icdcli import extras
from icdcli.data.notes.encounters import ByEncounter
from icdcli.data.notes.files import find_notes
from icdcli.errors import ConfigError, DataError
from icdcli.io.tables.database import connected

SECRET = "Longfellow"
TABLE = (
    "CREATE TABLE note (note_id INTEGER, person_id INTEGER, note_date DATE, note_text TEXT, "
    "visit_occurrence_id INTEGER)"
)
ROWS = [(12, 8, "2026-01-06", "Asthma", None), (11, 7, "2026-01-05", "Gout,\nfever", 3)]
FOUND = [("11", "Gout,\nfever", "7", "3"), ("12", "Asthma", "8", None)]


@pytest.fixture
def database(tmp_path):
    """Return a function that makes a database and returns its address."""

    def make(*rows, table=TABLE):
        path = tmp_path / "cdm 1.db"
        path.unlink(missing_ok=True)
        with sqlite3.connect(path) as connection:
            connection.execute(table)
            places = ", ".join("?" * len(rows[0])) if rows else ""
            connection.executemany(f"INSERT INTO note VALUES ({places})", rows) if rows else None
        connection.close()
        return f"sqlite:///{path}"

    return make


def read(notes):
    notes.check()
    return [(one.id, one.text, one.origin.patient, one.origin.encounter) for one in notes]


def test_notes_in_the_order_of_their_ids(database, tmp_path):
    url = database(*ROWS)
    before = (tmp_path / "cdm 1.db").read_bytes()
    notes = find_notes([url], date_column="note_date")
    assert read(notes) == FOUND
    assert [str(note.day) for note in notes] == ["2026-01-05", "2026-01-06"]
    assert notes.remarks == [f"{url} is read as OMOP's table NOTE, read only"]
    assert (tmp_path / "cdm 1.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["cdm 1.db"]


def test_changes_change_the_state(database):
    states = {find_notes([database(*rows)]).state for rows in (ROWS, ROWS[:1], ROWS[1:])}
    longer = [(*row[:3], f"{row[3]}!", row[4]) for row in ROWS]
    states.add(find_notes([database(*longer)]).state)
    assert len(states) == 4
    assert find_notes([database(*ROWS)]).state in states


def test_many_rows_are_read_a_few_at_a_time(database):
    rows = [(number, 1, None, f"Note {number}", None) for number in range(500)]
    url = database(*rows)
    assert [note.text for note in find_notes([url])] == [row[3] for row in rows]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([(1, 1, None, SECRET, 1), (1, 1, None, SECRET, 1)], "note 1: is there twice"),
        ([(1, 1, None, b"\x00", 1)], "note 1: note_text is bytes, not a text"),
        ([(1, 1, None, "<p>Gout</p><p>x</p>", 1)], "note 1: is HTML, not plain text"),
        (
            [(1, 1, "soon", "Gout", 1)],
            "row 1: note_date has a value of 4 characters, which isn't a day",
        ),
    ],
)
def test_rows_that_are_refused(database, rows, says):
    with pytest.raises(DataError) as caught:
        find_notes([database(*rows)], date_column="note_date").check()
    assert says in str(caught.value) and SECRET not in str(caught.value)


def test_databases_that_are_refused(database, tmp_path, monkeypatch):
    def problem(url, kind=DataError, **options):
        with pytest.raises(kind) as caught:
            find_notes([url], **options).check()
        assert SECRET not in str(caught.value) and caught.value.__cause__ is None
        return str(caught.value)

    other = database(table="CREATE TABLE person (person_id INTEGER)")
    assert "has no table note. Give the address of an OMOP database" in problem(other)
    short = database(table="CREATE TABLE note (note_id INTEGER, person_id INTEGER)")
    assert "the table note has no column 'note_text'" in problem(short)
    assert "has no column 'day'" in problem(database(*ROWS), date_column="day")
    assert problem(f"sqlite:///{tmp_path}/gone.db").endswith("gone.db: no such file.")
    assert not (tmp_path / "gone.db").exists()
    (tmp_path / "text.db").write_text(SECRET * 9)
    assert "can't be read (DatabaseError)" in problem(f"sqlite:///{tmp_path}/text.db")
    unknown = problem(f"mysql+nothing://u:{SECRET}@h/d", ConfigError)
    assert unknown == "mysql+nothing://u:***@h/d: isn't the address of a database that is known."
    closed = problem(f"postgresql+psycopg://u:{SECRET}@127.0.0.1:1/d")
    assert "postgresql+psycopg://u:***@127.0.0.1:1/d: can't be read (OperationalError)" in closed
    named = problem(database(*ROWS), ConfigError, text_column="note_text")
    assert "of a database, the columns of OMOP's table NOTE are read" in named
    columns = ByEncounter("visit", subject_column="patient")
    named = problem(database(*ROWS), ConfigError, by_encounter=columns)
    assert named.startswith("--encounter-column, --subject-column: of a database, the columns of")
    assert "Leave this out, and pass --by-encounter; predict other tables in a call" in named
    url = database(*ROWS)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert "pip install 'icdcode[formats]'" in problem(url, ConfigError)


@pytest.mark.slow
def test_postgresql_is_read_only(tmp_path):
    path = Path(__file__).parents[2] / "review" / "conftest.py"
    spec = importlib.util.spec_from_file_location("review_conftest", path)
    review = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(review)
    for server in review.postgresql.__wrapped__():
        url = server.new_database()
        with psycopg.connect(url) as connection:
            connection.execute(TABLE)
            many = [(number, 1, None, f"Note {number}", None) for number in range(100, 400)]
            for row in [*ROWS, *many]:
                connection.execute("INSERT INTO note VALUES (%s, %s, %s, %s, %s)", row)
        found = read(find_notes([url]))
        assert found[:2] == FOUND and len(found) == 302
        with connected(url) as database, pytest.raises(InternalError, match="read-only"):
            database.connection.exec_driver_sql("DELETE FROM note")
