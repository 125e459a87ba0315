import csv
import random
from datetime import datetime

import pytest

from icdcli.data.benchmarks.protocols import PATIENT, SPLIT_COLUMN
from icdcli.data.encounters.boundaries import NoteBoundary
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import AnnotatedSpan
from icdcli.data.sources.admission_join import AdmissionCodes
from icdcli.data.sources.registry import choose_source
from icdcli.data.sources.table import TableSource
from icdcli.errors import ConfigError, DataError
from icdcli.io.csv_reader import Reading

HEADER = ("encounter", "id", "kind", "time", "text", "codes", "subject_id")
ROWS = [
    ("e1", "n2", "Discharge", "2026-05-31 12:00", "Pneumonia, cured.", "J18.9;I10", "p1"),
    ("e2", "n4", "Radiology", "2026-06-01", "Fracture.", "S72.001A", "p2"),
    ("e1", "n1", "Radiology", "2026-05-30 08:00", "Infiltrate.", "J18.9;I10", "p1"),
    ("e1", "n3", "Radiology", "", "No effusion.", "J18.9;I10", ""),
]
E1 = "Infiltrate.\n\nPneumonia, cured.\n\nNo effusion."
COLUMNS = {
    "encounter_column": "encounter",
    "note_type_column": "kind",
    "time_column": "time",
}


def write(path, rows, header=HEADER):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def read(path, protocol=PATIENT, **options):
    source = TableSource(path, **(COLUMNS | options), reading=Reading(2), system="icd10")
    found = {one.id: one for one in source.admissions(protocol, path.parent)}
    return found, source.reading


def codes_of(admission):
    return {code.code for code in admission.codes}


def refused(path, **options):
    with pytest.raises(DataError) as caught:
        read(path, **options)
    return str(caught.value)


def changed(row, **values):
    return tuple((dict(zip(HEADER, row, strict=True)) | values).values())


def test_the_notes_of_an_encounter_are_joined_by_time_wherever_they_are(tmp_path):
    found, reading = read(write(tmp_path / "t.csv", ROWS))
    assert list(found) == ["e1", "e2"]
    assert found["e1"].text == E1
    assert found["e1"].subject_id == "p1"
    assert codes_of(found["e1"]) == {"J18.9", "I10"}
    assert found["e1"].notes == (
        NoteBoundary("n1", "Radiology", datetime(2026, 5, 30, 8), 0, 11),
        NoteBoundary("n2", "Discharge", datetime(2026, 5, 31, 12), 13, 30),
        NoteBoundary("n3", "Radiology", None, 32, 44),
    )
    assert reading.choices == {
        "notes": "4 notes of 2 encounters, joined in the order of 'time'; 1 without a time come "
        "last in their encounter"
    }
    assert not reading.dropped
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_an_encounter_of_500_notes_in_any_order(tmp_path):
    rows = [
        changed(ROWS[0], id=str(n), time=f"2026-05-30 {n // 60:02}:{n % 60:02}", text=f"Note {n}")
        for n in range(500)
    ]
    random.Random(1).shuffle(rows)
    found, _ = read(write(tmp_path / "t.csv", [*rows, ROWS[1]]))
    assert found["e1"].text == "\n\n".join(f"Note {n}" for n in range(500))
    assert [one.note_id for one in found["e1"].notes] == [str(n) for n in range(500)]


def test_without_times_the_order_is_that_of_days_or_rows(tmp_path):
    path = write(tmp_path / "t.csv", ROWS)
    found, reading = read(path, time_column=None)
    assert found["e1"].text.startswith("Pneumonia, cured.\n\nInfiltrate.")
    assert reading.choices["notes"].endswith("joined in the order of the table")
    found, reading = read(path, time_column=None, date_column="time")
    assert found["e1"].text == E1
    assert str(found["e1"].day) == "2026-05-31"
    assert "joined in the order of 'time'" in reading.choices["notes"]


@pytest.mark.parametrize("ids", [True, False])
def test_rows_of_one_note_and_several_codes_are_one_note(tmp_path, ids):
    rows = [
        changed(row, codes=code) for row in ROWS for code in row[HEADER.index("codes")].split(";")
    ]
    if not ids:
        rows = [row[:1] + row[2:] for row in rows]
    header = HEADER if ids else HEADER[:1] + HEADER[2:]
    found, reading = read(write(tmp_path / "t.csv", rows, header))
    assert found["e1"].text == E1
    assert codes_of(found["e1"]) == {"J18.9", "I10"}
    if ids:
        assert reading.choices["codes"] == (
            "1 of 2 encounters have rows with different codes: the codes of all rows count"
        )


def test_codes_that_all_rows_repeat_are_kept_once(tmp_path, monkeypatch):
    added, add = [], AdmissionCodes.add

    def count(self, admission, codes):
        added.append(admission)
        add(self, admission, codes)

    monkeypatch.setattr(AdmissionCodes, "add", count)
    rows = [changed(ROWS[0], id=f"n{n}") for n in range(50)]
    more = [changed(ROWS[0], id="n50", codes="E11.9"), ROWS[1]]
    found, _ = read(write(tmp_path / "t.csv", rows + more))
    assert added == ["e1", "e1", "e2"]
    assert codes_of(found["e1"]) == {"J18.9", "I10", "E11.9"}


def test_codes_may_be_in_rows_without_a_note(tmp_path):
    rows = [changed(row, codes="") for row in ROWS]
    rows += [changed(ROWS[0], id="", kind="", text="", codes="E11.9"), ROWS[1]]
    found, reading = read(write(tmp_path / "t.csv", rows))
    assert codes_of(found["e1"]) == {"E11.9"}
    assert found["e1"].text == E1
    assert not reading.dropped


def test_only_notes_of_some_types_are_read(tmp_path):
    path = write(tmp_path / "t.csv", ROWS)
    found, reading = read(path, note_types=["radiology "])
    assert found["e1"].text == "Infiltrate.\n\nNo effusion."
    assert reading.dropped == {"notes of other types": 1}
    found, reading = read(path, note_types=["Discharge"])
    assert list(found) == ["e1"]
    assert reading.dropped == {"notes of other types": 3, "encounters without text": 1}


def test_a_type_that_no_note_has_is_refused_with_those_that_there_are(tmp_path):
    path = write(tmp_path / "t.csv", ROWS)
    assert refused(path, note_types=["Radiology", "Discharg"]) == (
        f"{path}, column 'kind': no note has the type 'Discharg' (did you mean 'Discharge'?). The "
        "types are: Radiology (3), Discharge (1). Correct note_types."
    )


def test_evidence_is_of_a_note_and_moves_with_it(tmp_path):
    header = (*HEADER, "evidence")
    rows = [(*row, "") for row in ROWS]
    rows[0] = (*ROWS[0], '[{"code": "J18.9", "begin": 0, "end": 9}]')
    rows[2] = (
        *ROWS[2],
        '[{"code": "J18.9", "begin": 0, "end": 4, "group": 5}, '
        '{"code": "J18.9", "begin": 4, "end": 10, "group": 5}]',
    )
    found, _ = read(write(tmp_path / "t.csv", rows, header), evidence_column="evidence")
    assert found["e1"].evidence == (
        AnnotatedSpan("J18.9", 0, 4, 0),
        AnnotatedSpan("J18.9", 4, 10, 0),
        AnnotatedSpan("J18.9", 13, 22, 1),
    )
    outside = (*ROWS[1], '[{"code": "S72.001A", "begin": 0, "end": 10}]')
    path = write(
        tmp_path / "t.csv", [*rows, (*changed(outside[:-1], id="n9"), outside[-1])], header
    )
    assert "row 5, column 'evidence': evidence from 0 to 10 isn't in a text of 9" in refused(
        path, evidence_column="evidence"
    )


@pytest.mark.parametrize(("values", "problem"), [
    ({"id": "n1", "text": "Other."}, "row 5, column 'id': 'n1' is also in row 3 of the same "
     "encounter, with another text"),
    ({"id": "n9", "subject_id": "p9"}, "row 5, column 'encounter': 'e1' is also in rows above, "
     "with another patient"),
    ({"id": ""}, "row 5, column 'id': is empty"),
    ({"id": "n9", "time": "31.05.2026"}, "row 5, column 'time': has '31.05.2026', which isn't a "
     "time"),
    ({"id": "n9", "kind": "Long. " * 30}, "row 5, column 'kind': has a text of 179 characters"),
])  # fmt: skip
def test_a_row_that_contradicts_its_encounter_is_refused(tmp_path, values, problem):
    path = write(tmp_path / "t.csv", [*ROWS, changed(ROWS[0], **values)])
    assert problem in refused(path)


def test_the_same_note_id_in_another_encounter_is_another_note(tmp_path):
    found, _ = read(write(tmp_path / "t.csv", [*ROWS, changed(ROWS[0], encounter="e3")]))
    assert found["e3"].text == "Pneumonia, cured."


def test_rows_without_an_encounter_are_counted(tmp_path):
    rows = [*ROWS, changed(ROWS[0], encounter=""), ("",) * len(HEADER)]
    found, reading = read(write(tmp_path / "t.csv", rows))
    assert found["e1"].text == E1
    assert reading.dropped == {"rows without an encounter's id": 1, "rows without text": 1}


def test_an_encounter_in_two_splits_is_refused(tmp_path):
    rows = [(*row, "train") for row in ROWS]
    path = write(tmp_path / "t.csv", rows, (*HEADER, "split"))
    found, _ = read(path, SPLIT_COLUMN)
    assert found["e1"].split == "train"
    rows[2] = (*rows[2][:-1], "test")
    path = write(path, rows, (*HEADER, "split"))
    with pytest.raises(DataError, match="column 'split': is test, but row 1 of the same encounter"):
        read(path, SPLIT_COLUMN)


def test_types_to_read_need_their_column(tmp_path):
    path = write(tmp_path / "t.csv", ROWS)
    config = DataConfig(data_path=path, encounter_column="encounter", note_types=["Radiology"])
    with pytest.raises(ConfigError, match="needs the column of the types"):
        choose_source(config, Reading())


def test_codes_may_be_in_a_table_of_their_own(tmp_path):
    notes = write(tmp_path / "notes.csv", [row[:5] for row in ROWS], HEADER[:5])
    codes = [("e1", "J18.9", 1), ("e1", "I10", 2), ("e2", "S72.001A", 1)]
    config = DataConfig(
        data_path=notes, codes_path=write(tmp_path / "c.csv", codes, ("encounter", "codes", "seq")),
        sequence_column="seq", code_system="icd10", **COLUMNS,
    )  # fmt: skip
    chosen = choose_source(config, Reading())
    found = {one.id: one for one in chosen.source.admissions(PATIENT, tmp_path)}
    assert (found["e1"].text, codes_of(found["e1"])) == (E1, {"J18.9", "I10"})
    assert (found["e1"].principal, found["e2"].principal) == ("J18.9", "S72.001A")
    assert len(found["e1"].notes) == 3


def test_the_ids_of_notes_may_have_their_usual_name(tmp_path):
    header = ("encounter", "note_id", *HEADER[2:])
    found, reading = read(write(tmp_path / "t.csv", ROWS, header))
    assert [one.note_id for one in found["e1"].notes] == ["n1", "n2", "n3"]
    assert reading.choices["id_column"] == "note_id, a usual name"
    source = TableSource(tmp_path / "t.csv", reading=Reading(), system="icd10")
    assert [one.id for one in source.admissions(PATIENT, tmp_path)] == ["1", "2", "3", "4"]
