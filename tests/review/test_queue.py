"""The queue gives each reviewer the right note next, and no note to two reviewers unplanned."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from reviewing import TEXT, model, suggested

from icdcli.errors import ConfigError
from icdcli.review.decisions import DecisionDraft
from icdcli.review.notes import ReviewNote, import_notes
from icdcli.review.queue import TaskFilter, change_queue, count_tasks, list_tasks, take_task
from icdcli.review.readings import ADJUDICATION, append_decisions
from icdcli.review.store import Store, open_store
from icdcli.review.suggestions import add_model, add_suggestions

SURE, UNSURE, MIDDLE = (0.99, 0.98), (0.5, 0.6), (0.9, 0.8)


@pytest.fixture
def filled(store: Store) -> Store:
    """Return a store with the notes sure, unsure, middle and bare, imported in this order."""
    names = {"sure": SURE, "unsure": UNSURE, "middle": MIDDLE}
    languages = {"sure": "es", "unsure": "en", "middle": "es", "bare": "en"}
    import_notes(store, [ReviewNote(n, TEXT + n, language=languages[n]) for n in (*names, "bare")])
    add_model(store, model())
    add_suggestions(
        store, model().sha256, [(name, suggested(*scores)) for name, scores in names.items()]
    )
    return store


def submit(store: Store, id: str, author: str, *codes: str, reading: int = 1) -> None:
    drafts = [DecisionDraft("add", {"code": code}) for code in codes]
    append_decisions(
        store, id, [*drafts, DecisionDraft("submit")], author=author, seen=0, reading=reading
    )


def ids(store: Store, *args: object, **options: object) -> list[str]:
    return [one.id for one in list_tasks(store, *args, **options)]


def test_the_orders(filled: Store) -> None:
    assert ids(filled) == ["unsure", "middle", "sure", "bare"]
    assert ids(filled, order="age") == ["sure", "unsure", "middle", "bare"]
    change_queue(filled, ["bare", "sure"], author="eva", priority=2)
    assert ids(filled) == ["sure", "bare", "unsure", "middle"]
    change_queue(filled, ["sure"], author="eva", priority=-1)
    assert ids(filled) == ["bare", "unsure", "middle", "sure"]
    assert ids(filled, limit=2, offset=1) == ["unsure", "middle"]
    with pytest.raises(ConfigError, match="uncertainty or age"):
        list_tasks(filled, order="size")


def test_a_newer_model_changes_the_order(filled: Store) -> None:
    add_model(filled, model("second"))
    add_suggestions(filled, model("second").sha256, [("sure", suggested(0.5, 0.5, 0.5))])
    assert ids(filled)[0] == "sure"


def test_filters_and_progress(filled: Store) -> None:
    append_decisions(
        filled, "sure", [DecisionDraft("accept", {"code": "I10"})], author="ana", seen=0
    )
    submit(filled, "bare", "ben", "X")
    assert count_tasks(filled) == {"open": 2, "started": 1, "submitted": 1}
    assert ids(filled, TaskFilter(status="started")) == ["sure"]
    assert ids(filled, TaskFilter(status="submitted")) == ["bare"]
    assert ids(filled, TaskFilter(language="es")) == ["middle", "sure"]
    assert count_tasks(filled, TaskFilter(language="es")) == {
        "open": 1,
        "started": 1,
        "submitted": 0,
    }
    assert ids(filled, TaskFilter(code="I10")) == ["unsure", "middle", "sure"]
    assert ids(filled, TaskFilter(code="R07.9")) == []
    change_queue(filled, ["middle"], author="eva", assignee="ana")
    assert ids(filled, TaskFilter(assignee="ana")) == ["middle"]
    append_decisions(filled, "bare", [DecisionDraft("reopen")], author="ben", seen=2)
    assert ids(filled, TaskFilter(status="submitted")) == []


def test_the_next_task_is_nobody_elses(filled: Store) -> None:
    first = take_task(filled, "ana")
    assert (first.id, first.assignee) == ("unsure", "ana")
    assert take_task(filled, "ben").id == "middle"
    assert take_task(filled, "ana").id == "unsure"  # it isn't done yet
    submit_all = [
        DecisionDraft("accept", {"code": "J18.9"}),
        DecisionDraft("accept", {"code": "I10"}),
        DecisionDraft("submit"),
    ]
    append_decisions(filled, "unsure", submit_all, author="ana", seen=0)
    assert take_task(filled, "ana").id == "sure"
    change_queue(filled, ["bare"], author="eva", priority=5)
    assert take_task(filled, "ana").id == "bare"  # the priority comes first
    change_queue(filled, ["middle"], author="eva")  # nobody's again
    assert take_task(filled, "cid").id == "middle"
    assert take_task(filled, "dan") is None


def test_what_another_reviewer_has_started_is_left_out(filled: Store) -> None:
    comment = [DecisionDraft("comment", {"text": "unclear"})]
    append_decisions(filled, "unsure", comment, author="ben", seen=0)
    assert take_task(filled, "ana").id == "middle"
    assert take_task(filled, "ben").id == "unsure"


def test_reviewers_who_take_at_once_receive_different_notes(target: str) -> None:
    with open_store(target) as store:
        import_notes(store, [ReviewNote(f"n{place}", "x") for place in range(8)])

    def take(name: str) -> str:
        with open_store(target) as own:
            return take_task(own, name).id

    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(take, "abcdefgh"))
    assert sorted(taken) == [f"n{place}" for place in range(8)]


# Two readers


@pytest.fixture
def double(opened: Callable[..., Store]) -> Store:
    store = opened(double_share=1.0)
    import_notes(store, [ReviewNote("n1", "x"), ReviewNote("n2", "y")])
    return store


def test_two_blind_readings_go_to_different_reviewers(double: Store) -> None:
    assert [(one.id, one.reading) for one in list_tasks(double)] == [
        *(("n1", 1), ("n1", 2)),
        *(("n2", 1), ("n2", 2)),
    ]
    assert [(one.id, one.reading) for one in [take_task(double, "ana")]] == [("n1", 1)]
    assert [(one.id, one.reading) for one in [take_task(double, "ben")]] == [("n1", 2)]
    submit(double, "n1", "ana", "I10")
    task = take_task(double, "ana")
    assert (task.id, task.reading) == ("n2", 1)  # not the second reading of n1


def test_differences_become_tasks_of_an_adjudicator(double: Store) -> None:
    submit(double, "n1", "ana", "I10", "E11.9")
    assert ids(double, TaskFilter(reading=ADJUDICATION)) == []
    submit(double, "n1", "ben", "I10", reading=2)
    submit(double, "n2", "ana", "I10", "E11.9")
    submit(double, "n2", "ben", "E11.9", "I10", reading=2)  # the order differs only
    assert ids(double, TaskFilter(reading=ADJUDICATION)) == ["n1"]
    for name in ("ana", "ben"):  # who read it don't settle it
        assert take_task(double, name, adjudicates=True) is None
    assert take_task(double, "eva") is None
    task = take_task(double, "eva", adjudicates=True)
    assert (task.id, task.reading) == ("n1", ADJUDICATION)
    submit(double, "n1", "eva", "I10", reading=ADJUDICATION)
    assert take_task(double, "eva", adjudicates=True) is None
    assert count_tasks(double) == {"open": 0, "started": 0, "submitted": 5}


@pytest.mark.slow
def test_the_queue_of_a_hundred_thousand_notes_is_quick(tmp_path: Path) -> None:
    with open_store(tmp_path / "review.db", double_share=0.1) as store:
        import_notes(store, (ReviewNote(f"n{place}", f"{place}") for place in range(100_000)))
        began = time.process_time()
        assert take_task(store, "ana") is not None
        assert sum(count_tasks(store).values()) > 109_000
        assert time.process_time() - began < 5
