"""`icdcode review`: import, suggestions, statistics, export, purge, and what they refuse."""

import io
import json
import os
import sqlite3
import stat
import sys

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from icdcli.metrics.confidence import Confidence
from icdcli.review.decisions import DecisionDraft
from icdcli.review.readings import append_decisions
from icdcli.review.schema import ModelRow
from icdcli.review.store import open_store
from icdcli.review.suggestions import suggestions_of

NOTES = [
    {"id": "a", "text": "Acute systolic heart failure, treated with furosemide.", "subject_id": 1},
    {"id": "b", "text": "Pneumonia. Known hypertension.", "subject_id": 2},
]


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in NOTES))
    return path


@pytest.fixture
def store(icdcode, tmp_path, notes):
    """Return a store of two notes; the first one is reviewed."""
    path = tmp_path / "review.db"
    assert icdcode("review", "import", path, notes).code == 0
    drafts = [
        DecisionDraft("add", {"code": "428.21", "evidence": [[0, 28]]}, seconds=60),
        DecisionDraft("submit"),
    ]
    with open_store(path) as opened:
        append_decisions(opened, "a", drafts, author="ana", seen=0)
    return path


def test_notes_are_imported_and_coded_once(icdcode, trained, tmp_path, notes):
    path = tmp_path / "review.db"
    answer = icdcode("review", "import", path, notes, "--run", trained, "--top", 3, "--json")
    assert answer.code == 0, answer.err
    assert {name: answer.json[name] for name in ("new", "known", "suggestions", "notes")} == {
        **{"new": 2, "known": 0, "suggestions": 2, "notes": 2}
    }
    assert answer.err.count("warning") == 0  # training has fitted the confidence
    with open_store(path) as opened:
        found = suggestions_of(opened, "a").suggestions
        with opened.reading() as connection:
            validation = connection.scalar(select(ModelRow.validation))
    assert {"f1_micro", "precision_micro", "recall_micro"} <= validation.keys()
    manifest = json.loads((trained / "weights" / "metric" / "manifest.json").read_text())
    confidence = Confidence.from_json(manifest["confidence"])
    assert [one.confidence for one in found] == confidence.of([s.score for s in found]).tolist()
    assert len(found) >= 3
    assert any(one.evidence for one in found)
    (predicted,) = icdcode("predict", trained, notes, "--top", 3, "--json").out.splitlines()[:1]
    scores = {one["code"]: one["score"] for one in json.loads(predicted)["codes"]}
    assert scores.items() <= {one.code: one.score for one in found}.items()
    again = icdcode("review", "import", path, notes, "--run", trained)
    assert "0 new notes, 2 known" in again.out
    assert f"icdcode serve {trained} --store {path}" in again.out
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_refused_import_leaves_no_new_store_behind(icdcode, refused, notes, tmp_path):
    path, missing = tmp_path / "new.db", ("--run", tmp_path / "missing")
    refused(3, "review", "import", path, tmp_path / "missing.csv", says="can't be read")
    refused(2, "review", "import", path, *missing, says="no such run or checkpoint folder")
    assert not list(tmp_path.glob("new.db*"))
    # What was imported stays, whatever comes after it, and so does a store that was there.
    assert icdcode("review", "import", path, notes, *missing).code == 2
    assert icdcode("review", "import", path, notes).out.startswith("Imported: 0 new notes, 2 known")
    refused(3, "review", "import", path, tmp_path / "missing.csv", says="can't be read")
    assert path.exists()


def test_the_share_of_double_readings_is_that_of_the_store(icdcode, refused, notes, tmp_path):
    path = tmp_path / "double.db"
    assert icdcode("review", "import", path, notes, "--double-share", 1).code == 0
    assert icdcode("review", "import", path, notes).code == 0
    says = "--double-share 0.5:"
    refused(2, "review", "import", path, notes, "--double-share", 0.5, says=says)


def test_statistics_and_exports_have_what_was_reviewed(icdcode, store, tmp_path):
    shown = icdcode("review", "stats", store)
    assert shown.code == 0, shown.err
    assert "1 reviewed note, 1 finished" in shown.out
    assert "median 0:01:00" in shown.out
    assert icdcode("review", "stats", store, "--json").json["seconds"] == {
        **{"25": 60.0, "50": 60.0, "75": 60.0}
    }
    for name in ("o.parquet", "o.jsonl", "o.csv"):
        answer = icdcode("review", "export", store, "--output", tmp_path / name)
        assert (answer.code, answer.err) == (0, "")
        assert "1 note" in answer.out
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    (row,) = pq.read_table(tmp_path / "o.parquet").to_pylist()
    assert (row["id"], row["subject_id"], row["codes"]) == ("a", "1", ["428.21"])
    # What was exported is imported again, and the splits stay.
    again = icdcode("review", "import", tmp_path / "again.db", tmp_path / "o.parquet", "--json")
    assert again.json["new"] == 1


def test_texts_are_purged_when_it_is_confirmed(icdcode, refused, store, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    answer = icdcode("review", "purge", store, "--submitted")
    assert answer.code == 2
    assert "nothing was deleted" in answer.err
    done = icdcode("review", "purge", store, "--submitted", "--yes", "--json")
    assert done.json == {"texts": 1, "notes": 1}
    late = icdcode("review", "purge", store, "--submitted", "--before", "2020-01-01", "--yes")
    assert "0 texts of 0 notes" in late.out
    refused(3, "review", "purge", store, "missing", "--yes", says="has no note 'missing'")
    refused(2, "review", "purge", store, says="name the notes, or pass --submitted")
    export = icdcode("review", "export", store, "--output", store.with_suffix(".csv"))
    assert "Left out: 1 note whose text is purged" in export.out


def test_mistakes_are_one_message(icdcode, refused, store, notes, tmp_path, trained):
    missing = tmp_path / "missing.db"
    for command in (("stats",), ("export", "--output", tmp_path / "o.csv"), ("purge", "a")):
        refused(2, "review", command[0], missing, *command[1:], says="there is no such store")
    assert not missing.exists()
    refused(2, "review", "import", store, says="nothing to import")
    refused(2, "review", "import", store, trained, says="is a run, not a file of notes")
    refused(2, "review", "import", store, "https://x.org/notes.csv", says="https://x.org")
    refused(2, "review", "export", store, "--output", "o.xlsx", says=".parquet or .jsonl or .csv")
    wrong = ("--output", "o.csv", "--format", "table")
    refused(2, "review", "export", store, *wrong, says="must end in .parquet, since the format")
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"id": "a", "text": "Another text"}) + "\n")
    message = refused(3, "review", "import", store, other, says="note 'a': there is another text")
    assert "Another" not in message
    twice = tmp_path / "twice.csv"
    twice.write_text("id,text\n1,Fever\n1,Cough\n")
    refused(3, "review", "import", store, twice, says="ids must be unique")
    database = "postgresql://nobody:secret@127.0.0.1:1/none"
    message = refused(3, "review", "stats", database, says="the database doesn't answer")
    assert "secret" not in message
    assert message.startswith("error: postgresql://nobody:***@127.0.0.1:1/none")
    refused(
        2, "review", "stats", "mysql://x/y", says="stores are SQLite files or PostgreSQL databases"
    )


def test_a_store_of_a_newer_version_is_refused(icdcode, refused, store):
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    refused(3, "review", "stats", store, says="was written by a newer version of icdcode")


def test_postgresql_needs_its_package(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    says = "pip install 'icdcode[postgresql]'"
    refused(2, "review", "stats", "postgresql://x@localhost/y", says=says)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_message(refused, notes, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    refused(3, "review", "import", folder / "review.db", notes, says="Correct the permissions")
