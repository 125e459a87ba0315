"""`icdcode check`: findings in the terminal and in JSON, days, and exit codes."""

import json

import pytest

from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.records import edition_id


@pytest.fixture
def codes(tmp_path):
    path = tmp_path / "codes.csv"
    path.write_text('id,codes\nn1,"E11.9; Z79.4"\nn2,"G35; E119; E10.9"\nn3,I10\n')
    return path


def test_findings_are_counted_and_listed_hard_ones_first(icdcode, codes):
    answer = icdcode("check", codes)
    assert answer.code == 0, answer.err
    assert "3 sets of codes, ICD-10-CM, fiscal year 2026" in answer.out
    assert answer.out.index("n2: not assignable (hard)") < answer.out.index("n2: excludes (soft)")


def test_json_has_every_finding_and_the_edition(icdcode, codes):
    found = icdcode("check", codes, "--json").json
    assert (found["edition"], found["encounters"]) == ("icd10cm-2026-04", 3)
    assert {(one["id"], one["kind"]) for one in found["findings"]} >= {
        ("n2", "not assignable"),
        ("n2", "excludes"),
    }


def test_the_day_of_the_discharge_chooses_the_edition(icdcode, codes):
    found = icdcode("check", codes, "--date", "2024-05-01", "--json").json
    assert found["edition"] == "icd10cm-2024"
    assert found["findings"] == []  # G35 could be assigned, and that edition has no notes


def test_strict_ends_with_code_3_if_a_finding_is_hard(icdcode, codes, tmp_path):
    assert icdcode("check", codes, "--strict").code == 3
    (tmp_path / "soft.csv").write_text('id,codes\nn1,"E11.9; E10.9"\n')
    assert icdcode("check", tmp_path / "soft.csv", "--strict").code == 0


def test_an_ordered_set_has_a_principal_diagnosis(icdcode, tmp_path):
    (tmp_path / "codes.csv").write_text('id,codes\nn1,"V43.52XA; S52.501A"\n')
    assert "principal" in icdcode("check", tmp_path / "codes.csv", "--ordered").out
    assert "principal" not in icdcode("check", tmp_path / "codes.csv").out


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_predictions_of_another_edition_are_noticed(icdcode, tmp_path, ending):
    path = tmp_path / f"codes.{ending}"
    for name in ("icd10cm-2024", "icd10cm-2026-04"):
        edition = find_edition(name)
        recorded = edition_id({"name": name, "sha256": edition.sha256})
        row = {"id": "n1", "editions": [recorded], "codes": [{"code": "I10", "predicted": True}]}
        table = f"id,code,predicted,edition\nn1,I10,True,{recorded}\nn2,,,\n"
        path.write_text(json.dumps(row) + "\n" if ending == "jsonl" else table)
        answer = icdcode("check", path)
        assert answer.code == 0, answer.err
        noticed = f"has codes of {recorded}, checked against icd10cm-2026-04@" in answer.err
        assert noticed == (name == "icd10cm-2024")
        own = icdcode("check", path, "--edition", name)
        assert (own.code, own.err) == (0, "")


def test_an_own_column_named_edition_is_left_alone(icdcode, tmp_path):
    (tmp_path / "codes.csv").write_text("id,code,edition\nn1,I10,second\n")
    answer = icdcode("check", tmp_path / "codes.csv")
    assert (answer.code, answer.err) == (0, "")


def test_procedures_are_checked_by_their_edition(icdcode, tmp_path):
    path = tmp_path / "codes.csv"
    path.write_text('id,codes\nn1,"I21.4; 02703DZ; 99999ZZ"\nn2,"02703DZ"\n')
    found = icdcode("check", path, "--json").json
    hard = [one for one in found["findings"] if one["severity"] == "hard"]
    assert [(one["id"], one["kind"], one["codes"]) for one in hard] == [
        ("n1", "unknown", ["99999ZZ"])
    ]
    assert "ICD-10-PCS" in hard[0]["words"]
    assert found["editions"]["procedure"]["name"] == "icd10pcs-2024"
    own = icdcode("check", path, "--edition", "icd10pcs", "--json").json
    assert own["edition"] == "icd10pcs-2024"
    assert [one["codes"] for one in own["findings"] if one["severity"] == "hard"] == [["99999ZZ"]]


def test_a_missing_file_or_edition_is_refused(icdcode, codes, tmp_path):
    assert icdcode("check", tmp_path / "gone.csv").code == 2
    answer = icdcode("check", codes, "--edition", "icd11")
    assert answer.code == 2
    assert "no edition 'icd11' (did you mean 'icd10cm'?)" in answer.err
