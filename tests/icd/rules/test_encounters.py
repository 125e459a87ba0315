"""Checks of encounters with several kinds of codes, and the codes that hard rules remove."""

import pytest

from icdcli.icd.code_system import open_code_system
from icdcli.icd.rules.encounters import EncounterChecks


@pytest.fixture(scope="module")
def checks():
    return EncounterChecks(open_code_system("icd10cm-2026-04").editions)


def diagnoses(codes):
    return [(code, "diagnosis") for code in codes]


def resolved(checks, codes, **how):
    kept, dropped = checks.resolve(diagnoses(codes), **how)
    return [code for code, _ in kept], [(one.code, one.finding.kind) for one in dropped]


def test_each_kind_of_code_has_its_edition(checks):
    codes = [("I21.4", "diagnosis"), ("02703DZ", "procedure"), ("99999ZZ", "procedure")]
    found = [one for one in checks.check(codes) if one.severity == "hard"]
    assert [(one.kind, one.codes) for one in found] == [("unknown", ("99999ZZ",))]
    assert "ICD-10-PCS" in found[0].words


def test_kinds_with_the_same_edition_are_one_set():
    checks = EncounterChecks(open_code_system("icd9").editions)
    found = checks.check([("36", "procedure"), ("36.15", "procedure"), ("428.0", "diagnosis")])
    assert [one.codes for one in found if one.kind == "with its category"] == [("36", "36.15")]


@pytest.mark.parametrize(
    ("codes", "kept", "dropped"),
    [
        (["I10", "N17.9"], ["I10", "N17.9"], []),
        (["E11", "E11.9"], ["E11.9"], [("E11", "not assignable")]),
        (
            ["G35", "I10", "S72.001", "X99"],
            ["I10"],
            [
                ("G35", "not assignable"),
                ("S72.001", "seventh character"),
                ("X99", "not assignable"),
            ],
        ),
        (["I10", "N17.9", "I10"], ["I10", "N17.9"], [("I10", "duplicate")]),
        # Without its cause, which isn't assignable itself, the manifestation goes, too.
        (["E85", "G63"], [], [("E85", "not assignable"), ("G63", "manifestation")]),
        (["G63", "E85.4"], ["G63", "E85.4"], []),
        # Excludes1 is for a person to decide.
        (["E10.9", "E11.9"], ["E10.9", "E11.9"], []),
    ],
)
def test_hard_rules_remove_codes(checks, codes, kept, dropped):
    assert resolved(checks, codes) == (kept, dropped)


def test_of_an_excludes1_pair_the_code_with_the_lower_score_can_go(checks):
    assert resolved(checks, ["E11.9", "E10.9"], excludes1=True) == (
        ["E11.9"],
        [("E10.9", "excludes")],
    )
    assert resolved(checks, ["E10.9", "E11.9"], excludes1=True)[0] == ["E10.9"]
    # E10.9 excludes E08.9 and E11.9. As it is the best of them, E08.9 and E11.9 go.
    assert resolved(checks, ["E10.9", "E08.9", "E11.9"], excludes1=True)[0] == ["E10.9"]
    # R07.9 and R07.1 are excluded by different codes; one that is gone excludes nothing.
    assert resolved(checks, ["F33.1", "F32.9"], excludes1=True)[0] == ["F33.1"]


def test_nothing_hard_is_left_and_resolving_again_changes_nothing(checks):
    codes = ["F02.80", "G35", "E11", "E11.9", "I10", "S72.001", "B95.61", "G63", "X99"]
    kept, dropped = checks.resolve(diagnoses(codes))
    assert sorted([code for code, _ in kept] + [one.code for one in dropped]) == sorted(codes)
    assert [one for one in checks.check(kept) if one.severity == "hard"] == []
    assert checks.resolve(kept) == (kept, [])
