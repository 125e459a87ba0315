"""Copies of OMOP databases and of files elsewhere."""

import csv
import importlib.util
import json
import sqlite3
import tracemalloc
from pathlib import Path

import pandas
import psycopg
import pyarrow.parquet as pq
import pytest

from icdcli.data.copies import omop_tables, remote_files
from icdcli.data.copies.copying import ABOUT_COPY, copy_data
from icdcli.data.corpus.prepare import prepare
from icdcli.data.section import DataConfig
from icdcli.errors import ConfigError, DataError
from icdcli.io.remote.paths import RemotePath

SECRET = "Longfellow"
COLUMNS = {
    "note": "note_id INTEGER, person_id INTEGER, note_date DATE, note_datetime TIMESTAMP, "
    "note_class_concept_id INTEGER, note_text TEXT, provider_id INTEGER, "
    "visit_occurrence_id NUMERIC",
    "condition_occurrence": "condition_occurrence_id INTEGER, person_id INTEGER, "
    "visit_occurrence_id NUMERIC, condition_source_value TEXT, "
    "condition_source_concept_id INTEGER",
    "procedure_occurrence": "procedure_occurrence_id INTEGER, person_id INTEGER, "
    "visit_occurrence_id NUMERIC, procedure_source_value TEXT, "
    "procedure_source_concept_id INTEGER",
    "concept": "concept_id INTEGER, concept_name TEXT, vocabulary_id TEXT, concept_code TEXT",
}
TEXTS = (
    'Says "no",\r\nthen yes;\n',
    "Disnea y fiebre: á, 기침, \U0001f600",
    "  Gout\t",
    "NULL",
    "NA",
)
ROWS = {
    "note": [
        (
            *(number, number // 2, f"2026-01-{number % 27 + 1:02}"),
            f"2026-01-{(number * 7) % 27 + 1:02} 08:30:00" if number % 3 else None,
            *(number % 4, f"{TEXTS[number % 5]} {number}" if number % 11 else None, 99),
            100 + number // 2 if number % 13 else None,
        )
        for number in range(90)
    ],
    "condition_occurrence": [
        (number, number // 3, 100 + number // 3 if number % 17 else None, f"I1{number % 4}", 1)
        for number in range(135)
    ],
    "procedure_occurrence": [(1, 2, 102, "0BJ08ZZ", 3)],
    "concept": [
        *(
            (1, "a", "ICD10CM", "I10"),
            (2, "b", "SNOMED", "38341003"),
            (3, "c", "ICD10PCS", "0BJ08ZZ"),
        ),
    ],
}


@pytest.fixture
def database(tmp_path):
    """Return a function that makes a database in SQLite and returns its address."""

    def make(name="cdm", columns=COLUMNS, **tables):
        path = tmp_path / f"{name}.db"
        with sqlite3.connect(path) as connection:
            for table, definition in columns.items():
                connection.execute(f"CREATE TABLE {table} ({definition})")
                rows = tables.get(table, ROWS[table])
                # In another order than that of the ids.
                for row in reversed(rows):
                    places = ", ".join("?" * len(row))
                    connection.execute(f"INSERT INTO {table} VALUES ({places})", row)
        connection.close()
        return f"sqlite:///{path}"

    return make


def without(columns, table, name):
    kept = (one for one in columns[table].split(", ") if one.split()[0] != name)
    return columns | {table: ", ".join(kept)}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def corpus_of(folder, **options):
    """Return the files of a corpus, and what its card says but for the names of the sources."""
    corpus = prepare(DataConfig(data_path=folder, **options)).folder
    files = {one.name: one.read_bytes() for one in corpus.iterdir() if one.suffix == ".parquet"}
    card = json.loads((corpus / "card.json").read_text())
    return files, {name: value for name, value in card.items() if name != "sources"}


def folder_of_csv(folder, rows):
    folder.mkdir()
    for table, found in rows.items():
        with (folder / f"{table}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([one.split()[0] for one in COLUMNS[table].split(", ")])
            writer.writerows(found)
    return folder


@pytest.mark.parametrize("concepts", [True, False])
def test_the_corpus_is_that_of_the_tables_as_csv(database, tmp_path, concepts):
    tables = {} if concepts else {"concept": [], "procedure_occurrence": []}
    made = copy_data(database(**tables), tmp_path / "copy")
    assert made.left_out == (() if concepts else ("procedure_occurrence", "concept"))
    rows = {name: found for name, found in ROWS.items() if tables.get(name, found)}
    files, card = corpus_of(made.data_path, note_types=["0", "1", "2"])
    expected = corpus_of(folder_of_csv(tmp_path / "csv", rows), note_types=["0", "1", "2"])
    assert {"documents.parquet", "labels.parquet"} < set(files)
    assert (files, card) == expected
    assert card["dataset"] == "omop"


def test_only_what_training_reads_is_copied_for_its_user_alone(database, tmp_path):
    made = copy_data(database(), tmp_path / "copy")
    columns = {one.stem: pq.read_schema(one).names for one in made.folder.glob("*.parquet")}
    assert columns == {
        "note": [
            *("note_id", "note_text", "person_id", "visit_occurrence_id"),
            *("note_datetime", "note_date", "note_class_concept_id"),
        ],
        "condition_occurrence": [
            *("visit_occurrence_id", "condition_source_value", "condition_source_concept_id"),
        ],
        "procedure_occurrence": [
            *("visit_occurrence_id", "procedure_source_value", "procedure_source_concept_id"),
        ],
        "concept": ["concept_id", "vocabulary_id", "concept_code"],
    }
    codes = pandas.read_parquet(made.folder / "concept.parquet")["concept_code"]
    assert list(codes) == ["I10", "0BJ08ZZ"]
    assert {one.stat().st_mode & 0o777 for one in made.folder.iterdir()} == {0o600}
    assert made.folder.stat().st_mode & 0o777 == 0o700
    about = json.loads((made.folder / ABOUT_COPY).read_text())
    assert about["source"].endswith("cdm.db") and about["copied"].startswith("20")
    assert {one["name"]: one["rows"] for one in about["files"]} == {
        "note.parquet": 90,
        "condition_occurrence.parquet": 135,
        "procedure_occurrence.parquet": 1,
        "concept.parquet": 2,
    }


def test_the_same_rows_give_the_same_files(database, tmp_path):
    url = database()
    first, second = (copy_data(url, tmp_path / name) for name in "ab")
    assert first.files == second.files


def test_memory_does_not_grow_with_the_rows(database, tmp_path, monkeypatch):
    monkeypatch.setattr(omop_tables, "_GROUP_BYTES", 1 << 20)
    text = "x" * 20_000
    notes = [(number, 1, None, None, None, f"{number} {text}", 1, 1) for number in range(1500)]
    url = database(note=notes)
    del notes
    tracemalloc.start()
    try:
        made = copy_data(url, tmp_path / "copy")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 << 20  # of 30 MB
    with pq.ParquetFile(made.folder / "note.parquet") as file:
        groups = [file.metadata.row_group(one).num_rows for one in range(file.num_row_groups)]
    assert sum(groups) == 1500 and max(groups) <= 53 + 64


@pytest.mark.parametrize(
    ("columns", "tables", "says"),
    [
        ({"note": COLUMNS["note"]}, {}, "has no table condition_occurrence"),
        ({"concept": COLUMNS["concept"]}, {}, "has no table note"),
        (
            without(COLUMNS, "note", "note_text"),
            {"note": []},
            "the table note has no column 'note_text'",
        ),
        (
            without(COLUMNS, "condition_occurrence", "condition_source_value"),
            {"condition_occurrence": []},
            "condition_occurrence has no column 'condition_source_value'",
        ),
        (
            without(COLUMNS, "concept", "vocabulary_id"),
            {"concept": []},
            "the table concept has no column 'vocabulary_id'",
        ),
        (COLUMNS, {"note": []}, "the table note has no rows"),
        (COLUMNS, {"condition_occurrence": []}, "the table condition_occurrence has no rows"),
        (
            COLUMNS,
            {"note": [(1, 1, None, None, None, SECRET.encode(), 1, 1)]},
            "table note, rows 1 to 1: a value is bytes, not a text",
        ),
    ],
)
def test_databases_that_are_refused_leave_nothing(database, tmp_path, columns, tables, says):
    url = database(columns=columns, **tables)
    with pytest.raises(DataError) as caught:
        copy_data(url, tmp_path / "copy")
    assert says in str(caught.value) and SECRET not in str(caught.value)
    assert names(tmp_path) == ["cdm.db"]


def test_a_full_disk_leaves_nothing(database, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("icdcli.data.copies.omop_tables.pq.ParquetWriter.write_table", full)
    with pytest.raises(DataError, match=r"copy: can't be written \(No space left on device\)"):
        copy_data(database(), tmp_path / "copy")
    assert names(tmp_path) == ["cdm.db"]


def test_what_is_there_is_not_replaced_and_local_data_are_not_copied(database, tmp_path):
    (tmp_path / "copy").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        copy_data(database(), tmp_path / "copy")
    for source in (str(tmp_path), f"file://{tmp_path}"):
        with pytest.raises(ConfigError, match="is on this machine"):
            copy_data(source, tmp_path / "other")


def test_passwords_are_neither_shown_nor_stored(tmp_path):
    with pytest.raises(DataError) as caught:
        copy_data(f"postgresql://me:{SECRET}@127.0.0.1:1/d", tmp_path / "copy")
    assert "postgresql://me:***@127.0.0.1:1/d: can't be read" in str(caught.value)
    for url in (f"mysql+nothing://u:{SECRET}@h/d", f"s3://me:{SECRET}@bucket/a.csv"):
        with pytest.raises(ConfigError) as refused:
            copy_data(url, tmp_path / "copy")
        assert SECRET not in str(refused.value)
    assert names(tmp_path) == []


def test_a_file_elsewhere(memory, tmp_path):
    table = "text,codes\n" + "".join(f"Note {number},I10\n" for number in range(40))
    memory.pipe("/in/notes.csv", table.encode())
    made = copy_data("memory://in/notes.csv", tmp_path / "copy")
    assert made.data_path == tmp_path / "copy" / "notes.csv"
    assert made.data_path.read_text() == table
    assert names(made.folder) == [ABOUT_COPY, "notes.csv"]
    assert made.data_path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "notes.csv").write_text(table)
    assert corpus_of(made.data_path)[0] == corpus_of(tmp_path / "notes.csv")[0]


def test_a_folder_elsewhere_is_copied_without_hidden_files(memory, tmp_path):
    rows = pandas.DataFrame({"text": [f"Note {n}" for n in range(40)], "codes": ["I10"] * 40})
    for name in ("split=train/a.parquet", "split=test/b.parquet", "split=validation/c.parquet"):
        memory.pipe(f"/in/table/{name}", rows.assign(text=rows["text"] + name).to_parquet())
    for name in ("_SUCCESS", ".a.crc", ".hidden/x.parquet"):
        memory.pipe(f"/in/table/{name}", b"")
    made = copy_data("memory://in/table", tmp_path / "copy")
    assert made.data_path == made.folder
    assert [one["name"] for one in made.files] == [
        *("_SUCCESS", "split=test/b.parquet", "split=train/a.parquet"),
        "split=validation/c.parquet",
    ]
    card = corpus_of(made.data_path)[1]  # one table, whatever the copy has noted beside it
    assert (card["dataset"], card["protocol"]) == ("table", "split-column")


def test_files_elsewhere_that_cannot_be_copied_leave_nothing(memory, tmp_path, monkeypatch):
    def problem(url):
        with pytest.raises(DataError) as caught:
            copy_data(url, tmp_path / "copy")
        assert names(tmp_path) == []
        return str(caught.value)

    memory.pipe("/in/a.csv", b"text,codes\n")
    memory.pipe("/hidden/.a.csv", b"text,codes\n")
    assert problem("memory://in/none.csv").endswith("none.csv: can't be read (no such file).")
    assert problem("memory://hidden").endswith("hidden: has no files.")
    versions = iter("ab")
    with monkeypatch.context() as patch:
        patch.setattr(RemotePath, "version", lambda _: next(versions))
        assert "a.csv: was replaced while it was copied" in problem("memory://in")
    free = type("Usage", (), {"free": 1})
    monkeypatch.setattr(remote_files.shutil, "disk_usage", lambda _: free)
    assert "GB are free here" in problem("memory://in/a.csv")


@pytest.mark.slow
def test_postgresql_gives_the_same_copy_of_one_moment(database, tmp_path, monkeypatch):
    path = Path(__file__).parents[2] / "review" / "conftest.py"
    spec = importlib.util.spec_from_file_location("review_conftest", path)
    review = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(review)
    expected = copy_data(database(), tmp_path / "sqlite")
    for server in review.postgresql.__wrapped__():
        url = server.new_database()
        with psycopg.connect(url) as connection:
            for table, definition in COLUMNS.items():
                connection.execute(f"CREATE TABLE {table} ({definition})")
                places = ", ".join(["%s"] * len(ROWS[table][0]))
                for row in reversed(ROWS[table]):
                    connection.execute(f"INSERT INTO {table} VALUES ({places})", row)

        def meanwhile(*_, url=url):
            with psycopg.connect(url, autocommit=True) as other:
                other.execute("DELETE FROM condition_occurrence")

        monkeypatch.setattr(omop_tables, "_ROWS_AT_ONCE", 64)
        made = copy_data(f"{url}&password={SECRET}", tmp_path / "postgresql", meanwhile)
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM condition_occurrence").fetchone() == (
                0,
            )
    assert made.files == expected.files
    assert SECRET not in (made.folder / ABOUT_COPY).read_text()
