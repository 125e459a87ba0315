"""The codes of a reading are checked at each decision, by the editions of the suggestions."""

import time
from datetime import UTC, date, datetime
from typing import Any

import pytest
from reviewing import suggested

from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.records import edition_record
from icdcli.review.checking import ReviewFinding, checking_problems, findings_of, hard_keys
from icdcli.review.decisions import DecisionDraft, DecisionEvent
from icdcli.review.notes import ReviewNote, import_notes
from icdcli.review.readings import append_decisions
from icdcli.review.state import ReviewState, fold
from icdcli.review.store import Store
from icdcli.review.suggestions import SuggestionSet

EDITIONS = {
    "diagnosis": edition_record(find_edition("icd10cm")),
    "procedure": edition_record(find_edition("icd10pcs")),
}


def shown(editions: Any = None, suggestions: Any = ()) -> SuggestionSet:
    return SuggestionSet(
        1, "0" * 64, "model", EDITIONS if editions is None else editions, 0, tuple(suggestions)
    )


def reading(*codes: str, **then: Any) -> ReviewState:
    """Return the state of a reading with these codes, and further decisions."""
    drafts = [("add", {"code": code}) for code in codes]
    if order := then.get("order"):
        drafts.append(("order", {"codes": order.split()}))
    drafts += [("poa", {"code": code, "value": "Y"}) for code in then.get("poa", "").split()]
    drafts += [
        ("mark", {"code": code, "evidence": [[3, 9]]}) for code in then.get("marked", "").split()
    ]
    now = datetime.now(UTC)
    return fold(
        DecisionEvent(number, "ana", now, kind, details)
        for number, (kind, details) in enumerate(drafts, start=1)
    )


def kinds(findings: list[ReviewFinding]) -> set[tuple[str, str]]:
    return {(one.kind, one.severity) for one in findings}


def test_codes_outside_of_the_label_space_are_checked() -> None:
    found = findings_of(reading("E11", "E11.9", "XYZ", "0DTJ4ZZ"), shown())
    assert {one.key for one in found if one.severity == "hard"} >= {
        "unknown: XYZ",
        "not assignable: E11",
    }
    assert not any("0DTJ4ZZ" in one.codes for one in found)  # a known procedure
    assert [one.severity for one in found] == sorted(one.severity for one in found)
    assert findings_of(reading("I10"), shown()) == []


def test_a_key_is_the_same_while_its_codes_are() -> None:
    before = findings_of(reading("XYZ", "I10"), shown())
    after = findings_of(reading("I10", "E11.9", "XYZ"), shown())
    assert hard_keys(before) == hard_keys(after) == ["unknown: XYZ"]
    many = findings_of(reading("E10.9", "E11.9", "J44.9", "I10", "I50.9", "N18.6"), shown())
    assert len({one.key for one in many}) == len(many) > 3


def test_the_order_is_checked_once_it_is_set() -> None:
    cause, manifestation = "B20", "F02.80"
    codes = (manifestation, cause)
    assert not any(one.severity == "hard" for one in findings_of(reading(*codes), shown()))
    wrong = findings_of(reading(*codes, order="F02.80 B20"), shown())
    assert ("code first", "hard") in kinds(wrong)
    assert ("principal", "hard") in kinds(wrong)
    right = findings_of(reading(*codes, order="B20 F02.80"), shown())
    assert not any(one.severity == "hard" for one in right)


def test_some_diagnoses_without_a_flag_are_found() -> None:
    codes = ("I10", "J18.9", "0DTJ4ZZ")
    assert findings_of(reading(*codes), shown()) == []
    (found,) = findings_of(reading(*codes, poa="I10"), shown())
    assert (found.kind, found.severity, found.codes) == (
        "present on admission",
        "soft",
        ("J18.9",),
    )
    assert findings_of(reading(*codes, poa="I10 J18.9"), shown()) == []


def test_marked_words_relate_codes() -> None:
    apart = findings_of(reading("E10.9", "E11.9"), shown())
    same = findings_of(reading("E10.9", "E11.9", marked="E10.9 E11.9"), shown())
    assert "unrelated" in apart[0].advice
    assert "same words" in same[0].advice


def test_the_edition_is_that_of_the_day() -> None:
    new = "E66.811"  # in the edition of April 2026, and not in that of 2024
    assert findings_of(reading(new), shown(), date(2026, 5, 1)) == []
    assert findings_of(reading(new), shown()) == []  # the model's own edition
    assert hard_keys(findings_of(reading(new), shown(), date(2024, 5, 1))) == [f"unknown: {new}"]


def test_without_editions_nothing_is_checked_and_it_is_said() -> None:
    other = {"diagnosis": {"name": "kcd-99", "sha256": "0" * 64}}
    assert findings_of(reading("XYZ"), shown({})) == []
    assert findings_of(reading("XYZ"), None) == []
    assert findings_of(reading("XYZ"), shown(other)) == []
    assert "isn't known" in checking_problems({})[0]
    assert "no edition 'kcd-99'" in checking_problems(other)[0]
    assert checking_problems(EDITIONS) == []
    changed = {"diagnosis": {**EDITIONS["diagnosis"], "sha256": "0" * 64}}
    assert "as it is at hand" in checking_problems(changed)[0]


def test_a_hard_finding_stops_a_submission_until_it_is_passed(store: Store) -> None:
    import_notes(store, [ReviewNote("n1", "A note.")])
    done = append_decisions(
        store, "n1", [DecisionDraft("add", {"code": "XYZ"})], author="ana", seen=0
    )
    keys = hard_keys(findings_of(done.state, shown()))
    submit = DecisionDraft("submit")
    with pytest.raises(Exception, match="unknown: XYZ: change the codes"):
        append_decisions(store, "n1", [submit], author="ana", seen=1, hard_findings=keys)
    override = DecisionDraft("override", {"finding": keys[0], "reason": "local code"})
    after = append_decisions(
        store, "n1", [override, submit], author="ana", seen=1, hard_findings=keys
    )
    assert after.state.submitted


def test_a_check_is_quick() -> None:
    codes = [
        *("E11.9", "I10", "I50.9", "J44.9", "N17.9", "J18.9", "D64.9", "E78.5", "K21.9", "F32.9"),
        *("Z79.4", "Z87.891", "R07.9", "I25.10", "I48.91", "E03.9", "G47.33", "M19.90", "N18.6"),
        *("A41.9", "R65.20", "J96.01", "E87.1", "D62", "E66.9", "Z68.41", "I11.0", "B20", "F02.80"),
    ]
    state, set_ = reading(*codes, order=" ".join(codes)), shown(suggestions=suggested())
    findings_of(state, set_)
    began = time.process_time()
    for _ in range(20):
        findings_of(state, set_)
    assert (time.process_time() - began) / 20 < 0.005
