"""`icdcode copy-data`: notes and codes from a database or another machine."""

import json
import sqlite3

import pytest

SECRET = "Longfellow"


@pytest.fixture
def database(tmp_path):
    with sqlite3.connect(tmp_path / "cdm.db") as connection:
        connection.execute(
            "CREATE TABLE note (note_id INT, person_id INT, visit_occurrence_id INT, "
            "note_text TEXT)"
        )
        connection.execute(
            "CREATE TABLE condition_occurrence (condition_occurrence_id INT, visit_occurrence_id "
            "INT, condition_source_value TEXT, condition_source_concept_id INT)"
        )
        for number in range(40):
            connection.execute(
                "INSERT INTO note VALUES (?, ?, ?, ?)",
                (number, number, number, f"{SECRET} {number}"),
            )
            connection.execute(
                "INSERT INTO condition_occurrence VALUES (?, ?, 'I10', 0)", (number, number)
            )
    connection.close()
    return f"sqlite:///{tmp_path}/cdm.db"


def test_a_database_is_copied_and_prepared(icdcode, database, tmp_path):
    target = tmp_path / "cdm"
    answer = icdcode("copy-data", database, target)
    assert answer.code == 0, answer.err
    assert f"{target}/note.parquet: 0.0 MB, 40 rows" in answer.out
    assert "have no rows to copy: procedure_occurrence, concept" in answer.out
    assert f"Next: icdcode prepare-data {target}\n" in answer.out
    assert SECRET not in answer.out + answer.err
    assert icdcode("prepare-data", target).code == 0


def test_json(icdcode, database, tmp_path):
    answer = icdcode("copy-data", database, tmp_path / "cdm", "--json")
    assert answer.json["data_path"] == str(tmp_path / "cdm")
    assert [file["rows"] for file in answer.json["files"]] == [40, 40]
    about = json.loads((tmp_path / "cdm" / "_copied.json").read_text())
    assert answer.json["source"] == about["source"] == database


def test_what_is_refused(refused, database, tmp_path):
    refused(2, "copy-data", tmp_path, tmp_path / "a", says="is on this machine")
    refused(2, "copy-data", database, tmp_path, says="exists already")
    refused(2, "copy-data", database, tmp_path / "no" / "a", says="there is no folder")
    refused(3, "copy-data", f"{database}x", tmp_path / "a", says="no such file")
    url = f"postgresql://me:{SECRET}@127.0.0.1:1/d"
    message = refused(3, "copy-data", url, tmp_path / "a", says="me:***@127.0.0.1:1/d: can't be")
    assert SECRET not in message


@pytest.mark.parametrize(
    "words",
    [
        ("prepare-data", "URL"),
        ("describe", "URL"),
        ("audit", "URL"),
        ("train", "laptop.yaml", "data_path=URL"),
        ("train", "data_path=URL"),
        ("evaluate", "URL"),
        ("export", "URL", "out"),
    ],
)
def test_commands_that_read_no_database_show_no_password(icdcode, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    url = f"postgresql://me:{SECRET}@h/cdm"
    answer = icdcode(*(word.replace("URL", url) for word in words))
    assert answer.code == 2 and answer.err.startswith("error: ")
    assert SECRET not in answer.out + answer.err
    if words[0] in ("prepare-data", "describe", "audit") and words[1] == "URL":
        assert "Copy them: icdcode copy-data 'postgresql://me:***@h/cdm' DIR" in answer.err
