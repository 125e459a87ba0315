"""The General Equivalence Mappings."""

import pytest

from icdcli.icd.equivalents import equivalents


def test_codes_with_one_equivalent():
    assert [one.code for one in equivalents("icd10", "icd9")["E11.9"]] == ["250.00"]
    assert [one.code for one in equivalents("icd9", "icd10")["428.0"]] == ["I50.9"]
    assert not equivalents("icd9", "icd10")["001.0"][0].approximate


def test_codes_that_need_several_together():
    found = equivalents("icd10", "icd9")["E11.341"]
    assert [(one.code, one.scenario, one.choice) for one in found] == [
        ("250.50", 1, 1),
        ("362.06", 1, 2),
        ("362.07", 1, 3),
    ]


def test_codes_without_an_equivalent_and_systems_without_a_mapping():
    assert () in equivalents("icd9", "icd10").values()
    with pytest.raises(ValueError, match="no mapping from icd9 to icd9"):
        equivalents("icd9", "icd9")
