"""`icdcode predict --check` and `--resolve`: findings beside the codes."""

import json


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
        assert after == before
    output = tmp_path / "codes.jsonl"
    answer = icdcode("predict", trained, notes, "--resolve", "--output", output)
    assert answer.code == 0, answer
    assert all("findings" in line for line in lines(output.read_text(encoding="utf-8")))


def test_a_day_needs_checks(icdcode, trained, tmp_path):
    answer = icdcode("predict", trained, tmp_path / "notes.csv", "--date", "2026-05-01")
    assert answer.code == 2
    assert "Add --check or --resolve" in answer.err
