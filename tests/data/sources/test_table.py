import json
from datetime import date

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icdcli.data.benchmarks.protocols import PATIENT, SPLIT_COLUMN
from icdcli.data.sources.admission import Code
from icdcli.data.sources.table import TableSource
from icdcli.errors import DataError
from icdcli.io.csv_reader import Reading

ROWS = [
    {
        "id": "007",
        "text": 'Chest pain,\n"bad"',
        "codes": ["I21.9", "E11.9"],
        "split": "train",
        "subject_id": "a",
    },
    {"id": "8", "text": "Fever", "codes": ["A41.9"], "split": "dev", "subject_id": "a"},
    {"id": "9", "text": "Cough", "codes": ["J18.9"], "split": "Test", "subject_id": "b"},
]


def write(tmp_path, ending, rows=ROWS):
    path = tmp_path / f"notes{ending}"
    if ending == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    elif ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        quoted = ['"{}"'.format(str(row["text"]).replace('"', '""')) for row in rows]
        lines = [
            f"{row['id']},{row['split']},{text},{'; '.join(row['codes'])},{row['subject_id']}"
            for row, text in zip(rows, quoted, strict=True)
        ]
        path.write_text("\n".join(["ID,Split,Text,Codes,Subject_ID", *lines]) + "\n")
    return path


def read(path, protocol=SPLIT_COLUMN, chunk_size=100, **options):
    source = TableSource(path, **options, reading=Reading(chunk_size))
    return list(source.admissions(protocol, path.parent)), source.reading.dropped


def refused(path, **options):
    with pytest.raises(DataError) as caught:
        read(path, **options)
    assert str(path) in str(caught.value)
    return str(caught.value)


def jsonl(tmp_path, *rows):
    return write(tmp_path, ".jsonl", [{"text": "x", "codes": ["I10"], **row} for row in rows])


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("chunk_size", [1, 1000])
def test_every_format_gives_the_same(tmp_path, ending, chunk_size):
    admissions, dropped = read(write(tmp_path, ending), chunk_size=chunk_size)
    assert [a.id for a in admissions] == ["007", "8", "9"]
    assert [a.subject_id for a in admissions] == ["a", "a", "b"]
    assert [a.split for a in admissions] == ["train", "validation", "test"]
    assert admissions[0].text == 'Chest pain,\n"bad"'
    assert admissions[0].codes == {Code("I21.9", "diagnosis"), Code("E11.9", "diagnosis")}
    assert not dropped


def test_columns_of_other_names_and_none_at_all(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("note,icd,patient\nx,I10,1\ny,E11.9,2\n")
    first, second = read(path, text_column="note", codes_column="icd", subject_column="patient")[0]
    assert (first.id, first.subject_id, first.split) == ("1", "1", None)
    assert (second.id, second.text) == ("2", "y")
    assert TableSource(path, "note", "icd").own_splits is None


def test_usual_names_count_with_invisible_signs_around_them(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\ufeff\ufeffid,text,codes,\u200bSplit ,subject_id\u200b\nn7,x,I10,dev,s3\n")
    ((admission,), _) = read(path)
    assert (admission.id, admission.split, admission.subject_id) == ("n7", "validation", "s3")


@pytest.mark.parametrize(
    "cell",
    [
        "I10;E11.9",
        "I10, E11.9",
        "I10 E11.9 ",
        '["I10", "E11.9"]',
        "['I10', 'E11.9']",
        ["I10", " E11.9", ""],
    ],
)
def test_every_way_to_write_codes(tmp_path, cell):
    (admission,), _ = read(jsonl(tmp_path, {"codes": cell}))
    assert {code.code for code in admission.codes} == {"I10", "E11.9"}


@pytest.mark.parametrize(
    ("system", "cell", "codes"),
    [
        (None, "i10; 4280", {("i10", "diagnosis"), ("4280", "diagnosis")}),
        (
            "icd10",
            "i10; e119; 0bj08zz",
            {("I10", "diagnosis"), ("E11.9", "diagnosis"), ("0BJ08ZZ", "procedure")},
        ),
        (
            "icd9",
            "4280; 36.15; 3615; 401.9",
            {("428.0", "diagnosis"), ("36.15", "procedure"), ("401.9", "diagnosis")},
        ),
    ],
)
def test_the_code_system_puts_dots_and_kinds_right(tmp_path, system, cell, codes):
    (admission,), _ = read(jsonl(tmp_path, {"codes": cell}), system=system)
    assert admission.codes == {Code(*code) for code in codes}


def test_rows_without_text_or_codes_are_counted(tmp_path):
    path = jsonl(
        tmp_path,
        {"text": None},
        {"text": "  "},
        {"codes": []},
        {"codes": None},
        {"codes": " ; "},
        {},
    )
    admissions, dropped = read(path)
    assert [a.id for a in admissions] == ["6"]
    assert dropped == {"rows without text": 2, "rows without codes": 3}


def test_a_missing_column_names_those_there_are_and_the_nearest(tmp_path):
    for ending in (".csv", ".jsonl", ".parquet"):
        message = refused(write(tmp_path, ending), text_column="texts")
        assert "no column 'texts' (did you mean '" in message
        assert "Its columns are: " in message
        assert message.endswith(". Set text_column.")
    message = refused(write(tmp_path, ".csv"), subject_column="patient", codes_column="dx")
    assert "no column 'patient', 'dx'" in message
    assert message.endswith(". Set subject_column and codes_column.")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"id": "1"}, {"id": "2"}, {"id": "1", "text": "y"}],
            "row 3, column 'id': '1' is also in row 1, with another text. Every document needs an "
            "id of its own: set id_column to a column of such ids",
        ),
        (
            [{"id": "1", "subject_id": "a"}, {"id": "1", "subject_id": "b"}],
            "row 2, column 'id': '1' is also in row 1, with another patient",
        ),
        (
            [{"id": "1", "split": "train"}, {"id": "1", "split": "test"}],
            "row 2, column 'id': '1' is also in row 1, with another split",
        ),
        ([{"id": "1"}, {"id": ""}], "row 2, column 'id': is empty"),
        ([{"id": 1.0}], "row 1, column 'id': is 1.0. Write ids as strings"),
        (
            [{"split": "holdout"}],
            "row 1, column 'split': is 'holdout'. Write train, validation or test",
        ),
        ([{"split": "train"}, {"split": None}], "row 2, column 'split': is empty. Every row needs"),
        ([{"split": "train"}, {}], "row 2, column 'split': is empty. Every row needs"),
        ([{}, {"split": "train"}], "row 1, column 'split': is empty. Every row needs"),
        ([{}, {"id": "1"}], "row 1, column 'id': is empty. Every document needs its own id"),
        ([{"split": "train"}, {"Split": "test"}], "row 2: has 'Split', other rows have 'split'"),
        ([{"codes": [428.0]}], "row 1, column 'codes': has 428.0. Write codes as strings"),
        ([{"codes": 428}], "row 1, column 'codes': is int"),
        ([{"codes": "[I10"}], "row 1, column 'codes': '[I10' begins like a list, but isn't one"),
        ([{"text": 3}], "row 1, column 'text': is int, not a text"),
        (
            [{}, {"text": "{\\rtf1 Pain}"}],
            "row 2, column 'text': is RTF, not plain text. Convert the notes",
        ),
        ([{"text": "<p>Pain</p>"}], "row 1, column 'text': is HTML, not plain text"),
    ],
)
def test_a_bad_value_is_named(tmp_path, rows, message):
    assert message in refused(jsonl(tmp_path, *rows))


NOTE = "Mrs Jane Patientname, seen for pain."


@pytest.mark.parametrize(
    "role", ["codes_column", "id_column", "subject_column", "split_column", "evidence_column"]
)
def test_the_column_of_notes_is_no_other_column(tmp_path, role):
    message = refused(jsonl(tmp_path, {"text": NOTE}, {"text": NOTE}), **{role: "text"})
    assert f"text_column and {role} are the same column, 'text'" in message
    assert "Patientname" not in message


@pytest.mark.parametrize("note", [NOTE, "Jane Patientname", [NOTE], {"x": NOTE}])
@pytest.mark.parametrize("role", ["id_column", "subject_column", "split_column"])
def test_no_message_has_a_note_that_is_in_another_column(tmp_path, note, role):
    path = jsonl(tmp_path, *[{"id": str(n), "note": note, "text": f"x{n}"} for n in range(2)])
    if role != "subject_column" or not isinstance(note, str):  # patients may repeat
        assert "Patientname" not in refused(path, **{role: "note"})


@pytest.mark.parametrize("role", ["id_column", "subject_column"])
def test_half_a_surrogate_is_refused(tmp_path, role):
    path = jsonl(tmp_path, {"name": "\ud8001"})
    assert "row 1, column 'name': isn't valid Unicode" in refused(path, **{role: "name"})


EVIDENCE = [
    {"code": "I10", "begin": 0, "end": 4, "group": 7},
    {"code": "E11.9", "begin": 5, "end": 8},
]
JOINED = [{"code": "I10", "begin": 5, "end": 8, "group": 7}]


@pytest.mark.parametrize("ending", [".jsonl", ".parquet", "json"])
def test_evidence_of_every_format(tmp_path, ending):
    cell = EVIDENCE + JOINED
    row = {
        "text": "High BP",
        "codes": ["I10", "E11.9"],
        "seen": [dict.fromkeys(("group",)) | item for item in cell],
    }
    row["text"] = "High pressure"
    if ending == "json":
        row["seen"], ending = json.dumps(cell), ".jsonl"
    (admission,), dropped = read(
        write(tmp_path, ending, [row]), evidence_column="seen", system="icd10"
    )
    assert [tuple(span) for span in admission.evidence] == [
        ("I10", 0, 4, 0),
        ("E11.9", 5, 8, 1),
        ("I10", 5, 8, 0),
    ]
    assert not dropped


@pytest.mark.parametrize("cell", [None, "", " ", [], "[]"])
def test_a_row_without_evidence(tmp_path, cell):
    (admission,), _ = read(jsonl(tmp_path, {"seen": cell}), evidence_column="seen")
    assert admission.evidence == ()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("[{", "is not JSON: Expecting property name"),
        ("3", "is not a list of {"),
        ("words", "is not JSON: Expecting value"),
        ([{"code": "I10", "begin": 0}], "is not a list of {"),
        ([{"code": 10, "begin": 0, "end": 1}], "is not a list of {"),
        ([{"code": "I10", "begin": 0.0, "end": 1}], "is not a list of {"),
        ([{"code": "I10", "begin": False, "end": True}], "is not a list of {"),
        ([["I10", 0, 1]], "is not a list of {"),
        ([{"code": "I1/0", "begin": 0, "end": 1}], "'I1/0' is not an icd10"),
        (
            [{"code": "I10", "begin": 0, "end": 2}],
            "evidence from 0 to 2 isn't in a text of 1 characters",
        ),
        ([{"code": "I10", "begin": -1, "end": 1}], "evidence from -1 to 1 isn't in"),
        ([{"code": "I10", "begin": 1, "end": 1}], "evidence from 1 to 1 isn't in"),
    ],
)
def test_bad_evidence_is_named(tmp_path, cell, message):
    path = jsonl(tmp_path, {"seen": cell})
    assert f"row 1, column 'seen': {message}" in refused(
        path, evidence_column="seen", system="icd10"
    )


@pytest.mark.parametrize("system", ["icd10", None])
@pytest.mark.parametrize("words", ["John Smith has chest pain", "Smith", "x1" * 100])
def test_words_in_the_place_of_the_code_of_evidence_are_not_quoted(tmp_path, system, words):
    path = jsonl(tmp_path, {"seen": [{"code": words, "begin": 0, "end": 500}]})
    message = refused(path, evidence_column="seen", system=system)
    assert "row 1, column 'seen': " in message
    assert words not in message


def test_a_missing_column_of_evidence_is_named(tmp_path):
    assert "no column 'seen'" in refused(jsonl(tmp_path, {}), evidence_column="seen")


def test_a_split_column_that_does_not_count_is_not_read(tmp_path):
    (admission,), _ = read(jsonl(tmp_path, {"split": "fold 3"}), PATIENT)
    assert admission.split is None


def test_what_is_no_code_of_the_system_is_named(tmp_path):
    assert "row 1, column 'codes': 'I1/0' is not an icd10" in refused(
        jsonl(tmp_path, {"codes": "I1/0"}), system="icd10"
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", b'{"text": "x", "codes": []}\n{"text"\n', "line 2: not JSON"),
        ("t.jsonl", b'{"text": "x", "codes": [], "codes": ["I10"]}\n', "the same key twice"),
        (
            "t.jsonl",
            b'{"text": "x", "codes": []}\n[]\n',
            "line 2: is list, not an object. Write one object per line",
        ),
        ("t.jsonl", b"\n\n", "is empty"),
        ("t.jsonl", b'{"text": "\xff"}\n', "not UTF-8"),
        ("t.parquet", b"PAR1 not really", "can't be read as a Parquet file"),
        ("t.csv", b"", "is empty"),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    assert message in refused(path)


def test_a_missing_file_is_refused(tmp_path):
    for ending in (".csv", ".jsonl", ".parquet"):
        assert "No such file" in refused(tmp_path / f"t{ending}")


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"id": "ab\ud800"}, "id"),
        ({"subject_id": "ab\ud800"}, "subject_id"),
        ({"text": "ab\ud800"}, "text"),
        ({"codes": ["I10", "\ud800"]}, "codes"),
        ({"codes": "I10;\ud800"}, "codes"),
    ],
)
def test_half_a_character_is_refused_with_its_row(tmp_path, row, column):
    path = jsonl(tmp_path, {"id": "7", "subject_id": "1"}, {"id": "8", "subject_id": "2"} | row)
    assert f"row 2, column '{column}': isn't valid Unicode" in refused(path, protocol=PATIENT)


@pytest.mark.parametrize("nested", ["[" * 100_000, "[" * 3000 + "]" * 3000, "[" + "-" * 20_000])
def test_deeply_nested_cells_are_refused_with_their_row(tmp_path, nested):
    path = jsonl(tmp_path, {"codes": nested})
    assert "row 1, column 'codes'" in refused(path)
    path = jsonl(tmp_path, {"evidence": nested})
    assert "row 1, column 'evidence'" in refused(path, evidence_column="evidence")


NAME = "Quixotely"


@pytest.mark.parametrize(
    "role", ["id_column", "subject_column", "split_column", "codes_column", "evidence_column"]
)
@pytest.mark.parametrize("text", [f"Mr {NAME} coughs", f"[**{NAME}**] coughs {'x' * 300}"])
def test_a_wrong_column_never_shows_a_note(tmp_path, role, text):
    rows = [{"id": str(n), "split": "train", "text": text, "note": text} for n in range(2)]
    rows[1]["text"] += "!"
    answer = refused(jsonl(tmp_path, *rows), **{role: "text"})
    assert f"text_column and {role} are the same column, 'text'" in answer
    assert NAME not in answer
    if role == "codes_column":
        answer = refused(jsonl(tmp_path, *rows), codes_column="note", system="icd10")
    elif role == "subject_column" and len(text) < 100:
        return  # patients may have the same subject
    else:
        answer = refused(jsonl(tmp_path, *rows), **{role: "note"})
    assert NAME not in answer
    assert "column 'note'" in answer


def test_the_representation_of_an_admission_has_no_text(tmp_path):
    (admission,), _ = read(jsonl(tmp_path, {"text": f"Mr {NAME} coughs"}), PATIENT)
    assert NAME not in repr(admission)


def test_days_of_every_format_are_read(tmp_path):
    days = [date(2026, 5, 31), date(2024, 1, 1), None]
    rows = [{**row, "out": day} for row, day in zip(ROWS, days, strict=True)]
    frame = pandas.DataFrame(
        [{**row, "codes": ";".join(row["codes"]), "out": row["out"]} for row in rows]
    )
    frame["out"] = pandas.to_datetime(frame["out"])
    frame.to_parquet(tmp_path / "notes.parquet")
    frame.to_csv(tmp_path / "notes.csv", index=False)
    frame.to_json(tmp_path / "notes.jsonl", orient="records", lines=True, date_format="iso")
    for path in tmp_path.iterdir():
        admissions, _ = read(path, date_column="out", system="icd10")
        assert [admission.day for admission in admissions] == days
        assert TableSource(path, date_column="out").last_day() == date(2026, 5, 31)
    assert TableSource(path).last_day() is None
