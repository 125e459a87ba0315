"""Decisions are appended whole, in order, and never over those of another reviewer."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from reviewing import EDITIONS, TEXT, fill, model

from icdcli.errors import ConfigError, DataError
from icdcli.review.decisions import DecisionDraft
from icdcli.review.notes import ReviewNote, import_notes
from icdcli.review.readings import (
    ADJUDICATION,
    StaleDecisionError,
    append_decisions,
    read_events,
    read_state,
)
from icdcli.review.state import fold
from icdcli.review.store import Store, open_store
from icdcli.review.suggestions import suggestions_of

ACCEPT = DecisionDraft("accept", {"code": "J18.9"}, seconds=4.5)
REJECT = DecisionDraft("reject", {"code": "I10", "reason": "past"}, seconds=2)
SUBMIT = DecisionDraft("submit")


def test_an_event_has_everything(target: str) -> None:
    now = datetime(2026, 5, 31, 12, 30, 15, 123456, tzinfo=UTC)
    with open_store(target, clock=lambda: now) as store:
        (id,) = fill(store)
        done = append_decisions(store, id, [ACCEPT, REJECT, SUBMIT], author="ana", seen=0)
        events = read_events(store, id)
        shown = suggestions_of(store, id)
    assert tuple(events) == done.events
    assert read_numbers(events) == [1, 2, 3]
    first, second, last = events
    assert (first.kind, first.author, first.at, first.seconds) == ("accept", "ana", now, 4.5)
    assert first.details == {"code": "J18.9"}
    assert (first.before, first.after) == ({"J18.9": None}, {"J18.9": {"status": "accepted"}})
    assert second.after == {"I10": {"status": "rejected", "reason": "past"}}
    assert last.after["submitted"] and last.after["codes"] == ["J18.9"]
    assert not last.before["submitted"]
    assert (first.model, first.editions) == (model().sha256, EDITIONS)
    assert first.suggestion_set == shown.number


def read_numbers(events: list) -> list[int]:
    return [one.number for one in events]


def test_what_is_stored_is_what_is_folded(opened: Callable[..., Store]) -> None:
    store = opened()
    (id,) = fill(store)
    done = append_decisions(
        store,
        id,
        [
            ACCEPT,
            DecisionDraft("mark", {"code": "J18.9", "evidence": ((14, 23),)}),
            DecisionDraft("replace", {"code": "I10", "by": "I11.9"}),
            DecisionDraft("order", {"codes": ["I11.9", "J18.9"]}),
            DecisionDraft("poa", {"code": "J18.9", "value": "exempt"}),
            DecisionDraft("comment", {"text": "querido 열"}),
        ],
        author="ana",
        seen=0,
    )
    assert read_state(opened(), id) == done.state == fold(done.events)
    assert done.state.codes == ("I11.9", "J18.9")
    assert done.state.decisions["J18.9"].evidence == ((14, 23),)


def test_drafts_are_stored_together_or_not_at_all(store: Store) -> None:
    (id,) = fill(store)
    wrong = DecisionDraft("accept", {"code": "Z99"})
    with pytest.raises(ConfigError, match="isn't suggested"):
        append_decisions(store, id, [ACCEPT, wrong], author="ana", seen=0)
    assert read_events(store, id) == []
    with pytest.raises(ConfigError, match="name of its author"):
        append_decisions(store, id, [ACCEPT], author=" ", seen=0)
    with pytest.raises(DataError, match="has no note 'other'"):
        append_decisions(store, "other", [ACCEPT], author="ana", seen=0)
    with pytest.raises(DataError, match="has no suggestions 99"):
        append_decisions(store, id, [ACCEPT], author="ana", seen=0, suggestion_set=99)


def test_a_clock_that_goes_back_changes_no_order(target: str) -> None:
    start = datetime(2026, 10, 25, 3, tzinfo=UTC)
    times = iter([start - timedelta(hours=hour) for hour in range(20)])
    with open_store(target, clock=lambda: next(times)) as store:
        (id,) = fill(store)
        append_decisions(store, id, [ACCEPT], author="ana", seen=0)
        again = DecisionDraft("reject", {"code": "J18.9", "reason": "denied"})
        append_decisions(store, id, [again], author="ana", seen=1)
        first, second = read_events(store, id)
        assert (first.number, second.number) == (1, 2)
        assert first.at > second.at
        assert read_state(store, id).decisions["J18.9"].status == "rejected"


# Two reviewers


def test_a_stale_decision_is_refused_with_the_newer_events(store: Store) -> None:
    (id,) = fill(store)
    append_decisions(store, id, [ACCEPT], author="ana", seen=0)
    append_decisions(store, id, [REJECT], author="ben", seen=1)
    with pytest.raises(StaleDecisionError, match=r"2 newer decisions, by ana, ben") as caught:
        append_decisions(store, id, [REJECT], author="eva", seen=0)
    assert list(caught.value.newer) == read_events(store, id)
    assert caught.value.state == read_state(store, id)
    with pytest.raises(StaleDecisionError) as caught:
        append_decisions(store, id, [ACCEPT], author="ana", seen=1)
    assert [one.author for one in caught.value.newer] == ["ben"]
    with pytest.raises(StaleDecisionError):  # a number that the store never gave
        append_decisions(store, id, [ACCEPT], author="ana", seen=7)
    assert len(read_events(store, id)) == 2


def test_of_decisions_at_the_same_time_one_is_stored_and_none_is_lost(target: str) -> None:
    with open_store(target) as store:
        (id,) = fill(store)
    together = threading.Barrier(4)

    def decide(name: str) -> int:
        """Append five comments, each after looking at what is new; return the refusals."""
        refusals = 0
        with open_store(target) as own:
            together.wait(60)
            for number in range(5):
                seen = 0
                while True:
                    try:
                        text = DecisionDraft("comment", {"text": f"{name}{number}"})
                        append_decisions(own, id, [text], author=name, seen=seen)
                        break
                    except StaleDecisionError as error:
                        refusals += 1
                        seen = error.state.number
        return refusals

    with ThreadPoolExecutor(4) as threads:
        refusals = list(threads.map(decide, "abcd"))
    with open_store(target) as store:
        events = read_events(store, id)
    assert read_numbers(events) == list(range(1, 21))
    texts = [one.details["text"] for one in events]
    assert sorted(texts) == sorted(f"{name}{number}" for name in "abcd" for number in range(5))
    assert all(
        texts.index(f"{n}{k}") < texts.index(f"{n}{k + 1}") for n in "abcd" for k in range(4)
    )
    assert sum(refusals) > 0


def test_a_request_that_is_sent_again_is_stored_once(store: Store) -> None:
    (id,) = fill(store)
    drafts = [
        DecisionDraft("accept", {"code": "J18.9"}, request="r1"),
        DecisionDraft("accept", {"code": "I10"}, request="r2"),
    ]
    first = append_decisions(store, id, drafts, author="ana", seen=0)
    again = append_decisions(store, id, drafts, author="ana", seen=0)
    assert again == first
    assert len(read_events(store, id)) == 2


# Blind readings


@pytest.fixture
def double(target: str) -> Callable[[], Store]:
    with open_store(target, double_share=1.0) as store:
        import_notes(store, [ReviewNote("n1", TEXT)])
        yield store


def test_two_reviewers_decide_independently(double: Store) -> None:
    add = [DecisionDraft("add", {"code": "I10"}), SUBMIT]
    other = [DecisionDraft("add", {"code": "I11.9"}), SUBMIT]
    append_decisions(double, "n1", add, author="ana", seen=0, reading=1)
    append_decisions(double, "n1", other, author="ben", seen=0, reading=2)
    assert read_state(double, "n1", 1).codes == ("I10",)
    assert read_state(double, "n1", 2).codes == ("I11.9",)
    append_decisions(double, "n1", add, author="eva", seen=0, reading=ADJUDICATION)
    assert read_state(double, "n1", ADJUDICATION).submitted


def test_nobody_reads_a_note_twice(double: Store) -> None:
    add = [DecisionDraft("add", {"code": "I10"}), SUBMIT]
    append_decisions(double, "n1", add, author="ana", seen=0, reading=1)
    with pytest.raises(ConfigError, match="ana has decided on it before"):
        append_decisions(double, "n1", add, author="ana", seen=0, reading=2)
    with pytest.raises(ConfigError, match="another reviewer has begun"):
        append_decisions(double, "n1", [SUBMIT], author="ben", seen=2, reading=1)
    with pytest.raises(ConfigError, match="aren't submitted yet"):
        append_decisions(double, "n1", add, author="eva", seen=0, reading=ADJUDICATION)
    append_decisions(double, "n1", add, author="ben", seen=0, reading=2)
    with pytest.raises(ConfigError, match="ben has decided on it before"):
        append_decisions(double, "n1", add, author="ben", seen=0, reading=ADJUDICATION)
    with pytest.raises(ConfigError, match="no reading 4"):
        append_decisions(double, "n1", add, author="eva", seen=0, reading=4)


def test_a_note_of_one_reading_has_no_second(store: Store) -> None:
    (id,) = fill(store)
    for reading in (0, 2, ADJUDICATION):
        with pytest.raises(ConfigError, match=f"no reading {reading}"):
            append_decisions(store, id, [ACCEPT], author="ana", seen=0, reading=reading)
