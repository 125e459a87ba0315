"""The state of a reading follows from its events alone."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icdcli.errors import ConfigError
from icdcli.review.decisions import DecisionDraft, DecisionEvent
from icdcli.review.state import CodeState, ReviewState, check_draft, fold

NOW = datetime(2026, 5, 31, tzinfo=UTC)
CODES = ("I10", "E11.9", "J18.9", "R07.9")
OPTIONS = {"characters": 100, "suggested": CODES[:3], "required": CODES[:2]}


def play(*drafts: tuple[str, dict] | str, **options: object) -> ReviewState:
    """Return the state after decisions, each checked in the state before it."""
    events: list[DecisionEvent] = []
    for number, one in enumerate(drafts, start=1):
        kind, details = (one, {}) if isinstance(one, str) else one
        check_draft(fold(events), DecisionDraft(kind, details), **{**OPTIONS, **options})
        events.append(DecisionEvent(number, "a", NOW, kind, details))
    return fold(events)


def refused(message: str, *drafts: tuple[str, dict] | str, **options: object) -> None:
    play(*drafts[:-1], **options)
    with pytest.raises(ConfigError, match=message):
        play(*drafts, **options)


ACCEPT, REJECT = ("accept", {"code": "I10"}), ("reject", {"code": "E11.9", "reason": "denied"})


def test_accept_and_reject() -> None:
    state = play(ACCEPT, REJECT)
    assert state.decisions == {
        "I10": CodeState("accepted"),
        "E11.9": CodeState("rejected", reason="denied"),
    }
    assert (state.codes, state.number) == (("I10",), 2)


def test_a_decision_can_be_changed() -> None:
    assert play(ACCEPT, ("reject", {"code": "I10", "reason": "past"})).codes == ()
    assert play(REJECT, ("accept", {"code": "E11.9"})).codes == ("E11.9",)


def test_replacing_keeps_the_place_the_evidence_and_the_flag() -> None:
    state = play(
        *(ACCEPT, ("accept", {"code": "J18.9"}), ("order", {"codes": ["J18.9", "I10"]})),
        ("mark", {"code": "J18.9", "evidence": [[4, 9]]}),
        ("poa", {"code": "J18.9", "value": "Y"}),
        ("replace", {"code": "J18.9", "by": "J15.9"}),
    )
    assert state.codes == ("J15.9", "I10")
    assert state.decisions["J18.9"] == CodeState("replaced", replaced_by="J15.9")
    assert state.decisions["J15.9"] == CodeState(
        "added", replaces="J18.9", evidence=((4, 9),), poa="Y"
    )


def test_replacing_keeps_the_place_of_a_code_that_nobody_has_ordered() -> None:
    three = [("add", {"code": code}) for code in ("J18.9", "X", "I10")]
    state = play(*three, ("replace", {"code": "J18.9", "by": "J15.9"}))
    assert state.codes == ("J15.9", "X", "I10")
    back = play(
        *three, ("replace", {"code": "X", "by": "Y"}), ("replace", {"code": "Y", "by": "X"})
    )
    assert back.codes == ("J18.9", "X", "I10")
    suggested = play(*three, ("replace", {"code": "E11.9", "by": "E11.65"}))
    assert suggested.codes == ("J18.9", "X", "I10", "E11.65")


def test_replacing_by_a_code_that_is_there_keeps_what_is_decided_on_it() -> None:
    state = play(
        *(ACCEPT, ("poa", {"code": "I10", "value": "N"})),
        ("replace", {"code": "J18.9", "by": "I10"}),
    )
    assert state.codes == ("I10",)
    assert state.decisions["I10"] == CodeState("accepted", poa="N")


def test_adding_with_and_without_evidence() -> None:
    state = play(("add", {"code": "Z51.1", "evidence": [[0, 3], [5, 9]]}), ("add", {"code": "X"}))
    assert state.decisions["Z51.1"].evidence == ((0, 3), (5, 9))
    assert state.decisions["X"].evidence is None
    assert state.codes == ("Z51.1", "X")


def test_comments_and_overrides() -> None:
    state = play(
        *(("comment", {"text": "one"}), ("comment", {"text": "two"})),
        ("comment", {"text": "of the code", "code": "I10"}),
        ("override", {"finding": "excludes: E10.9, E11.9", "reason": "documented"}),
    )
    assert state.comments == {None: ("one", "two"), "I10": ("of the code",)}
    assert state.overrides == {"excludes: E10.9, E11.9": "documented"}


def test_undo_takes_back_the_last_decision_and_then_the_one_before() -> None:
    state = play(ACCEPT, REJECT, ("undo", {"number": 2}))
    assert (state.codes, state.last, state.number) == (("I10",), 1, 3)
    state = play(ACCEPT, REJECT, ("undo", {"number": 2}), ("undo", {"number": 1}))
    assert (state.decisions, state.last, state.number) == ({}, None, 4)
    refused("only the last decision .2.", ACCEPT, REJECT, ("undo", {"number": 1}))
    refused("nothing to undo", ("undo", {"number": 1}))
    refused("only the last decision .1.", ACCEPT, REJECT, ("undo", {"number": 2}), ("undo", {"number": 2}))  # fmt: skip  # noqa: E501


def test_submission_needs_a_decision_on_every_suggestion_above_the_threshold() -> None:
    assert play(ACCEPT, REJECT, "submit").submitted
    refused(r"1 suggestions above .* E11.9", ACCEPT, "submit")
    assert play("submit", required=()).submitted


def test_a_hard_finding_needs_a_reason() -> None:
    finding = "excludes: E10.9, E11.9"
    stops = {"hard_findings": [finding]}
    refused("give a reason to pass it", ACCEPT, REJECT, "submit", **stops)
    passed = ("override", {"finding": finding, "reason": "documented"})
    assert play(ACCEPT, REJECT, passed, "submit", **stops).submitted


def test_after_submission_only_comments_until_it_is_reopened() -> None:
    done = (ACCEPT, REJECT, "submit")
    refused("Reopen it", *done, ("add", {"code": "X"}))
    refused("Reopen it", *done, ("undo", {"number": 3}))
    refused("Reopen it", *done, "submit")
    assert play(*done, ("comment", {"text": "late"})).submitted
    state = play(*done, ("reopen", {"reason": "query"}), ("add", {"code": "X"}))
    assert (state.submitted, state.codes) == (False, ("I10", "X"))
    refused("nothing to undo", *done, "reopen", ("undo", {"number": 2}))
    refused("isn't submitted", "reopen")


@pytest.mark.parametrize(
    ("message", "draft"),
    [
        ("isn't suggested", ("accept", {"code": "Z99"})),
        ("isn't suggested", ("reject", {"code": "Z99", "reason": "x"})),
        ("isn't one of the note's codes", ("mark", {"code": "I10", "evidence": []})),
        ("isn't one of the note's codes", ("poa", {"code": "I10", "value": "Y"})),
        ("can't be replaced by itself", ("replace", {"code": "I10", "by": "I10"})),
        ("each of the note's 0 codes", ("order", {"codes": ["I10"]})),
        ("expected code, reason, got code", ("reject", {"code": "I10"})),
        ("expected code, got code, color", ("accept", {"code": "I10", "color": "red"})),
        ("reason must be a text", ("reject", {"code": "I10", "reason": "  "})),
        ("text must be a text", ("comment", {"text": "a\x00"})),
        ("value must be one of Y, N, U, W", ("poa", {"code": "I10", "value": "maybe"})),
        ("evidence must be a list", ("add", {"code": "X", "evidence": [[3, 3]]})),
        ("evidence must be a list", ("add", {"code": "X", "evidence": [[90, 101]]})),
        ("evidence must be a list", ("add", {"code": "X", "evidence": [[0, True]]})),
        ("codes must be a list", ("order", {"codes": "I10"})),
        ("must be the number", ("undo", {"number": "1"})),
        ("not a kind of decision", ("delete", {})),
    ],
)
def test_what_is_not_possible_is_refused(message: str, draft: tuple[str, dict]) -> None:
    refused(message, draft)


def test_adding_a_code_twice_is_refused() -> None:
    refused("already one of the note's codes", ACCEPT, ("add", {"code": "I10"}))
    assert play(REJECT, ("add", {"code": "E11.9"})).codes == ("E11.9",)


def test_time_spent_is_not_negative() -> None:
    for seconds in (-1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="0 or more seconds"):
            check_draft(ReviewState(), DecisionDraft(*ACCEPT, seconds), **OPTIONS)


CODE = st.sampled_from([*CODES, "Z51.1"])
SPANS = st.lists(st.tuples(st.integers(0, 9), st.integers(10, 99)).map(list), max_size=2)
DRAFTS = st.one_of(
    st.tuples(st.just("accept"), st.fixed_dictionaries({"code": CODE})),
    st.tuples(st.just("reject"), st.fixed_dictionaries({"code": CODE, "reason": st.just("no")})),
    st.tuples(st.just("replace"), st.fixed_dictionaries({"code": CODE, "by": CODE})),
    st.tuples(st.just("add"), st.fixed_dictionaries({"code": CODE, "evidence": SPANS})),
    st.tuples(st.just("mark"), st.fixed_dictionaries({"code": CODE, "evidence": SPANS})),
    st.tuples(st.just("poa"), st.fixed_dictionaries({"code": CODE, "value": st.just("Y")})),
    st.tuples(st.just("order"), st.just({})),
    st.tuples(st.just("undo"), st.just({})),
    st.tuples(st.sampled_from(["submit", "reopen"]), st.just({})),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(DRAFTS, max_size=25), st.randoms(use_true_random=False))
def test_any_possible_history_has_a_state(choices: list, random: object) -> None:
    events: list[DecisionEvent] = []
    before_last: list[ReviewState] = [ReviewState()]  # the states that undoing returns to
    for kind, details in choices:
        state = fold(events)
        given_details = dict(details)
        if kind == "undo" and state.last is not None:
            given_details = {"number": state.last}
        if kind == "order":
            codes = list(state.codes)
            random.shuffle(codes)
            given_details = {"codes": codes}
        try:
            check_draft(state, DecisionDraft(kind, given_details), **OPTIONS)
        except ConfigError:
            continue
        stored = json.loads(json.dumps(given_details))  # as a database returns it
        events.append(DecisionEvent(len(events) + 1, "a", NOW, kind, stored))
        after = fold(events)
        assert after.number == len(events)
        assert len(set(after.codes)) == len(after.codes)
        assert {code for code, one in after.decisions.items() if one.counts} == set(after.codes)
        if kind == "undo":
            was = before_last.pop()
            assert (after.decisions, after.codes) == (was.decisions, was.codes)
        else:
            before_last.append(state)
        if kind == "order":
            assert list(after.codes) == given_details["codes"]
