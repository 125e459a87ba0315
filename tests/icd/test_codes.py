import pytest

from icdcli.icd.codes import dotted, kind_of
from icdcli.icd.titles import titles


@pytest.mark.parametrize(
    ("raw", "kind", "system", "expected"),
    [
        ("4280", "diagnosis", "icd9", "428.0"),
        ("0331", "diagnosis", "icd9", "033.1"),
        ("0331", "procedure", "icd9", "03.31"),
        ("486", "diagnosis", "icd9", "486"),
        ("V4581", "diagnosis", "icd9", "V45.81"),
        ("E8497", "diagnosis", "icd9", "E849.7"),
        ("E849", "diagnosis", "icd9", "E849"),
        ("3615", "procedure", "icd9", "36.15"),
        ("36", "procedure", "icd9", "36"),
        ("I10", "diagnosis", "icd10", "I10"),
        ("E119", "diagnosis", "icd10", "E11.9"),
        ("0BJ08ZZ", "procedure", "icd10", "0BJ08ZZ"),
        ("  v4581 ", "diagnosis", "icd9", "V45.81"),
        ("428.0", "diagnosis", "icd9", "428.0"),
        ("i10.", "diagnosis", "icd10", "I10"),
        ("bw03", "procedure", "icd10", "BW03"),
    ],
)
def test_the_dot_is_where_the_system_has_it(
    raw: str, kind: str, system: str, expected: str
) -> None:
    assert dotted(raw, kind, system) == expected
    assert dotted(expected, kind, system) == expected


@pytest.mark.parametrize("empty", ["", "  ", "."])
def test_empty_code_is_refused(empty: str) -> None:
    with pytest.raises(ValueError, match="an empty icd9 diagnosis code"):
        dotted(empty, "diagnosis", "icd9")


@pytest.mark.parametrize("raw", ["428-0", "42 80", "4.2.8", "４２８"])
def test_other_characters_are_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="letters, digits and at most one dot"):
        dotted(raw, "diagnosis", "icd9")


@pytest.mark.parametrize(
    ("raw", "kind", "system", "right"),
    [
        ("36.15", "diagnosis", "icd9", "361.5"),
        ("428.0", "procedure", "icd9", "42.80"),
        ("0BJ.08ZZ", "procedure", "icd10", "0BJ08ZZ"),
    ],
)
def test_a_misplaced_dot_means_a_wrong_kind(raw: str, kind: str, system: str, right: str) -> None:
    with pytest.raises(ValueError, match=f"its dot would be as in {right}"):
        dotted(raw, kind, system)


def test_unknown_kind_or_system_names_the_choices() -> None:
    with pytest.raises(ValueError, match=r"'surgery'.*diagnosis.*procedure"):
        dotted("4280", "surgery", "icd9")
    with pytest.raises(ValueError, match=r"'icd11'.*icd9.*icd10"):
        kind_of("428.0", "icd11")


@pytest.mark.parametrize("system", ["icd9", "icd10"])
@pytest.mark.parametrize("kind", ["diagnosis", "procedure"])
def test_kind_is_guessed_right_for_every_official_code(system: str, kind: str) -> None:
    assert [code for code in titles(system, kind) if kind_of(code, system) != kind] == []


def test_guess_for_codes_cut_short() -> None:
    assert kind_of("bw03", "icd10") == "procedure"
    assert kind_of("n39", "icd10") == "diagnosis"
    assert kind_of("36", "icd9") == "procedure"
    assert kind_of("4280", "icd9") == "diagnosis"
