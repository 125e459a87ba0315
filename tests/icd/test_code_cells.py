"""Cells of codes as people and programs write them."""

import re

import pytest

from icdcli.icd.code_cells import cell_codes, shown
from icdcli.icd.codes import Kind, System
from icdcli.icd.titles import titles

TWO = ["25000", "4019"]


@pytest.mark.parametrize(
    "cell",
    [
        "['25000' '4019']",  # numpy
        "['25000'\n '4019']",
        "array(['25000', '4019'], dtype=object)",
        "['25000', '4019', nan]",
        "['25000', None, '4019']",
        '["25000", "4019"]',
        "('25000', '4019')",
        "{'25000', '4019'}",
        "25000|4019",
        "25000;4019; unknown",
        "1. 25000 2. 4019",
        ["25000", " 4019 ", "", None, float("nan"), "NULL"],
    ],
)
def test_every_printed_list_is_the_same_two_codes(cell: object) -> None:
    assert cell_codes(cell, "icd9") == TWO


@pytest.mark.parametrize("word", r"nan NaN None null NULL NA N/A <NA> NaT \N".split())
@pytest.mark.parametrize("system", [None, "icd9", "icd10"])
def test_a_word_for_a_missing_value_is_no_code(word: str, system: None) -> None:
    assert cell_codes(word, system) == []
    assert cell_codes([word, "I10"], system) == ["I10"]
    assert cell_codes(f"['{word}']", system) == []


@pytest.mark.parametrize("word", ["unknown", "0", "INVL", "-", "?", "not coded", "missing"])
def test_with_a_code_system_more_words_mean_missing(word: str) -> None:
    assert cell_codes(word, "icd10") == []


def test_without_a_code_system_a_code_may_be_any_string() -> None:
    assert cell_codes("sepsis, 0;A/1", None) == ["sepsis", "0", "A/1"]
    assert cell_codes(["heart failure"], None) == ["heart failure"]


@pytest.mark.parametrize(
    ("cell", "codes"),
    [
        ("M54,5; E11,9", ["M54.5", "E11.9"]),  # decimal commas
        ("M54,5, E11,9", ["M54.5", "E11.9"]),
        ("M54. 5; E11. 9", ["M54.5", "E11.9"]),
        ("M54.5 low back pain; E11.9 type 2 diabetes", ["M54.5", "E11.9"]),
        ("M54.5 low back pain, E11.9 diabetes, without complications", ["M54.5", "E11.9"]),
        ("E11.9 - diabetes | I10: hypertension", ["E11.9", "I10"]),
        ("low back pain (M54.5)", ["M54.5"]),
        ("Tuberculosis of (inner) (middle) ear (A18.6)", ["A18.6"]),
        ("D51.9 vitamin B12 deficiency", ["D51.9"]),  # there is no code B12
        ("M54.5 G; E11.9 G L", ["M54.5", "E11.9"]),  # ICD-10-GM: confirmed, on the left
        ("E11.30+ H36.0*; E11.-", ["E11.30", "H36.0", "E11"]),
        ("i10, 0bj08zz", ["I10", "0BJ08ZZ"]),
        ("M54.5,; I10.", ["M54.5", "I10."]),  # trailing separators
        ("ICD-10: M54.5", ["M54.5"]),
        ("ICD-10-CM:M54.5; icd10_E11.9; ICD10CM I10", ["M54.5", "E11.9", "I10"]),
        ("Ｍ５４．５；Ｉ１０、Ｅ１１．９", ["M54.5", "I10", "E11.9"]),
        ("M54.5\u00a0;\u2009I10\ufeff", ["M54.5", "I10"]),
        ("M54\u200b.5; \u200eI10", ["M54.5", "I10"]),
        ("M54·5 • I10", ["M54.5", "I10"]),
        ("\"M54.5\"; 'I10'; “E11.9”", ["M54.5", "I10", "E11.9"]),
        ("'I10", ["I10"]),  # spreadsheets mark a text so
        ('="I10"', ["I10"]),
        ("A17.0+G01*; E14.3† H36.0*; G30.9 + F00.9*", "A17.0 G01 E14.3 H36.0 G30.9 F00.9".split()),
        ("M54.5 G R; I10 GL", ["M54.5", "I10"]),
    ],
)
def test_what_is_unambiguous_is_read(cell: str, codes: list[str]) -> None:
    assert cell_codes(cell, "icd10") == codes


def test_decimal_commas_of_icd9_are_not_taken_for_two_codes() -> None:
    assert cell_codes("428,0; 250,00", "icd9") == ["428.0", "250.00"]
    assert cell_codes("401,36", "icd9") == ["401", "36"]  # 401.36 does not exist


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("M54.5 G, E11.9 V", "certainty V (suspected; ICD-10-GM) after a code"),
        ("E11.9 A", "certainty A (excluded; ICD-10-GM)"),
        ("M17.1 VR", "certainty V (suspected; ICD-10-GM)"),
        ("E11-E14", "'E11-E14' looks like a range of codes. Write each code of the range"),
        ("E11 – E14", "looks like a range of codes"),
        ("I10, E11–E14", "looks like a range of codes"),
        ("I10 to I15", "looks like a range of codes"),
        ("I10, E11/E14", "'E11/E14' is among words"),
        ("I10 with F00.9", "'F00.9' is among words"),
        ("E11 9", "has a blank inside of a code, or a number after one. Write only codes"),
        ("ICD-9: 428.0", "names ICD-9, but code_system is icd10"),
        ("C50.9 8500/3", "'8500/3' is among words"),
        ("8140/3", "It looks like a morphology code of ICD-O. Keep only codes of ICD"),
        ("2345-7", "It looks like a code of LOINC"),
        ("DRG 470", "Keep only codes of ICD in the column"),
        ("1-Feb", "A spreadsheet may have made a date of the code"),
        ("2024-02-01", "A spreadsheet may have made a date of the code"),
        ("1.19E+02", "A program may have made a number of the code"),
        ("I10?", "'I10?' is not an icd10 code"),
        ("history of I10 and depression", "'I10' is among words"),
        ("I10 with E11.9 or so", "'E11.9' is among words"),
        ("[25000 4019]", "has '25000' without quotes. Write codes as strings"),
        ("[428.0, 401.9]", "has '428.0' without quotes"),
        ([428.0], "has 428.0. Write codes as strings"),
        (428, "is int"),
        ("['I10' 'E11.9' ... 'J18.9']", "numpy shortened"),
        ('[{"code": "I10"}]', "is not a list of codes"),
        ("[" * 3000, "begins like a list, but isn't one"),
        ("[" * 3000 + "]" * 3000, "is not a list of codes"),
        ("[" + "-" * 20000 + "1]", "is not a list of codes"),
        (["\ud8001"], "isn't valid Unicode"),
        ("\ud8001", "isn't valid Unicode"),
        ("DEPRESSION", "a value of 10 characters is not an icd10 code"),
    ],
)
def test_what_is_not_clear_is_refused(cell: object, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        cell_codes(cell, "icd10")


@pytest.mark.parametrize(
    "cell", ["428-430", "250.00–250.03", "V10-V19", "401.9, 428-430", "428 0", "428 2"]
)
def test_ranges_and_divided_codes_of_icd9_are_refused(cell: str) -> None:
    with pytest.raises(ValueError, match=r"range of codes|blank inside of a code"):
        cell_codes(cell, "icd9")


def test_a_number_after_a_code_is_no_range() -> None:
    assert cell_codes("401.9 - 140/90 mmHg", "icd9") == ["401.9"]
    assert cell_codes("M54.5 - 2 weeks; I10 - 140/90", "icd10") == ["M54.5", "I10"]


def test_codes_of_icd9_are_read_without_prefix_and_unusual_characters() -> None:
    assert (
        cell_codes("icd9_428.0; ICD-9-CM V58.61; ４０１．９", "icd9")
        == "428.0 V58.61 401.9".split()
    )


def test_invisible_characters_are_no_part_of_a_code_in_any_system() -> None:
    assert cell_codes("I10\u200b; \ufeffE11", None) == ["I10", "E11"]
    assert cell_codes(["I10\u200b", "Ｅ１１"], None) == ["I10", "Ｅ１１"]


@pytest.mark.parametrize("system", ["icd9", "icd10"])
@pytest.mark.parametrize("kind", ["diagnosis", "procedure"])
@pytest.mark.parametrize(
    ("first", "cell"),
    [
        (0, "{} {}"),
        (3, "{1} ({0})"),
        pytest.param(1, "{}: {}", marks=pytest.mark.slow),
        pytest.param(2, "{} - {}", marks=pytest.mark.slow),
    ],
)
def test_a_code_with_its_official_title_is_never_another_code(
    system: System, kind: Kind, first: int, cell: str
) -> None:
    # Each form of a cell has other codes. ICD-10 has far more of them than ICD-9.
    step = 7 if system == "icd9" else 35
    refused, sample = 0, list(titles(system, kind).items())[first::step]
    for number, (code, title) in enumerate(sample):
        raw = code.replace(".", "") if number % 2 else code
        try:
            assert cell_codes(cell.format(raw, title), system) == [raw]
        except ValueError:
            refused += 1
    assert refused < 0.01 * len(sample)


def test_numbers_in_a_description_are_no_codes() -> None:
    text = "764.04 light for dates, 1,000- 1,249 grams"
    assert cell_codes(text, "icd9") == ["764.04"]
    with pytest.raises(ValueError, match="'500' is among words"):
        cell_codes("401.9 hypertension, 500 mg of aspirin", "icd9")
    assert cell_codes("401.9 hypertension, 428.0 failure", "icd9") == ["401.9", "428.0"]


@pytest.mark.parametrize(
    "note",
    [
        "Mrs Jane Patientname, born 1950-01-02, seen for chest pain.",
        "[**Patientname**] admitted 2118 3",
        "Patientname (J18.9) is Patientname",
        "Patientname",
    ],
)
@pytest.mark.parametrize("system", ["icd9", "icd10"])
def test_no_message_has_words_of_a_note(note: str, system: None) -> None:
    with pytest.raises(ValueError, match=r"characters|among words|certainty") as caught:
        cell_codes(note, system)
    assert "Patientname" not in str(caught.value)
    assert "1950" not in str(caught.value)


def test_only_short_values_with_a_digit_are_shown() -> None:
    assert shown("I1/0") == "'I1/0'"
    assert shown("Jane Doe 7") == "a value of 10 characters"
    assert shown("unknown") == "a value of 7 characters"


def test_codes_with_descriptions_are_objects_in_aci_bench() -> None:
    cell = [{"code": "I10", "description": "Essential hypertension"}, {"code": "E11.9"}]
    assert cell_codes(cell, "icd10") == cell_codes(cell, None) == ["I10", "E11.9"]
    with pytest.raises(ValueError, match="has a dict"):
        cell_codes([{"description": "Essential hypertension"}], "icd10")
