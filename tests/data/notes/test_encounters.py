"""New notes joined to encounters, from every format that names them."""

import csv
import json
import math
import random
import sqlite3
from dataclasses import replace
from datetime import date, datetime
from hashlib import sha256

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icdcli.data.encounters.boundaries import NoteBoundary
from icdcli.data.encounters.notes_aside import NotesAside
from icdcli.data.notes.encounters import ByEncounter
from icdcli.data.notes.files import find_notes
from icdcli.data.notes.text import LONGEST
from icdcli.errors import ConfigError, DataError
from icdcli.predict.counting import check_notes

TABLE = ByEncounter("visit", "at", "kind")
HEADER = ("id", "visit", "kind", "at", "text", "subject_id")
ROWS = [
    ("n2", "v1", "Discharge", "2026-05-31 12:00", "Pneumonia.", "p1"),
    ("n4", "v2", "Radiology", "", "Fracture.", "p2"),
    ("n1", "v1", "Radiology", "2026-05-30 08:00", "Infiltrate.", "p1"),
    ("n5", "", "Letter", "2026-05-30", "Of nobody's visit.", "p3"),
    ("n3", "v1", "Discharge", "2026-06-01", "  ", ""),
]


def table(path, rows=ROWS, header=HEADER):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def read(*paths, by=TABLE, **options):
    notes = find_notes([str(path) for path in paths], by_encounter=by, **options)
    said = []
    check_notes(notes, on_message=said.append)
    found = list(notes)
    assert found == list(notes)
    return found, said


def refused(*paths, **options):
    with pytest.raises(DataError) as caught:
        read(*paths, **options)
    return str(caught.value)


@pytest.mark.parametrize("text", ["", "nan"])
def test_notes_without_text_add_nothing_to_a_visit(tmp_path, text):
    rows = [*ROWS, ("n6", "v1", "Radiology", "2026-05-31", text, "p1")]
    found, _ = read(table(tmp_path / "n.csv", rows), date_column="at")
    assert found[0].text == "Infiltrate.\n\nPneumonia."


def test_the_rows_of_a_visit_are_one_note_in_the_order_of_their_times(tmp_path):
    (first, second, alone), said = read(table(tmp_path / "n.csv"), date_column="at")
    assert (first.id, first.text) == ("v1", "Infiltrate.\n\nPneumonia.")
    assert first.notes == (
        NoteBoundary("n1", "Radiology", datetime(2026, 5, 30, 8), 0, 11),
        NoteBoundary("n2", "Discharge", datetime(2026, 5, 31, 12), 13, 23),
    )
    assert (first.origin.patient, first.origin.encounter) == ("p1", "v1")
    assert first.origin.sha256 == sha256(first.text.encode()).hexdigest()
    assert [one.sha256 for one in first.origins] == [
        sha256(text.encode()).hexdigest() for text in ("Infiltrate.", "Pneumonia.")
    ]
    assert first.day == date(2026, 6, 1)  # of its last row, which has no text
    assert (second.id, second.text, len(second.notes)) == ("v2", "Fracture.", 1)
    assert (alone.id, alone.text, alone.notes) == ("n5", "Of nobody's visit.", ())
    assert said == [
        "4 notes of 2 encounters, joined in the order of their times; notes without a time, which "
        "come last: 1; notes without an encounter, which are coded on their own: 1"
    ]


def test_an_encounter_of_500_notes_in_two_files(tmp_path):
    rows = [
        (f"n{n}", "v1", "", f"2026-05-30 {n // 60:02}:{n % 60:02}", f"Note {n}", "p1")
        for n in range(500)
    ]
    random.Random(1).shuffle(rows)
    paths = table(tmp_path / "a.csv", rows[:200]), table(tmp_path / "b.csv", rows[200:])
    (only,), said = read(*paths)
    assert only.id == "v1"
    assert only.text == "\n\n".join(f"Note {n}" for n in range(500))
    assert {one.note_id.partition(":")[0].rpartition("/")[2] for one in only.notes} == {
        "a.csv", "b.csv",
    }  # fmt: skip
    assert said[-1].startswith("500 notes of 1 encounter, joined")


def test_only_some_types_are_read(tmp_path):
    path = table(tmp_path / "n.csv")
    by = ByEncounter("visit", "at", "kind", ("radiology",))
    (first, second), said = read(path, by=by)
    assert (first.text, second.text) == ("Fracture.", "Infiltrate.")
    assert "notes of other types, which aren't read: 3" in said[-1]
    assert refused(path, by=ByEncounter("visit", "at", "kind", ("Echo",))) == (
        "the notes: no note has the type 'Echo'. The types are: Discharge (2), Radiology (2), "
        "Letter (1). Correct --note-types."
    )


@pytest.mark.parametrize(("row", "problem"), [
    (("n9", "v1", "", "", "Other.", "p9"), "encounter v1: has notes of two patients, p1 and p9"),
    (("n1", "v1", "", "", "Other.", "p1"), "row 6, column 'id': is the same as in row 3"),
    (("n9", "n5", "", "", "Other.", "p1"), "encounter n5: a note without an encounter has this id"),
    (("n9", "v1", "", "31.5.2026", "Other.", "p1"), "row 6, column 'at': has '31.5.2026', which "
     "isn't a time"),
])  # fmt: skip
def test_a_note_that_contradicts_its_encounter_is_refused(tmp_path, row, problem):
    assert problem in refused(table(tmp_path / "n.csv", [*ROWS, row]))


def test_two_notes_with_one_id_in_two_formats(tmp_path):
    for name in ("a.ndjson", "b.ndjson"):
        (tmp_path / name).write_text(fhir("1", "Text.", "2026-05-31"))
    (found,), _ = read(tmp_path / "a.ndjson", tmp_path / "b.ndjson", by=ByEncounter())
    assert len({one.note_id for one in found.notes}) == 2  # they begin with the file


def test_an_encounter_too_long_for_one_note_is_named(tmp_path):
    half = "word " * (LONGEST // 10)
    rows = [(f"n{n}", "v1", "", "", half, "p1") for n in range(3)]
    problem = refused(table(tmp_path / "n.csv", rows))
    assert problem.startswith("encounter v1: its 3 notes have 15,000,004 characters together")
    assert "word" not in problem


def test_a_column_of_encounters_must_be_named(tmp_path):
    path = table(tmp_path / "n.csv")
    with pytest.raises(ConfigError, match="Pass --encounter-column"):
        read(path, by=ByEncounter())
    with pytest.raises(DataError, match="no column 'stay'"):
        read(path, by=ByEncounter("stay"))
    (tmp_path / "note.txt").write_text("Text.")
    with pytest.raises(ConfigError, match="are for tables"):
        read(tmp_path / "note.txt", by=TABLE)


def test_a_column_id_may_be_that_of_the_encounters(tmp_path):
    rows = [("v1", "Cough."), ("v1", "Fever."), ("v2", "Gout.")]
    (first, second), _ = read(table(tmp_path / "n.csv", rows, ("id", "text")), by=ByEncounter("id"))
    assert (first.id, first.text, second.id) == ("v1", "Cough.\n\nFever.", "v2")
    assert [one.note_id for one in first.notes] == ["1", "2"]


def fhir(id, text, written, encounter="Encounter/3", patient="Patient/1"):
    from base64 import b64encode

    return json.dumps({
        "resourceType": "DocumentReference", "id": id, "status": "current", "date": written,
        "type": {"coding": [{"code": "18842-5", "display": "Discharge summary"}]},
        "subject": {"reference": patient},
        "content": [{"attachment": {
            "contentType": "text/plain", "data": b64encode(text.encode()).decode(),
        }}],
        "context": {"encounter": [{"reference": encounter}]},
    }) + "\n"  # fmt: skip


def test_documents_of_one_fhir_encounter(tmp_path):
    path = tmp_path / "notes.ndjson"
    path.write_text(
        fhir("2", "Pneumonia.", "2026-05-31T12:00:00+02:00")
        + fhir("3", "Gout.", "2026", "Encounter/4")
        + fhir("1", "Fever.", "2026-05-31T09:30:00Z")
    )
    (first, second), said = read(path, by=ByEncounter())
    assert (first.id, first.text) == ("Encounter/3", "Fever.\n\nPneumonia.")
    assert first.notes[1] == NoteBoundary(
        "DocumentReference/2", "Discharge summary", datetime(2026, 5, 31, 10), 8, 18
    )
    assert [one.resource for one in first.origins] == ["DocumentReference/1", "DocumentReference/2"]
    assert first.origin.resource is None
    assert (first.origin.patient, first.origin.version) == ("Patient/1", "R4")
    assert second.id == "Encounter/4"
    assert "notes without a time, which come last: 1" in said[-1]
    path.write_text(fhir("1", "A.", "2026") + fhir("2", "B.", "2026", patient="Patient/2"))
    assert refused(path, by=ByEncounter()).startswith(
        "encounter Encounter/3: has notes of two patients, Patient/1 and Patient/2"
    )


def test_no_date_of_programs_is_a_missing_time(tmp_path):
    path = tmp_path / "notes.ndjson"
    path.write_text(fhir("1", "Gout.", "0001-01-01T00:00:00+09:00"))
    (only,), _ = read(path, by=ByEncounter())
    assert only.notes[0].time is None and only.text == "Gout."


@pytest.mark.parametrize("missing", ["NULL", "nan", " ", "None"])
def test_notes_of_different_patients_without_an_encounter_are_not_joined(tmp_path, missing):
    rows = [("n1", missing, "", "", "Cough.", "p1"), ("n2", missing, "", "", "Gout.", missing)]
    found, said = read(table(tmp_path / "n.csv", rows))
    assert [(one.id, one.text, one.notes) for one in found] == [
        ("n1", "Cough.", ()), ("n2", "Gout.", ()),
    ]  # fmt: skip
    assert [one.origin.patient for one in found] == ["p1", None]
    assert said[-1] == "notes without an encounter, which are coded on their own: 2"


def test_encounters_that_became_floats_beside_empty_cells_are_whole_numbers(tmp_path):
    path = tmp_path / "n.parquet"
    columns = {"visit": [5.0, math.nan, None, 5.0], "subject_id": [1.0, math.nan, None, 1]}
    pq.write_table(pa.table({"text": ["Cough.", "Gout.", "Rash.", "Fever."], **columns}), path)
    (first, *others), said = read(path, by=ByEncounter("visit"))
    assert (first.id, first.text, first.origin.patient) == ("5", "Cough.\n\nFever.", "1")
    assert [(one.id, one.text) for one in others] == [("2", "Gout."), ("3", "Rash.")]
    assert said[-1].startswith(
        "2 notes of 1 encounter, joined in the order of the files, since none has a time; notes wi"
    )


def json_lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_ids_of_notes_are_unique_in_their_encounter(tmp_path):
    by, path = ByEncounter("enc"), tmp_path / "n.jsonl"
    json_lines(path, *({"id": "5", "enc": one, "text": "Gout."} for one in (None, "")))
    assert "row 2, column 'id': is the same as in row 1" in refused(path, by=by)
    # Together these ids have the same characters.
    json_lines(
        path, *({"id": a, "enc": b, "text": "Gout."} for a, b in (("1 2", "3"), ("1", "2 3")))
    )
    found, _ = read(path, by=by)
    assert [one.id for one in found] == ["3", "2 3"]
    json_lines(path, {"id": "5", "enc": "\ud800", "text": "Gout."})
    assert "row 1, column 'enc': isn't valid Unicode" in refused(path, by=by)


OMOP = "note_id,person_id,note_date,note_class_concept_id,note_text,visit_occurrence_id\n"
OMOP_ROWS = """\
2,7,2026-05-31,5,"Pneumonia.",20
3,8,2026-05-31,5,"Gout.",
1,7,2026-05-30,6,Fever.,20
"""


def test_the_notes_of_a_visit_of_omop(tmp_path):
    path = tmp_path / "note.csv"
    path.write_text(OMOP + OMOP_ROWS)
    (visit, alone), _ = read(path, by=ByEncounter())
    assert (visit.id, visit.text, alone.id) == ("20", "Fever.\n\nPneumonia.", "3")
    assert [(one.note_id, one.type) for one in visit.notes] == [("1", "6"), ("2", "5")]
    (visit,), _ = read(path, by=ByEncounter(note_types=("6",)))
    assert visit.text == "Fever."


def test_the_day_counts_if_a_note_of_omop_has_no_exact_time(tmp_path):
    header = "note_id,person_id,visit_occurrence_id,note_date,note_datetime,note_text"
    path = tmp_path / "note.csv"
    path.write_text(f"{header}\n1,5,7,2024-01-05,2024-01-05 10:00,Fever\n2,5,7,2024-01-01,,Gout\n")
    for more in ({}, {"date_column": "note_date"}):
        notes = find_notes([str(path)], by_encounter=ByEncounter(), **more)
        notes.check()
        assert [one.text for one in notes] == ["Gout\n\nFever"]
        assert not any("without a time" in remark for remark in notes.remarks)


def test_the_notes_of_a_visit_of_a_database(tmp_path):
    pytest.importorskip("sqlalchemy")
    with sqlite3.connect(tmp_path / "cdm.db") as database:
        names = f"{OMOP.strip()},note_datetime"
        database.execute(f"create table note ({names})")
        rows = [
            (1, 7, "2026-05-31", 5, "Pneumonia.", 20, None),
            (2, 7, "2026-05-31", 6, "Fever.", 20, "2026-05-30 08:00:00"),
        ]
        database.executemany("insert into note values (?, ?, ?, ?, ?, ?, ?)", rows)
    database.close()
    notes = find_notes([f"sqlite:///{tmp_path / 'cdm.db'}"], by_encounter=ByEncounter())
    (visit,) = notes
    assert (visit.id, visit.text) == ("20", "Fever.\n\nPneumonia.")
    assert visit.notes[0] == NoteBoundary("2", "6", datetime(2026, 5, 30, 8), 0, 6)


def hl7(id, visit, written, text):
    return "\r".join((
        f"MSH|^~\\&|A|B|C|D|20260531||MDM^T02|{id}|P|2.5.1", "PID|1||12^^^HOSP^MR",
        f"PV1|1|I|||||||||||||||||{visit}", f"TXA|1|DS^Discharge summary|TX|{written}",
        f"OBX|1|TX|1^Text||{text}", "",
    ))  # fmt: skip


def test_the_messages_of_one_visit(tmp_path):
    path = tmp_path / "n.hl7"
    path.write_text(
        hl7("m1", "V7^^^HOSP", "202605311200", "Pneumonia.")
        + hl7("m2", "V7^^^HOSP", "202605310800", "Fever.")
        + hl7("m3", "", "202605310800", "Gout.")
    )
    (visit, alone), _ = read(path, by=ByEncounter())
    assert (visit.id, visit.text, alone.id) == ("V7^^^HOSP", "Fever.\n\nPneumonia.", "m3")
    assert visit.notes[0] == NoteBoundary("m2", "Discharge summary", datetime(2026, 5, 31, 8), 0, 6)


def test_what_is_put_aside_is_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    notes = iter(find_notes([str(table(tmp_path / "n.csv"))], by_encounter=TABLE))
    next(notes)
    (folder,) = (tmp_path / "temporary").iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    notes.close()
    assert not folder.exists()


def test_another_choice_of_notes_is_another_state(tmp_path):
    path = str(table(tmp_path / "n.csv"))
    ways = (None, TABLE, ByEncounter("visit"), ByEncounter("visit", note_type_column="kind"))
    states = {find_notes([path], by_encounter=by).state for by in ways}
    assert len(states) == 4


def test_patients_may_be_in_a_column_of_another_name(tmp_path):
    path = table(
        tmp_path / "n.csv", [*ROWS, ("n9", "v1", "", "", "Other.", "p9")], (*HEADER[:5], "mrn")
    )
    (first, *_), _ = read(path)
    assert first.origin.patient is None
    by = replace(TABLE, subject_column="mrn")
    assert refused(path, by=by).startswith("encounter v1: has notes of two patients, p1 and p9")


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(NotesAside, "add", full)
    problem = refused(table(tmp_path / "n.csv"))
    assert "can't be stored" in problem and "No space left on device" in problem


def test_the_ids_of_notes_may_have_their_usual_name(tmp_path):
    path = table(tmp_path / "n.csv", header=("note_id", *HEADER[1:]))
    (first, *_), said = read(path)
    assert [one.note_id for one in first.notes] == ["n1", "n2"]
    assert "ids of n.csv: column 'note_id', a usual name" in said
