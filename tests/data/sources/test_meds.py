"""Training from MEDS: files of the columns and types of its schema (meds 0.4, DataSchema)."""

from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icdcli.data.benchmarks.protocols import PATIENT
from icdcli.data.corpus.prepare import prepare
from icdcli.data.notes.files import find_notes
from icdcli.data.section import DataConfig
from icdcli.data.sources.meds import MedsSource
from icdcli.data.sources.registry import recognize
from icdcli.errors import DataError
from icdcli.io.csv_reader import Reading

SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("time", pa.timestamp("us")),
        pa.field("code", pa.string(), nullable=False),
        pa.field("numeric_value", pa.float32()),
        pa.field("text_value", pa.large_string()),
    ]
)
FIRST = datetime(2150, 1, 5, 8)
EVENTS = [
    (7, None, "GENDER//F", None, None, None),
    (7, FIRST.replace(day=7), "NOTE//Discharge summary", None, "Second note", 20),
    (7, FIRST, "Radiology_Report", None, "First note", 20),
    (7, FIRST, "LAB//Culture", None, "E. coli", 20),
    (7, FIRST, "NOTE//Discharge summary", None, None, 20),
    (7, FIRST, "ICD10CM//I10", None, None, 20),
    (7, FIRST, "DIAGNOSIS//ICD//10//E119", None, None, 20),
    (7, FIRST, "DIAGNOSIS//ICD//9//4280", None, None, 20),
    (7, FIRST, "PROCEDURE//ICD//10//0BJ08ZZ", None, None, 20),
    (7, FIRST, "ICD10PCS/0BJ08ZZ", None, None, 21),
    (7, FIRST, "ICD10CM/J45.909", None, None, None),
    (8, FIRST, "NOTE//Progress", None, "Other stay", 30),
    (8, FIRST, "ICD10CM//N17.9", None, None, 30),
]


def write(path, events=EVENTS, visits=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = SCHEMA.append(pa.field("hadm_id", pa.int64())) if visits else SCHEMA
    columns = list(zip(*events, strict=True))[: len(schema)]
    arrays = [pa.array(one, field.type) for one, field in zip(columns, schema, strict=True)]
    pq.write_table(pa.table(arrays, schema=schema), path, row_group_size=4)
    return path


def read(path, **options):
    source = MedsSource(path, reading=Reading(), **options)
    found = list(source.admissions(PATIENT, path.parent))
    texts = {one.id: [one.text[note.begin : note.end] for note in one.notes] for one in found}
    return texts, {one.id: {code.code for code in one.codes} for one in found}, source.reading


def test_notes_get_the_codes_of_their_visit_in_the_order_of_their_times(tmp_path):
    texts, codes, reading = read(write(tmp_path / "events.parquet"))
    assert texts == {"20": ["First note", "Second note"], "30": ["Other stay"]}
    assert codes == {"20": {"I10", "E11.9", "0BJ08ZZ"}, "30": {"N17.9"}}
    assert reading.choices["notes and codes"] == "of the same hadm_id"
    assert reading.dropped["codes without hadm_id"] == 1
    assert reading.dropped["codes of other coding systems"] == 1


def test_codes_that_all_lack_a_visit_are_counted_as_such(tmp_path):
    events = [EVENTS[1], (7, FIRST, "ICD10CM//I10", None, None, None)]
    texts, _, reading = read(write(tmp_path / "events.parquet", events))
    assert not texts and reading.dropped["codes without hadm_id"] == 1
    with pytest.raises(
        DataError, match=r"has no code of icd9 \(code_system\)\. It has codes of ICD"
    ):
        read(tmp_path / "events.parquet", system="icd9")


def test_without_visits_those_of_a_patient_are_joined_and_it_is_said(tmp_path):
    texts, codes, reading = read(write(tmp_path / "events.parquet", visits=False))
    assert texts == {"7": ["First note", "Second note"], "8": ["Other stay"]}
    assert codes["7"] == {"I10", "E11.9", "0BJ08ZZ", "J45.909"}
    assert reading.choices["notes and codes"].startswith("of the same patient, since")


def test_events_with_notes_can_be_named_and_icd_9_chosen(tmp_path):
    path = write(tmp_path / "events.parquet")
    texts, codes, _ = read(path, note_types=["LAB"], system="icd9")
    assert (texts, codes) == ({"20": ["E. coli"]}, {"20": {"428.0"}})
    texts, _, _ = read(path, note_types=["NOTE//Discharge summary"])
    assert texts == {"20": ["Second note"]}
    texts, _, _ = read(path, note_types=[" note//discharge SUMMARY", "lab"])
    assert texts == {"20": ["E. coli", "Second note"]}
    with pytest.raises(DataError) as caught:
        read(path, note_types=["NOTE", "Radiology"])
    assert "no note has the type 'Radiology' (did you mean 'Radiology_Report'?)" in str(
        caught.value
    )
    assert "The types are: NOTE (2), " in str(caught.value)
    assert "NOTE//Discharge summary (1)" in str(caught.value)


def test_events_without_notes_are_refused(tmp_path):
    path = write(tmp_path / "events.parquet", [EVENTS[3], EVENTS[5]])
    with pytest.raises(DataError, match="has the word note, report or summary"):
        read(path)


def test_a_data_set_is_recognized_prepared_and_predicted(tmp_path):
    more = [(100 + n, FIRST, "NOTE//X", None, f"Note {n}", 100 + n) for n in range(30)]
    codes = [(100 + n, FIRST, "ICD10CM//I10", None, None, 100 + n) for n in range(30)]
    write(tmp_path / "meds" / "data" / "train" / "0.parquet")
    write(tmp_path / "meds" / "data" / "tuning" / "0.parquet", more + codes)
    assert recognize(tmp_path / "meds") == "meds"
    prepared = prepare(DataConfig(data_path=tmp_path / "meds"))
    assert sum(split["documents"] for split in prepared.card["splits"].values()) == 32
    notes = find_notes([str(tmp_path / "meds")])
    found = list(notes)
    assert [(one.id, one.text, one.type, one.time) for one in found[:2]] == [
        ("2", "Second note", "NOTE//Discharge summary", FIRST.replace(day=7)),
        ("3", "First note", "Radiology_Report", FIRST),
    ]
    assert (found[0].origin.patient, found[0].origin.encounter) == ("7", "20")
    assert len({one.id for one in found}) == 33
    assert notes.remarks == [
        f"{tmp_path / 'meds'} is read as MEDS: 33 events with notes, visits by hadm_id"
    ]


def test_an_event_without_a_patient_is_an_error(tmp_path):
    path = write(tmp_path / "events.parquet")
    table = pq.read_table(path)
    ids = pa.array([None if one == 8 else one for one in table["subject_id"].to_pylist()])
    pq.write_table(table.set_column(0, "subject_id", ids), path)
    with pytest.raises(DataError, match=r"events\.parquet: an event with a note or a code has no"):
        read(path)


def write_splits(folder, rows):
    path = folder / "metadata" / "subject_splits.parquet"
    path.parent.mkdir(exist_ok=True)
    # Numbers with an empty cell among them, as pandas writes them.
    schema = pa.schema([("subject_id", pa.float64()), ("split", pa.string())])
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


def test_patients_stay_in_the_splits_of_the_data_set(tmp_path):
    folder, names = tmp_path / "meds", ("train", "tuning", "held_out", "other")
    events = [(n, FIRST, "NOTE//X", None, f"Note {n}", n) for n in range(40)]
    events += [(n, FIRST, "ICD10CM//I10", None, None, n) for n in range(40)]
    write(folder / "data" / "0.parquet", events)
    given = [{"subject_id": n, "split": names[n % 4]} for n in range(38)]
    write_splits(folder, [*given, {"subject_id": None, "split": "train"}])
    prepared = prepare(DataConfig(data_path=folder))
    assert prepared.card["protocol"] == "subject-splits"
    found = pq.read_table(prepared.folder / "documents.parquet").to_pylist()
    by_split = {split: {int(one["id"]) % 4 for one in found if one["split"] == split}
                for split in ("train", "validation", "test")}  # fmt: skip
    assert by_split == {"train": {0}, "validation": {1}, "test": {2}}
    assert len(found) == 29
    left_out = "documents of patients without a split in metadata/subject_splits.parquet"
    assert prepared.card["dropped"][left_out] == 11
    named = prepare(DataConfig(data_path=folder, protocol="subject-splits"))
    assert named.folder == prepared.folder
    anew = prepare(DataConfig(data_path=folder, protocol="patient"))
    assert anew.card["protocol"] == "patient" and anew.folder != prepared.folder
    assert any("data set's own splits are ignored" in one for one in anew.warnings)
    write_splits(folder, [*given, {"subject_id": 0, "split": "tuning"}])
    with pytest.raises(DataError, match="patient 0 is in two splits"):
        prepare(DataConfig(data_path=folder))
    path = folder / "metadata" / "subject_splits.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(60) + content[64:])
    with pytest.raises(DataError, match=r"subject_splits\.parquet: can't be read"):
        prepare(DataConfig(data_path=folder))
    pq.write_table(pa.table({"subject_id": [1]}), folder / "metadata" / "subject_splits.parquet")
    with pytest.raises(DataError, match=r"subject_splits\.parquet: has no column split"):
        prepare(DataConfig(data_path=folder))


def test_a_table_in_parquet_is_no_meds_and_a_damaged_file_is_named(tmp_path):
    pq.write_table(pa.table({"text": ["a"], "codes": ["I10"]}), tmp_path / "t.parquet")
    assert recognize(tmp_path / "t.parquet") == "table"
    folder = tmp_path / "meds"
    write(folder / "data" / "0.parquet")
    content = write(folder / "data" / "1.parquet").read_bytes()
    (folder / "data" / "1.parquet").write_bytes(content[:200])
    with pytest.raises(DataError, match=r"1\.parquet: can't be read \(ArrowInvalid\)"):
        prepare(DataConfig(data_path=folder))
