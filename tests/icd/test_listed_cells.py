"""Cells with codes of systems that are known by their list only."""

import pytest

from icdcli.icd.code_cells import cell_codes
from icdcli.icd.editions.edition import About, Edition, Entry
from icdcli.icd.listed_cells import ListedCodes

CODES = {
    "E10": "Type 1 diabetes",
    "E11": "Type 2 diabetes",
    "E11.9": "Type 2 diabetes, without complications",
    "M54.5": "Kreuzschmerz",
    "A17.0†": "Meningitis",
    "G01": "Meningitis bei andernorts klassifizierten Krankheiten",
    "00100": "Anesthesia, salivary glands",
    "99213": "Office visit",
    "1234-5": "Glucose in blood",
    "0FT4": "Resection of gallbladder",
    "no follow-up": "Lost",
    "Heart attack": "Myocardial infarction",
    "E11 extra": "A code with the beginning of another",
}


@pytest.fixture(scope="module")
def listed():
    block = Entry("E10-E14", "Diabetes", "block", assignable=False)
    entries = [Entry(code, title) for code, title in CODES.items()]
    return ListedCodes(Edition.of(About("own-1", "Own"), [block, *entries]))


@pytest.mark.parametrize(
    ("cell", "codes"),
    [
        *((code, [code]) for code in CODES),
        ("E11.9; M54.5", ["E11.9", "M54.5"]),
        ("E11.9,M54.5|00100\n99213", ["E11.9", "M54.5", "00100", "99213"]),
        ("E11.9 M54.5 1234-5", ["E11.9", "M54.5", "1234-5"]),
        ("no follow-up; Heart attack", ["no follow-up", "Heart attack"]),
        ("E11 Heart attack M54.5", ["E11", "Heart attack", "M54.5"]),
        ("heart ATTACK", ["Heart attack"]),
        ("E11 extra", ["E11 extra"]),
        ("e119 m545", ["E11.9", "M54.5"]),
        ("ICD-10: E11.9; ICD10-GM:M54.5", ["E11.9", "M54.5"]),
        ("A17.0† G01*", ["A17.0†", "G01"]),
        ("A17.0†, G01*", ["A17.0†", "G01"]),
        ("M54.5 G; M54.5GL; E11.9 R", ["M54.5", "M54.5", "E11.9"]),
        ("E11.9 Type 2 diabetes, without complications; M54.5 back", ["E11.9", "M54.5"]),
        ("E11 Type 2 diabetes", ["E11"]),
        ("E11.9 Diabetes, type two, E10 Type 1 diabetes", ["E11.9", "E10"]),
        ("X99", ["X99"]),
        ("X99 Y98, Z1", ["X99", "Y98", "Z1"]),
        ("E11.9 X99", ["E11.9", "X99"]),
        ("seen again", ["seen again"]),
        ("E11.9; nan; NULL", ["E11.9"]),
        ("['E11.9', 'Heart attack']", ["E11.9", "Heart attack"]),
        (["no follow-up", "e119", None], ["no follow-up", "E11.9"]),
        (["Sepsis, unspecified", "E11.9; M54.5"], ["Sepsis, unspecified", "E11.9", "M54.5"]),
        ("", []),
        (None, []),
    ],
)
def test_the_list_decides_what_a_code_is(listed, cell, codes):
    assert [listed.spelled(code) for code in cell_codes(cell, None, listed)] == codes


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("E10-E11.9", "range"),
        ("E10 - E11", "range"),
        ("E10 to E11", "range"),
        ("Diabetes E11.9", "among words"),
        ("E11.9 after M54.5", "among words"),
        ("M54.5 V", "certainty V"),
        ("M54.5 A", "certainty A"),
        ("M54.5V", "certainty V"),
        (250.0, r"is float 250\.0, and whether the code had more zeros can't be known"),
        ([99213], "numbers lose their zeros"),
    ],
)
def test_what_is_not_clear_is_refused(listed, cell, message):
    with pytest.raises(ValueError, match=message):
        cell_codes(cell, None, listed)


def test_a_list_that_lacks_most_codes_is_the_wrong_one(listed):
    assert listed.problem(["E11.9", "M54.5", "X99"]) is None
    assert "2 of 3 codes that own-1 lacks (X99, Y98)" in listed.problem(["E11.9", "X99", "Y98"])
    assert "set code_system: icd10" in listed.problem(["J18.9", "I10", "N39.0"])
    assert "set code_system: icd9" in listed.problem(["428.0", "486", "250.00"])
