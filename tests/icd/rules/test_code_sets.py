"""Sets of codes in tables of all shapes, and in predictions."""

import json

import pytest

from icdcli.errors import DataError
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.rules.code_sets import read_code_sets
from icdcli.icd.rules.findings import Span


def sets(path):
    return list(read_code_sets(path, find_edition("icd10cm"), False))


def written(path, content):
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "content",
    [
        'id,codes\nn1,"E11.9; I10"\nn2,J18.9\n',
        "id,codes\nn1,E11.9|I10\nn2,J18.9\n",
        "id,code\nn1,E11.9\nn2,J18.9\nn1,I10\n",
        "HADM_ID,ICD_CODE\nn1,e119\nn1,I10\nn2,J189\n",
    ],
)
def test_one_row_per_encounter_or_per_code(tmp_path, content):
    found = sets(written(tmp_path / "codes.csv", content))
    assert [(name, list(one.codes)) for name, one in found] == [
        ("n1", ["E11.9", "I10"]),
        ("n2", ["J18.9"]),
    ]


def test_predictions_have_evidence_and_codes_below_the_threshold(tmp_path):
    codes = [
        {"code": "E11.9", "predicted": True, "evidence": [{"begin": 3, "end": 9}]},
        {"code": "I10", "predicted": False, "evidence": []},
    ]
    path = written(tmp_path / "predictions.jsonl", json.dumps({"id": "n1", "codes": codes}) + "\n")
    ((_, found),) = sets(path)
    assert list(found.codes) == ["E11.9"]
    assert found.evidence == {"E11.9": [Span(3, 9)]}


def test_a_note_without_codes_is_a_set(tmp_path):
    found = sets(written(tmp_path / "codes.csv", "id,code,predicted\nn1,,\nn2,I10,False\n"))
    assert [(name, list(one.codes)) for name, one in found] == [("n1", []), ("n2", [])]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "id,codes\nn1,I10\n", "isn't a table by its name"),
        ("a.csv", "note,codes\nn1,I10\n", "no column with id; its columns are note, codes"),
        ("a.csv", "id,text\nn1,I10\n", "no column with codes"),
        ("a.csv", "id,codes\n,I10\n", "row 1: no id"),
        (
            "a.jsonl",
            '{"id": "n1", "codes": 250.0}\n',
            "row 1, column 'codes': is float 250.0, and whether",
        ),
        ("a.jsonl", '{"id": "n1", "codes": [{"title": "x"}]}\n', "expected codes as text"),
        ("a.jsonl", '{"id": "n1", "codes": [250]}\n', "column 'codes': has 250. Write codes as"),
    ],
)
def test_tables_with_mistakes_are_refused(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        sets(written(tmp_path / name, content))
