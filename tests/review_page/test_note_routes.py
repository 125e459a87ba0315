"""A note of the page: what it shows, what can be decided, and what conflicts."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from made_up_store import PLAIN, made_up_notes
from visiting import PageVisitor, visitor_of

from icdcli.review.purging import purge_texts
from icdcli.review.readings import read_events
from icdcli.review.store import Store
from icdcli.review_page.app import create_review_app
from icdcli.review_page.background import BackgroundWork


def test_a_note_has_its_text_suggestions_and_state(visitor: PageVisitor) -> None:
    shown = visitor.get("/api/notes/1/1").json()
    assert shown["note"] | {"sections": []} == {
        **{"number": 1, "id": "plain", "text": PLAIN, "day": "2026-05-01", "language": "en"},
        "sections": [],
    }
    assert [one["title"] for one in shown["note"]["sections"]] == [
        *("CHIEF COMPLAINT", "HISTORY OF PRESENT ILLNESS", "FAMILY HISTORY"),
        "ASSESSMENT AND PLAN",
    ]
    assert shown["model"] == {"name": "made up", "sha256": "made" * 16}
    denied = next(one for one in shown["suggestions"] if one["code"] == "R07.9")
    begin = PLAIN.index("chest pain")
    assert denied["evidence"] == [
        {"begin": begin, "end": begin + 10, "weight": 0.5, "assertion": "negated"}
    ]
    assert (denied["predicted"], denied["threshold"], denied["score"]) == (False, 0.5, 0.41)
    assert shown["titles"]["J18.9"] == "Pneumonia, unspecified organism"
    assert shown["state"] == {
        **{"number": 0, "codes": [], "decisions": {}, "order": [], "comments": []},
        **{"overrides": {}, "submitted": False, "last": None},
    }
    assert (shown["findings"], shown["readings"]) == ([], None)


def test_every_made_up_note_is_shown_as_it_was_imported(visitor: PageVisitor) -> None:
    for number, (note, suggestions) in enumerate(made_up_notes(), 1):
        shown = visitor.get(f"/api/notes/{number}/1").json()
        assert shown["note"]["text"] == note.text
        expected = [] if note.id == "more 6" else [one.code for one in suggestions]
        assert [one["code"] for one in shown["suggestions"]] == expected
        for one in shown["suggestions"]:
            for span in one["evidence"]:
                assert (note.text or "")[span["begin"] : span["end"]].strip()


def test_a_note_says_that_a_model_will_suggest_codes(new_store: Callable[..., Store]) -> None:
    class Suggesting(BackgroundWork):
        suggests = True

    store = new_store()
    place = 1 + [note.id for note, _ in made_up_notes()].index("more 6")  # without suggestions
    for work, expected in ((None, False), (Suggesting(), True)):
        visitor = PageVisitor(create_review_app(store, work=work))
        visitor.open()
        assert visitor.get(f"/api/notes/{place}/1").json()["suggesting"] is expected
        assert visitor.get("/api/notes/1/1").json()["suggesting"] is False
    purge_texts(store, ["more 6"])  # no model reads it any more
    assert visitor.get(f"/api/notes/{place}/1").json()["suggesting"] is False


def test_a_purged_note_has_no_text(store: Store) -> None:
    purge_texts(store, ["plain"])
    shown = visitor_of(store).get("/api/notes/1/1").json()
    assert (shown["note"]["text"], shown["note"]["sections"]) == (None, [])
    assert len(shown["suggestions"]) == 6


def test_decisions_are_stored_and_the_state_after_them_is_returned(
    store: Store, visitor: PageVisitor
) -> None:
    answer = visitor.decide(
        1,
        ("accept", {"code": "J18.9"}),
        ("mark", {"code": "J18.9", "evidence": [[0, 5]]}),
        ("comment", {"text": "clear"}),
    )
    assert answer.status_code == 200
    state = answer.json()["state"]
    assert state["decisions"]["J18.9"] == {"status": "accepted", "evidence": [[0, 5]]}
    assert state["comments"] == [{"code": None, "texts": ["clear"]}]
    events = read_events(store, "plain")
    assert [one.kind for one in events] == ["accept", "mark", "comment"]
    me = visitor.get("/api/me").json()["name"]
    assert {one.author for one in events} == {me}
    undone = visitor.decide(1, ("undo", {"number": 3}), seen=3).json()["state"]
    assert (undone["comments"], undone["last"]) == ([], 2)


def test_newer_decisions_are_a_conflict_that_has_them(store: Store, visitor: PageVisitor) -> None:
    assert visitor.decide(1, ("accept", {"code": "J18.9"})).status_code == 200
    late = visitor.decide(1, ("reject", {"code": "J18.9", "reason": "no"}))
    assert late.status_code == 409
    body = late.json()
    assert [(one["number"], one["kind"], one["details"]) for one in body["newer"]] == [
        (1, "accept", {"code": "J18.9"})
    ]
    assert body["state"]["codes"] == ["J18.9"] and "newer decisions" in body["message"]
    assert len(read_events(store, "plain")) == 1


def test_a_decision_that_is_sent_twice_is_stored_once(store: Store, visitor: PageVisitor) -> None:
    draft = {"kind": "accept", "details": {"code": "J18.9"}, "request": "one"}
    body = {"seen": 0, "suggestion_set": None, "decisions": [draft]}
    answers = [visitor.post("/api/notes/1/1/decisions", body) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert len(read_events(store, "plain")) == 1


def test_findings_are_live_and_hard_ones_need_a_reason(visitor: PageVisitor) -> None:
    codes = ("E10.9", "E11.9", "S52.502", "S52.5")
    body = visitor.decide(2, *(("accept", {"code": code}) for code in codes)).json()
    kinds = [(one["kind"], one["severity"]) for one in body["findings"]]
    assert ("excludes", "soft") in kinds and ("seventh character", "hard") in kinds
    refused = visitor.decide(2, ("submit", {}), seen=4)
    assert refused.status_code == 422 and "seventh character" in refused.json()["message"]
    hard = [one["key"] for one in body["findings"] if one["severity"] == "hard"]
    passed = [("override", {"finding": key, "reason": "as agreed"}) for key in hard]
    submitted = visitor.decide(2, *passed, ("submit", {}), seen=4)
    assert submitted.status_code == 200 and submitted.json()["state"]["submitted"]


def test_codes_that_are_changed_with_the_submission_count_for_its_findings(
    visitor: PageVisitor,
) -> None:
    answer = visitor.decide(
        2,
        *(("accept", {"code": code}) for code in ("E10.9", "S52.502", "S52.5")),
        ("reject", {"code": "E11.9", "reason": "type 1"}),
        ("replace", {"code": "S52.502", "by": "S52.502A"}),
        ("reject", {"code": "S52.5", "reason": "category"}),
        ("submit", {}),
    )
    assert answer.status_code == 200, answer.text


def test_nothing_is_submitted_before_all_predicted_codes_are_decided(visitor: PageVisitor) -> None:
    refused = visitor.decide(1, ("accept", {"code": "J18.9"}), ("submit", {}))
    assert refused.status_code == 422
    assert "3 suggestions above the threshold aren't decided" in refused.json()["message"]


def test_a_submitted_note_can_be_reopened(visitor: PageVisitor) -> None:
    number = 9
    assert visitor.get(f"/api/notes/{number}/1").json()["state"]["submitted"]
    late = visitor.decide(number, ("accept", {"code": "R05.9"}), seen=3)
    assert late.status_code == 422 and "Reopen it" in late.json()["message"]
    again = visitor.decide(
        number, ("reopen", {}), ("reject", {"code": "I10", "reason": "x"}), seen=3
    )
    assert again.status_code == 200 and not again.json()["state"]["submitted"]


@pytest.mark.parametrize(
    ("drafts", "message"),
    [
        ([{"kind": "grant"}], "is not a kind of decision"),
        ([{"kind": "accept", "details": {"code": "Z99.9"}}], "isn't suggested"),
        ([{"kind": "mark", "details": {"code": "I10", "evidence": [[0, 10**9]]}}], "characters"),
        ([{"kind": "comment", "details": {"text": "\ud800"}}], "half of a character"),
        ([{"kind": "comment", "details": {"text": "x"}, "seconds": -1}], "time spent"),
        ([{"kind": "comment", "details": {"text": "x"}, "more": 1}], "extra_forbidden"),
        ("accept", "list_type"),
    ],
)
def test_what_cannot_be_decided_is_refused_whole(
    store: Store, visitor: PageVisitor, drafts: object, message: str
) -> None:
    body = {"seen": 0, "suggestion_set": None, "decisions": drafts}
    refused = visitor.client.post(
        "/api/notes/1/1/decisions",
        content=json.dumps(body),
        headers={"X-CSRF-Token": visitor.csrf, "Content-Type": "application/json"},
    )
    assert refused.status_code == 422
    assert message in refused.json()["message"]
    assert read_events(store, "plain") == []


@pytest.mark.parametrize("path", ["/api/notes/99/1", "/api/notes/1/2", "/api/notes/1/3"])
def test_a_note_or_reading_that_does_not_exist_is_not_found(
    visitor: PageVisitor, path: str
) -> None:
    assert visitor.get(path).status_code == 404
    body = {"seen": 0, "suggestion_set": None, "decisions": []}
    assert visitor.post(f"{path}/decisions", body).status_code == 404


def test_suggestions_that_the_note_lacks_are_refused(visitor: PageVisitor) -> None:
    body = {
        "seen": 0,
        "suggestion_set": 2,
        "decisions": [{"kind": "comment", "details": {"text": "x"}}],
    }
    refused = visitor.post("/api/notes/1/1/decisions", body)
    assert refused.status_code == 422 and "has no suggestions 2" in refused.json()["message"]


def test_a_clock_that_goes_back_changes_nothing(store: Store, visitor: PageVisitor) -> None:
    times = iter(datetime(2026, 3, day, tzinfo=UTC) for day in (9, 5, 7))
    store.clock = lambda: next(times)
    for seen, code in enumerate(("J18.9", "I10", "E11.9")):
        assert visitor.decide(1, ("accept", {"code": code}), seen=seen).status_code == 200
    shown = visitor.get("/api/notes/1/1").json()["state"]
    assert (shown["codes"], shown["last"]) == (["J18.9", "I10", "E11.9"], 3)
    assert [one.at.day for one in read_events(store, "plain")] == [9, 5, 7]
