"""`icdcode predict --check` and `--resolve`: findings beside the codes."""

import json

import pytest


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_checks_are_beside_the_codes(icdcode, trained, tmp_path):
    notes = tmp_path / "notes.csv"
    notes.write_text("id,text\nn1,Chest pain and fever.\nn2,Type two diabetes mellitus.\n")
    plain = icdcode("predict", trained, notes, "--json")
    checked = icdcode("predict", trained, notes, "--json", "--check")
    assert checked.code == 0, checked
    for before, after in zip(lines(plain.out), lines(checked.out), strict=True):
        assert isinstance(after.pop("findings"), list)
        assert after.pop("checked_by") == before["editions"]
        assert after == before
    output = tmp_path / "codes.jsonl"
    answer = icdcode("predict", trained, notes, "--resolve", "--output", output)
    assert answer.code == 0, answer
    assert all("findings" in line for line in lines(output.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--date", "2026-05-01"), "Add --check or --resolve"),
        (("--date-column", "day"), "Add --check or --resolve"),
        (("--check", "--date", "2026-05-01", "--date-column", "day"), "give one of them"),
        (("--check", "--date-column", "gone"), "no column 'gone'"),
        (("--check", "--date-column", "text"), "the columns of texts and of days are both 'text'"),
        (("--check", "--date-column", "day"), "row 2, column 'day'"),
    ],
)
def test_wrong_days_get_one_message(icdcode, trained, tmp_path, options, message):
    notes = tmp_path / "notes.csv"
    notes.write_text("id,text,day\nn1,Chest pain.,2026-05-01\nn2,Fever.,03/04/2026\n")
    answer = icdcode("predict", trained, notes, *options)
    assert answer.code in (2, 3)
    assert message in answer.err
    assert "n1" not in answer.out
