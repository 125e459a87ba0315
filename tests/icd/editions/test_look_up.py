"""All about one code."""

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


def test_a_retired_code_says_which_edition_had_it_last():
    found = look_up("A41.54", "icd10cm-2024")  # in both, so not retired
    assert found.retired_after is None
    assert look_up("H93.92", "icd10cm").retired_after is None


def test_a_code_that_no_edition_has_is_refused():
    with pytest.raises(ConfigError, match=r"'ZZZ' isn't in ICD-10-CM.*codes search"):
        look_up("ZZZ", "icd10cm")
