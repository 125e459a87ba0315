import csv
import random

import pytest

from icdcli.data.benchmarks.protocols import PATIENT, SPLIT_COLUMN
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import Code
from icdcli.data.sources.registry import choose_source
from icdcli.data.sources.table import TableSource
from icdcli.errors import DataError
from icdcli.io.csv_reader import Reading

DOCUMENTS = [
    ("a", 'Fever, "39"\nand cough', ["J18.9", "I10"], "1", "train"),
    ("b", "Low back pain", ["M54.50"], "2", "dev"),
    ("c", "Diabetes", ["E11.9", "I10", "N18.30"], "1", "train"),
]
PLAIN = [
    (id, text, {Code(code, "diagnosis") for code in codes}, patient)
    for id, text, codes, patient, _ in DOCUMENTS
]


def write(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def read(path, protocol=SPLIT_COLUMN, **options):
    source = TableSource(path, **options, reading=Reading(2), system="icd10")
    found = list(source.admissions(protocol, path.parent))
    return [(a.id, a.text, a.codes, a.subject_id) for a in found], source.reading


def refused(path, **options):
    with pytest.raises(DataError) as caught:
        read(path, **options)
    return str(caught.value)


def rows_per_code(*, text_once=False):
    return [
        (id, "" if text_once and place else text, code, patient, split)
        for id, text, codes, patient, split in DOCUMENTS
        for place, code in enumerate(codes)
    ]


HEADER = ("id", "text", "codes", "subject_id", "split")


@pytest.mark.parametrize("text_once", [False, True])
def test_rows_of_one_id_and_text_are_one_document(tmp_path, text_once):
    path = write(tmp_path / "t.csv", HEADER, rows_per_code(text_once=text_once))
    found, reading = read(path)
    assert found == PLAIN
    assert reading.choices == {
        "rows": "5 are 2 documents: the codes of rows with the same id and text are joined"
    }
    assert not reading.dropped


def test_the_rows_of_a_document_may_be_anywhere_in_the_table(tmp_path):
    rows = rows_per_code()
    random.Random(1).shuffle(rows)
    found, _ = read(write(tmp_path / "t.csv", HEADER, rows))
    assert sorted(found, key=lambda document: document[0]) == PLAIN
    order = list(dict.fromkeys(row[0] for row in rows))
    assert [document[0] for document in found] == order


def test_a_document_without_text_in_any_row_is_counted_once(tmp_path):
    rows = [("a", "", "I10", "1", "train"), ("a", " ", "E11.9", "1", "train"), *rows_per_code()[2:]]
    found, reading = read(write(tmp_path / "t.csv", HEADER, rows))
    assert found == PLAIN[1:]
    assert reading.dropped == {"documents without text": 1}


def test_rows_of_one_id_without_any_code_are_counted(tmp_path):
    rows = [("a", "x", "", "1", "train"), ("a", "x", "nan", "1", "train"), *rows_per_code()[2:]]
    found, reading = read(write(tmp_path / "t.csv", HEADER, rows))
    assert found == PLAIN[1:]
    assert reading.dropped == {"rows without codes": 1}


def test_evidence_needs_one_row_per_document(tmp_path):
    rows = [(*row, "[]") for row in rows_per_code()]
    path = write(tmp_path / "t.csv", (*HEADER, "spans"), rows)
    assert "row 2, column 'id': 'a' is in several rows, and evidence needs one row" in refused(
        path, evidence_column="spans"
    )


def test_a_row_per_code_without_ids_is_refused(tmp_path):
    path = write(tmp_path / "t.csv", HEADER[1:3], [row[1:3] for row in rows_per_code()])
    assert "3 of 6 rows have the text of the row before and another code" in refused(
        path, protocol=PATIENT
    )
    # Notes that are really the same, with the same code, or with several codes each, are kept.
    rows = [("Pain", "R52"), ("Pain", "R52"), ("Pain", "I10;R52"), ("Pain", "I10;E11.9")]
    found, _ = read(write(path, HEADER[1:3], rows), protocol=PATIENT)
    assert len(found) == 4


def test_texts_of_a_wrong_encoding_are_reported(tmp_path):
    misread = "patient’s fever".encode("cp1252").decode("latin-1")
    rows = [("1", misread, "R50.9"), ("2", "patient’s fever", "R50.9")]
    _, reading = read(write(tmp_path / "t.csv", HEADER[:3], rows), PATIENT)
    assert reading.choices["texts"].startswith("1 of the documents have control characters where")


WIDE = ("id", "text", "subject_id", "split", "DX1", " dx2", "dx3", "dxdate")


def wide(path, empty=""):
    rows = [
        (id, text, patient, split, *codes, *[empty] * (3 - len(codes)), "2020")
        for id, text, codes, patient, split in DOCUMENTS
    ]
    return write(path, WIDE, rows)


@pytest.mark.parametrize("empty", ["", "nan", "NULL", "-"])
@pytest.mark.parametrize(
    "columns", [["dx1", "dx2", "dx3"], "dx?", ["dx1", "DX[23]", "dx?"], ["dx1", "dx?"]]
)
def test_a_column_per_code_is_read(tmp_path, columns, empty):
    if "DX[23]" in columns:
        assert "no column 'DX[23]'" in refused(wide(tmp_path / "t.csv"), codes_column=columns)
        return
    found, _ = read(wide(tmp_path / "t.csv", empty), codes_column=columns)
    assert found == PLAIN


def test_a_column_of_several_may_have_several_codes_or_lists(tmp_path):
    path = write(tmp_path / "t.csv", ("text", "main", "dx1"), [("Pain", "R52; I10", "E11.9 J18.9")])
    for system in ("icd10", None):
        source = TableSource(path, codes_column=["main", "dx1"], reading=Reading(), system=system)
        (admission,) = source.admissions(PATIENT, tmp_path)
        assert {code.code for code in admission.codes} == {"R52", "I10", "E11.9", "J18.9"}
    (tmp_path / "t.jsonl").write_text('{"text": "Pain", "main": "R52", "dx1": ["I10", "E11.9"]}')
    (document,) = read(tmp_path / "t.jsonl", PATIENT, codes_column=["main", "dx1"])[0]
    assert {code.code for code in document[2]} == {"R52", "I10", "E11.9"}
    (tmp_path / "t.jsonl").write_text('{"text": "Pain", "main": "R52", "dx1": 250}')
    assert "row 1, column 'main, dx1': is int 250, and whether the code had" in refused(
        tmp_path / "t.jsonl", codes_column=["main", "dx1"]
    )


def test_messages_about_columns_of_codes(tmp_path):
    path = wide(tmp_path / "t.csv")
    message = refused(path)
    assert "no column 'codes'" in message
    assert "one column per code (DX1, dx2, dx3), set codes_column='dx*'" in message
    assert "no column fits codes_column: 'icd*'" in refused(path, codes_column="icd*")
    assert "is also" not in refused(path, codes_column="dx*")  # dxdate has no codes
    rows = [(f"{n}", "x", "1", "train", "I10", "low back pain", "", "") for n in range(2)]
    write(path, WIDE, rows)
    assert "row 1, column 'DX1, dx2, dx3': " in refused(path, codes_column="dx?")
    assert "text_column and codes_column are the same column, 'text'" in refused(
        path, codes_column=["dx1", "text"]
    )


def test_columns_of_codes_that_are_not_read_are_named(tmp_path):
    path = wide(tmp_path / "t.csv")
    config = DataConfig(data_path=path, codes_column="dx1", code_system="icd10")
    (notice,) = choose_source(config, Reading()).notices
    assert notice.startswith("only column 'DX1' has the codes; dx2, dx3 are not read.")
    config = DataConfig(data_path=path, codes_column="dx?", code_system="icd10")
    chosen = choose_source(config, Reading())
    assert chosen.notices == ()
    assert chosen.options["codes_column"] == "dx?"
