"""All about one code."""

import json
from datetime import date

import pytest

from icdcli.errors import ConfigError
from icdcli.icd.editions.look_up import look_up


def test_a_code_has_its_place_terms_and_notes():
    found = look_up("s06.0x0a", "icd10cm-2026")
    assert found.code == "S06.0X0A"
    assert found.assignable
    assert [code for code, _ in found.above][-3:] == ["S06.0", "S06.0X", "S06.0X0"]
    places = [place for place, _ in found.notes["excludes1"]]
    assert places == ["S06.0", "S06"]
    assert [place for place, _ in found.notes["seventh"]] == ["S06"]


def test_a_category_has_what_is_below_it_and_synonyms():
    found = look_up("E11.9", "icd10cm")
    assert "sugar diabetes" in found.synonyms
    assert look_up("E11.9", "icd10cm", "xx").synonyms == ()
    assert [code for code, _ in look_up("G35", "icd10cm").below] == [
        *("G35.A", "G35.B", "G35.C", "G35.D"),
    ]


@pytest.mark.parametrize(
    ("code", "became"),
    [
        ("D71", ["D71.1", "D71.8", "D71.9"]),  # divided
        ("E66.8", ["E66.811", "E66.812", "E66.813", "E66.89"]),
        ("S30.1XXA", ["S30.11XA"]),  # another code with the same title
        ("T78.07XA", ["T78.070A", "T78.071A", "T78.079A"]),  # divided before its last character
    ],
)
def test_a_retired_code_says_what_became_of_it(code, became):
    found = look_up(code, "icd10cm-2026-04")
    assert not found.assignable
    assert (found.retired_after, found.retired_by) == ("icd10cm-2024", date(2026, 4, 1))
    assert [one for one, _ in found.became] == became
    assert all(title for _, title in found.became)
    older = look_up(code, "icd10cm-2024")
    assert older.assignable
    assert (older.valid_from, older.new_after) == (date(2023, 10, 1), None)
    assert older.became == found.became


def test_a_new_code_says_which_edition_lacks_it():
    found = look_up("G35.A", "icd10cm-2026-04")
    assert (found.new_after, found.valid_from) == ("icd10cm-2024", date(2026, 4, 1))
    assert found.retired_after is None
    before = look_up("G35.A", "icd10cm-2024")
    assert (before.assignable, before.new_after) == (False, "icd10cm-2024")
    assert before.title == "Relapsing-remitting multiple sclerosis"


@pytest.mark.parametrize("code", ["A41.54", "U07.1", "E11.9", "H93.92"])
def test_a_code_in_all_editions_is_neither_new_nor_retired(code):
    found = look_up(code, "icd10cm")
    assert (found.new_after, found.retired_after, found.became) == (None, None, ())


def test_covid_has_its_notes():
    found = look_up("U07.1", "icd10cm-2026-04")
    assert "coronavirus infection" in found.synonyms
    assert [place for place, _ in found.notes["excludes2"]] == ["U07.1"]
    ((_, lines),) = found.notes["use_additional"]
    assert "pneumonia due to COVID-19 (J12.82)" in lines


def test_dementia_in_other_diseases_has_its_notes():
    found = look_up("F02.80", "icd10cm-2026-04")
    assert set(found.notes) >= {"terms", "excludes1", "excludes2", "code_first"}
    ((place, lines),) = found.notes["code_first"]
    assert place == "F02"
    assert "Parkinson's disease (G20.-)" in lines


def test_plain_values_can_be_written_as_json():
    found = json.loads(json.dumps(look_up("G35", "icd10cm").to_json()))
    assert (found["valid_from"], found["retired_by"]) == ("2023-10-01", "2026-04-01")
    assert found["became"][0] == ["G35.A", "Relapsing-remitting multiple sclerosis"]


def test_a_code_of_another_system_says_so():
    with pytest.raises(ConfigError, match=r"a code of ICD-9-CM.*--edition icd9cm-32"):
        look_up("250.00", "icd10cm")


def test_a_code_that_no_edition_has_is_refused():
    with pytest.raises(ConfigError, match=r"'ZZZ' isn't in ICD-10-CM.*codes search"):
        look_up("ZZZ", "icd10cm")
