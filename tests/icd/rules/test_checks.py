"""Checks of sets of codes: one set for each kind of finding, and sets without any."""

from time import perf_counter

import pytest

from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.rules.checks import check_codes
from icdcli.icd.rules.findings import CodeSet, Span


@pytest.fixture(scope="module")
def april():
    return find_edition("icd10cm-2026-04")


def found(codes, edition, **more):
    return [
        (one.kind, one.severity, one.codes) for one in check_codes(CodeSet(codes, **more), edition)
    ]


def kinds(codes, edition, **more):
    return {kind for kind, _, _ in found(codes, edition, **more)}


@pytest.mark.parametrize(
    ("codes", "finding"),
    [
        (["Z99.99"], ("unknown", "hard", ("Z99.99",))),
        (["G35"], ("not assignable", "hard", ("G35",))),  # divided in 2025
        (["S52.501"], ("seventh character", "hard", ("S52.501",))),
        (["S47.2XX"], ("seventh character", "hard", ("S47.2XX",))),
        (["I10", "I10"], ("duplicate", "hard", ("I10",))),
        (["E11", "E11.9"], ("with its category", "hard", ("E11", "E11.9"))),
        (["E10.9", "E11.9"], ("excludes", "soft", ("E10.9", "E11.9"))),
        (["G63"], ("manifestation", "hard", ("G63",))),
        (["G01", "Z79.4"], ("manifestation", "hard", ("G01",))),  # "code first underlying disease"
        # "Such as": diseases that the list lacks may be the cause, too.
        (["F02.80", "Z79.4"], ("manifestation", "hard", ("F02.80",))),
        (["F02.80", "I10"], ("code first", "soft", ("F02.80",))),
        (["H25.10", "H25.11"], ("unspecified side", "soft", ("H25.10", "H25.11"))),
        (["S52.509A", "S52.501A"], ("unspecified side", "soft", ("S52.509A", "S52.501A"))),
        (["E11.9"], ("use additional", "soft", ("E11.9",))),
        (["J12.82"], ("code first", "soft", ("J12.82",))),
        (["E11.9", "E11.22"], ("contradiction", "soft", ("E11.9", "E11.22"))),
        (["F10.20", "F10.239"], ("contradiction", "soft", ("F10.20", "F10.239"))),
        (["K21.00", "K21.9"], ("contradiction", "soft", ("K21.9", "K21.00"))),
        (["I10", "I50.9"], ("combination", "soft", ("I10", "I50.9"))),
        (["I11.0", "N18.4"], ("combination", "soft", ("I11.0", "N18.4"))),
        (["E11.9", "N18.4"], ("combination", "soft", ("E11.9", "N18.4"))),
        (["I10", "I11.0"], ("combination", "soft", ("I10", "I11.0"))),
        (["P07.18", "O80"], ("mother and newborn", "soft", ("O80", "P07.18"))),
    ],
)
def test_each_kind_is_found(april, codes, finding):
    assert finding in found(codes, april)


@pytest.mark.parametrize(
    "codes",
    [
        ["I10"],
        ["I13.0", "I50.9", "N18.9"],
        ["H25.11", "H25.12"],
        ["S52.501A", "S52.502A"],
        ["E11.9", "Z79.4"],
        ["E85.4", "G63"],
        ["A01.01", "G01"],
        ["I11.0", "I50.9"],
        ["E11.22", "N18.4"],
        ["E11.9", "E10.22"],
        ["J98.8"],  # "use additional code to identify" the use of tobacco
        ["A41.51", "R65.21"],  # an infection that "such as" doesn't name
        ["F10.20", "F11.23"],
        ["L89.159"],  # "code first any associated gangrene"
        # Without macular edema in one eye, with it in the other.
        ["E11.3291", "E11.3212"],
        ["S01.311A", "S01.02XA"],  # two lacerations, one with a foreign body
        ["P59.9", "Z38.00"],
        ["O80", "Z37.0", "Z3A.39"],
    ],
)
def test_right_sets_have_no_finding(april, codes):
    unsure = {"excludes"} if codes == ["J98.8"] else {"excludes", "use additional"}
    assert kinds(codes, april) - unsure == set()


def test_a_side_isnt_missing_if_the_other_code_is_the_unspecific_one(april):
    sides = [codes for kind, _, codes in found(["H25.11", "H25.10"], april) if "side" in kind]
    assert sides == [("H25.10", "H25.11")]


def test_the_cause_comes_before_the_manifestation(april):
    late = ("code first", "hard", ("F02.80", "G30.9"))
    assert late in found(["F02.80", "G30.9"], april, ordered=True)
    assert "code first" not in kinds(["G30.9", "F02.80"], april, ordered=True)
    assert "code first" not in kinds(["F02.80", "G30.9"], april)  # no order is known


@pytest.mark.parametrize(
    "first",
    ["V43.52XA", "B95.61", "F02.80", "S52.501S", "Z68.41", "R65.20", "T45.1X6A", "Z37.0", "Z3A.39"],
)
def test_some_codes_cant_be_the_principal_diagnosis(april, first):
    assert ("principal", "hard", (first,)) in found([first, "I10"], april, ordered=True)
    assert "principal" not in kinds([first, "I10"], april)
    assert "principal" not in kinds(["I10", first], april, ordered=True)


@pytest.mark.parametrize(
    ("codes", "finding"),
    [
        (["C50.911", "Z51.11"], ("Z51.11",)),
        (["I10", "Z00.00"], ("Z00.00",)),
        (["J18.9", "O99.513"], ("J18.9", "O99.513")),
        (["T45.1X5A", "D70.1"], ("T45.1X5A",)),
    ],
)
def test_some_codes_come_first(april, codes, finding):
    assert ("principal", "soft", finding) in found(codes, april, ordered=True)
    assert "principal" not in kinds(codes, april)
    assert "principal" not in kinds(codes[::-1], april, ordered=True)


@pytest.mark.parametrize(
    "codes", [["Z51.11", "C50.911"], ["Z34.01"], ["Z00.6", "I10"], ["I10", "Z00.6"], ["Z79.4"]]
)
def test_z_codes_may_come_first(april, codes):
    assert "principal" not in kinds(codes, april, ordered=True)


@pytest.mark.parametrize(
    ("code", "name", "words", "advice"),
    [
        ("G35", "icd10cm-2026-04", "divided since ICD-10-CM, fiscal year 2024", "G35.A"),
        ("G35.A", "icd10cm-2024", "it is new in ICD-10-CM, fiscal year 2026", "valid on the day"),
        ("S30.1XXD", "icd10cm-2026-04", "Contusion of abdominal wall, subsequent", "S30.11XD"),
        ("S72.001Z", "icd10cm-2026-04", "the nearest is S72.001", "S72.001A"),
        ("250.00", "icd10cm-2026-04", "a code of ICD-9-CM", "codes map"),
    ],
)
def test_a_finding_says_what_became_of_a_code(code, name, words, advice):
    (one,) = check_codes([code], find_edition(name))
    assert (one.severity, one.codes) == ("hard", (code,))
    assert words in one.words
    assert advice in one.advice


@pytest.mark.parametrize(
    ("code", "kind", "instead"),
    [("S72.001", "seventh character", "S72.001A"), ("H25.1", "not assignable", "H25.10")],
)
def test_codes_that_a_plain_list_lacks_are_incomplete(code, kind, instead):
    (one,) = check_codes([code], find_edition("icd10cm-2024"))
    assert (one.kind, one.severity) == (kind, "hard")
    assert f"Take one of {instead}, " in one.advice


def test_a_note_of_a_category_is_given_once_for_its_codes(april):
    found = check_codes(["E11.22", "E11.9"], april)
    (one,) = (one for one in found if one.words.startswith("E11, use additional"))
    assert one.codes == ("E11.22", "E11.9")
    assert one.words.startswith(
        "E11, use additional: code to identify control using: injectable non-insulin antidiabetic "
        "drugs (Z79.85); insulin (Z79.4); oral"
    )


def test_checks_are_quick_enough_for_a_page(april):
    """A page checks 30 codes at every change; 10 ms aren't noticed."""
    codes = [code for code, _ in april.assignable()][:: len(april) // 30]
    check_codes(codes, april)
    begin = perf_counter()
    for _ in range(20):
        check_codes(codes, april)
    assert (perf_counter() - begin) / 20 < 0.01


def test_a_more_specific_code_with_the_same_evidence(april):
    evidence = {"I50.9": [Span(10, 20)], "I50.22": [Span(5, 12)]}
    assert ("unspecified", "soft", ("I50.9", "I50.22")) in found(
        ["I50.9", "I50.22"], april, evidence=evidence
    )
    apart = {"I50.9": [Span(10, 20)], "I50.22": [Span(20, 25)]}
    assert "unspecified" not in kinds(["I50.9", "I50.22"], april, evidence=apart)


def test_findings_have_the_official_words_and_advice(april):
    (finding,) = (
        one for one in check_codes(CodeSet(["E10.9", "E11.9"]), april) if one.kind == "excludes"
    )
    assert finding.words == "E10.9, Excludes1: type 2 diabetes mellitus (E11.-)"
    assert "unrelated" in finding.advice


@pytest.mark.parametrize("codes", [("E16.2", "P70.4"), ("I10", "I27.0")])
def test_notes_of_chapters_and_blocks_apply_to_their_codes(april, codes):
    assert ("excludes", "soft", codes) in found(codes, april)


def test_hard_findings_come_first(april):
    severities = [one.severity for one in check_codes(CodeSet(["E11.9", "E10.9", "G35"]), april)]
    assert severities == sorted(severities)
    assert severities[0] == "hard"


def test_procedures_and_their_categories():
    old = find_edition("icd9cm")
    assert ("with its category", "hard", ("36", "36.15")) in found(["36", "36.15"], old)


def test_an_edition_without_notes_gets_the_other_checks():
    old = find_edition("icd9cm")
    assert found(["428", "428.0", "428.0"], old) == [
        ("not assignable", "hard", ("428",)),
        ("duplicate", "hard", ("428.0",)),
        ("with its category", "hard", ("428", "428.0")),
    ]


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("E11.3", "Take one of E11.311, E11.319, E11.3211"),  # not E11.31, which can't be assigned
        ("G35", "Take one of G35.A, G35.B0, G35.B1, G35.B2, G35.C0, G35.C1 and 2 others."),
        ("E66.81", "Take one of E66.811, E66.812, E66.813."),
    ],
)
def test_codes_to_take_can_be_assigned(april, code, advice):
    first, *_ = check_codes(CodeSet([code]), april)
    assert first.advice.startswith(advice)
