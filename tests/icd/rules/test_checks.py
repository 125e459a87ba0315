"""Checks of sets of codes: one set for each kind of finding, and sets without any."""

import pytest

from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.rules.checks import CodeSet, Span, check_codes


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
        (["I10", "I10"], ("duplicate", "hard", ("I10",))),
        (["E11", "E11.9"], ("with its category", "hard", ("E11", "E11.9"))),
        (["E10.9", "E11.9"], ("excludes", "soft", ("E10.9", "E11.9"))),
        (["G63"], ("manifestation", "hard", ("G63",))),
        (["H25.10", "H25.11"], ("unspecified side", "soft", ("H25.10", "H25.11"))),
        (["S52.509A", "S52.501A"], ("unspecified side", "soft", ("S52.509A", "S52.501A"))),
        (["E11.9"], ("use additional", "soft", ("E11.9",))),
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
    ],
)
def test_right_sets_have_no_finding(april, codes):
    assert kinds(codes, april) - {"excludes", "use additional"} == set()


def test_a_side_isnt_missing_if_the_other_code_is_the_unspecific_one(april):
    sides = [codes for kind, _, codes in found(["H25.11", "H25.10"], april) if "side" in kind]
    assert sides == [("H25.10", "H25.11")]


def test_the_cause_comes_before_the_manifestation(april):
    late = ("code first", "hard", ("F02.80", "G30.9"))
    assert late in found(["F02.80", "G30.9"], april, ordered=True)
    assert "code first" not in kinds(["G30.9", "F02.80"], april, ordered=True)
    assert "code first" not in kinds(["F02.80", "G30.9"], april)  # no order is known


@pytest.mark.parametrize("first", ["V43.52XA", "B95.61", "F02.80", "S52.501S", "Z68.41"])
def test_some_codes_cant_be_the_principal_diagnosis(april, first):
    assert ("principal", "hard", (first,)) in found([first, "I10"], april, ordered=True)
    assert "principal" not in kinds([first, "I10"], april)
    assert "principal" not in kinds(["I10", first], april, ordered=True)


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


def test_an_edition_without_notes_gets_the_other_checks():
    old = find_edition("icd9cm")
    assert found(["428", "428.0", "428.0"], old) == [
        ("not assignable", "hard", ("428",)),
        ("duplicate", "hard", ("428.0",)),
        ("with its category", "hard", ("428", "428.0")),
    ]
