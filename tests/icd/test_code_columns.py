"""The kind and spelling of a column of codes, against the official tables."""

from collections import Counter
from functools import cache

import pytest

from icdcli.icd.code_columns import CodeColumn, decide_column
from icdcli.icd.codes import Kind, System
from icdcli.icd.titles import is_known, titles


def decide(system: System, *codes: str, **options: object) -> CodeColumn:
    return decide_column(Counter(codes), system, **options)  # type: ignore[arg-type]


def bare(system: System, kind: Kind) -> dict[str, str]:
    return {code.replace(".", ""): code for code in titles(system, kind)}


@cache
def decided_of_all(system: System, kind: Kind) -> CodeColumn:
    return decide(system, *bare(system, kind))


@pytest.mark.parametrize("system", ["icd9", "icd10"])
@pytest.mark.parametrize("kind", ["diagnosis", "procedure"])
def test_all_codes_of_a_kind_are_read_as_this_kind_without_their_dots(
    system: System, kind: Kind
) -> None:
    codes = bare(system, kind)
    column = decided_of_all(system, kind)
    assert (column.kind, column.problem, column.unknown) == (kind, None, 0)
    assert all(column.spelled(raw) == (code, kind) for raw, code in codes.items())


def test_categories_of_icd9_are_diagnoses_if_letters_or_missing_procedures_show_it() -> None:
    categories = sorted({code[: 4 if code[0] == "E" else 3] for code in bare("icd9", "diagnosis")})
    column = decide("icd9", *categories)
    assert column.kind == "diagnosis"
    assert column.spelled("285") == ("285", "diagnosis")
    assert column.as_procedures > 700  # so many could be procedures


def test_few_categories_that_may_be_procedures_are_refused_with_examples() -> None:
    with pytest.raises(ValueError, match=r"285: 285 diagnosis or 28\.5 Excision of lingual"):
        decide("icd9", "285", "585", "486")
    column = decide("icd9", "285", "585", "486", code_kind="diagnosis")
    assert [column.spelled(raw) for raw in ("285", "585")] == [
        ("285", "diagnosis"),
        ("585", "diagnosis"),
    ]
    assert decide("icd9", "285", code_kind="procedure").spelled("285") == ("28.5", "procedure")


def test_undotted_diagnoses_among_others_stay_diagnoses() -> None:
    codes = "5185 585 25000 2859 4019 42731 486 5990".split()
    column = decide("icd9", *codes)
    assert column.spelled("5185") == ("518.5", "diagnosis")
    assert (column.codes, column.as_diagnoses, column.as_procedures, column.undotted) == (
        8,
        8,
        4,
        6,
    )
    assert "8 exist as diagnoses and 4 as procedures" in column.in_words()


def test_codes_with_dots_decide_for_those_that_need_none() -> None:
    assert decide("icd9", "428.0", "486").spelled("486") == ("486", "diagnosis")
    column = decide("icd9", "36.15", "486")
    assert [column.spelled(raw)[0] for raw in ("36.15", "486")] == ["36.15", "486"]


def test_a_column_of_both_kinds_is_read_if_each_code_has_one_meaning() -> None:
    column = decide("icd9", "4280", "36.15", "3615", "401.9")
    assert column.kind == "both"
    assert column.spelled("3615") == ("36.15", "procedure")
    assert column.spelled("4280") == ("428.0", "diagnosis")
    with pytest.raises(ValueError, match=r"5185: 518\.5"):
        decide("icd9", "4280", "3615", "3893", "25000", "5185")
    with pytest.raises(ValueError, match=r"5185: 518\.5"):
        decide("icd9", "25000", "4280", "5185", code_kind="both")


def test_a_diagnosis_of_icd10_is_one_label_in_every_spelling() -> None:
    column = decide("icd10", "M545", "M54.5", "I10X", "I10", "J22X", "J22", "K297", "0BJ08ZZ")
    assert column.kind == "both"
    assert [column.spelled(raw)[0] for raw in ("M545", "I10X", "J22X", "K297")] == [
        "M54.5",
        "I10",
        "J22",
        "K29.7",
    ]
    assert column.spelled("0BJ08ZZ") == ("0BJ08ZZ", "procedure")


@pytest.mark.parametrize("procedures", [[], ["0BJ08ZZ", "02HV33Z"]])
def test_undotted_diagnoses_of_other_editions_are_the_labels_of_the_dotted_ones(
    procedures: list[str],
) -> None:
    codes = {"E149": "E14.9", "E14.9": "E14.9", "I109": "I10.9", "J189": "J18.9"}  # WHO, KCD
    column = decide("icd10", *codes, *procedures)
    assert {raw: column.spelled(raw) for raw in codes} == {
        raw: (code, "diagnosis") for raw, code in codes.items()
    }
    assert (column.unknown, column.labels) == (2, 3 + len(procedures))


def test_beginnings_of_procedures_and_categories_are_not_guessed() -> None:
    assert decide("icd10", "B20", "C22", "I10").kind == "diagnosis"
    with pytest.raises(ValueError, match="B20: B20"):
        decide("icd10", "B20", "C22", "0BJ", "02H")
    column = decide("icd10", "B20", "0BJ", code_kind="procedure")
    assert column.spelled("B20") == ("B20", "procedure")


def test_two_systems_and_the_wrong_system_are_problems() -> None:
    nine, ten = ["250.00", "311", "401.9"], ["E11.9", "I10", "F32.9"]
    for system in ("icd9", "icd10"):
        problem = decide(system, *nine, *ten).problem or ""  # type: ignore[arg-type]
        assert "3 of 6" in problem
        assert "Keep only the codes of one system" in problem
    assert "Set code_system: icd9" in (decide("icd10", *nine).problem or "")
    assert "Set code_system: icd10" in (decide("icd9", *ten).problem or "")


def test_codes_that_were_saved_as_numbers_are_problems() -> None:
    assert "saved as numbers: it has 486.0" in (decide("icd9", "486.0", "250.0").problem or "")
    assert decide("icd9", "428.0", "401.9").problem is None
    procedures = ["9604", "9671", "3893", "4516", "66"]
    assert "lost its leading zeros" in (decide("icd9", *procedures).problem or "")
    assert decide("icd9", *procedures[:-1], "0066").problem is None
    with pytest.raises(ValueError, match="Programs write whole numbers so"):
        decide("icd9", "428.0", "V58.61").spelled("25000.0")


def test_more_than_five_percent_unknown_codes_are_a_problem() -> None:
    codes = list(bare("icd10", "diagnosis"))[:95]
    strange = [f"E14.{n}" for n in range(5)]
    assert not any(is_known(code, "diagnosis", "icd10") for code in strange)
    column = decide("icd10", *codes, *strange)
    assert (column.problem, column.unknown, column.labels) == (None, 5, 100)
    problem = decide("icd10", *codes, *strange, "E14.9").problem or ""
    assert problem.startswith("has 6 of 101 codes (6 %) that aren't in the official tables")


def test_an_impossible_form_is_kept_only_on_request() -> None:
    with pytest.raises(ValueError, match=r"its dot would be as in 250\.00"):
        decide("icd9", "25.000", code_kind="diagnosis").spelled("25.000")
    kept = decide("icd9", "25.000", code_kind="diagnosis", keep_impossible=True)
    assert kept.spelled("25.000") == ("25.000", "diagnosis")


def test_letters_of_icd10_gm_behind_a_code_are_no_part_of_it() -> None:
    column = decide("icd10", "M54.5G", "M545G", "I10GR", "S72.01G", "E11.9", "S72.001A")
    assert [column.spelled(raw)[0] for raw in ("M54.5G", "M545G", "I10GR", "S72.01G")] == [
        "M54.5",
        "M54.5",
        "I10",
        "S72.01",
    ]
    assert column.spelled("S72.001A")[0] == "S72.001A"  # a code of its own
    assert (column.unknown, column.problem) == (0, None)
    assert "sides of ICD-10-GM are left out" in column.in_words()


@pytest.mark.parametrize(("letter", "meaning"), [("V", "susp"), ("A", "excl"), ("Z", "stat")])
def test_a_diagnosis_that_is_not_confirmed_is_refused(letter: str, meaning: str) -> None:
    for accepted in (False, True):
        column = decide("icd10", "I10G", f"M54.5{letter}", keep_impossible=accepted)
        with pytest.raises(ValueError, match=f"certainty {letter} .{meaning}"):
            column.spelled(f"M54.5{letter}")


def test_the_seventh_character_of_an_injury_is_no_certainty() -> None:
    column = decide("icd10", *list(bare("icd10", "diagnosis"))[::50], "S72.01A", "S72.01G")
    assert not column.letters
    assert column.spelled("S72.01A") == ("S72.01A", "diagnosis")
    assert "letters" not in column.to_json()


def test_all_codes_of_icd10_keep_their_last_letters() -> None:
    assert not decided_of_all("icd10", "diagnosis").letters
    assert not decided_of_all("icd10", "procedure").letters


@pytest.mark.parametrize(
    ("codes", "name"),
    [
        (["99213", "36415", "70450"], "CPT"),
        (["73211009", "38341003", "22298006"], "SNOMED CT"),
        (["5A11", "BA00", "CA40.0"], "ICD-11"),
    ],
)
def test_a_column_of_another_catalog_is_named(codes: list[str], name: str) -> None:
    problem = decide("icd10", *codes).problem or ""
    assert f"Most of them look like codes of {name}." in problem


def test_unknown_codes_of_other_countries_are_not_said_to_be_of_another_catalog() -> None:
    problem = decide("icd10", "E11.90", "A09.0", "E14.90", "K35.30").problem or ""
    assert "aren't in the official tables" in problem
    assert "look like" not in problem
