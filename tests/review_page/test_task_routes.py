"""The queue of the page, blind readings, adjudication, and the codes to choose from."""

from collections.abc import Callable

import pytest
from made_up_store import PASSWORD
from visiting import PageVisitor

from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.edition import Edition
from icdcli.icd.search import Hit
from icdcli.review.queue import list_tasks
from icdcli.review.store import Store
from icdcli.review_page import codebook
from icdcli.review_page.app import create_review_app
from icdcli.review_page.codebook import Codebook

ACCEPTED = [("accept", {"code": code}) for code in ("J18.9", "I10", "E11.9", "R05.9")]
OTHERS = [("reject", {"code": "R05.9", "reason": "a sign"}), *ACCEPTED[:3]]


@pytest.fixture
def people(new_store: Callable[..., Store]) -> dict[str, PageVisitor]:
    """Return people who have signed in, at a store of which two reviewers read each note."""
    app = create_review_app(new_store(users=True, double_share=1.0))
    found = {name: PageVisitor(app) for name in ("ana", "ben", "eva", "root")}
    for name, visitor in found.items():
        visitor.sign_in(name, PASSWORD)
    return found


def test_tasks_are_listed_filtered_and_counted(visitor: PageVisitor) -> None:
    answer = visitor.post("/api/tasks", {"order": "age", "limit": 2, "offset": 1}).json()
    assert [(one["number"], one["id"]) for one in answer["tasks"]] == [
        (2, "findings"),
        (3, "signs"),
    ]
    assert answer["counts"] == {"open": 13, "started": 0, "submitted": 1}
    assert (answer["total"], answer["languages"]) == (14, ["en", "es", "ko"])
    assert answer["suggesting"] == {"done": 0, "total": 0}
    spanish = visitor.post("/api/tasks", {"filter": {"language": "es", "status": ""}}).json()
    assert [one["id"] for one in spanish["tasks"]] == ["spanish"]
    with_code = visitor.post("/api/tasks", {"filter": {"code": "H81.09"}}).json()
    assert [one["id"] for one in with_code["tasks"]] == ["signs"]


def test_the_status_that_is_listed_changes_no_progress(visitor: PageVisitor) -> None:
    answer = visitor.post("/api/tasks", {"filter": {"status": "submitted"}}).json()
    assert [one["status"] for one in answer["tasks"]] == ["submitted"]
    assert answer["counts"] == {"open": 13, "started": 0, "submitted": 1}  # 13 are next
    assert answer["total"] == 1


def test_next_assigns_a_task(visitor: PageVisitor) -> None:
    me = visitor.get("/api/me").json()["name"]
    task = visitor.post("/api/tasks/next", {"order": "age"}).json()["task"]
    assert (task["number"], task["reading"], task["assignee"]) == (1, 1, me)
    none = visitor.post("/api/tasks/next", {"filter": {"language": "xx"}}).json()
    assert none == {"task": None}


def test_adjudicators_change_the_queue(people: dict[str, PageVisitor]) -> None:
    change = {"notes": [3, 5], "reading": 2, "priority": 7, "assignee": "ben"}
    assert people["ana"].post("/api/tasks/change", change).status_code == 403
    assert people["ana"].get("/api/users").status_code == 403
    assert people["ana"].get("/statistics").status_code == 403
    for name in ("eva", "root"):
        assert people[name].post("/api/tasks/change", change).status_code == 200
        assert people[name].get("/statistics").status_code == 200
    listed = people["ben"].post("/api/tasks", {"filter": {"assignee": "ben"}}).json()["tasks"]
    assert {(one["number"], one["reading"], one["priority"]) for one in listed} == {
        (3, 2, 7),
        (5, 2, 7),
    }
    assert people["eva"].get("/api/users").json()["users"][0] == {"name": "ana", "role": "reviewer"}
    assert "reviewers" not in people["ana"].post("/api/tasks").json()
    assert people["eva"].post("/api/tasks").json()["reviewers"] == ["ana", "ben", "eva", "root"]
    wrong = people["eva"].post("/api/tasks/change", {**change, "assignee": "nobody"})
    assert wrong.status_code == 422 and "no user 'nobody'" in wrong.json()["message"]
    assert people["eva"].post("/api/tasks/change", {"notes": [99]}).status_code == 404


def test_blind_readings_show_nothing_of_each_other(people: dict[str, PageVisitor]) -> None:
    ana, ben, eva = people["ana"], people["ben"], people["eva"]
    assert ana.decide(1, *ACCEPTED, ("comment", {"text": "only mine"})).status_code == 200
    assert ben.decide(1, *OTHERS, reading=2).status_code == 200
    shown = ben.get("/api/notes/1/2")
    assert shown.json()["state"]["codes"] == ["J18.9", "I10", "E11.9"]
    assert "only mine" not in shown.text and shown.json()["readings"] is None
    for visitor, reading in ((ana, 2), (ben, 1), (eva, 1), (eva, 2), (people["root"], 1)):
        assert visitor.get(f"/api/notes/1/{reading}").status_code == 403
        refused = visitor.decide(1, ("accept", {"code": "I10"}), reading=reading, seen=5)
        assert refused.status_code == 403
    assert ana.get("/api/notes/1/3").status_code == 403


def test_an_adjudicator_sees_both_readings_once_they_are_submitted(
    people: dict[str, PageVisitor],
) -> None:
    ana, ben, eva = people["ana"], people["ben"], people["eva"]
    ana.decide(1, *ACCEPTED, ("submit", {}))
    assert eva.get("/api/notes/1/3").status_code == 403  # the other one isn't there yet
    ben.decide(1, *OTHERS, ("submit", {}), reading=2)
    task = eva.post("/api/tasks/next", {"filter": {"reading": 3}}).json()["task"]
    assert (task["number"], task["reading"]) == (1, 3)
    shown = eva.get("/api/notes/1/3").json()
    assert [(one["reading"], one["reviewer"]) for one in shown["readings"]] == [
        (1, "ana"),
        (2, "ben"),
    ]
    assert shown["readings"][1]["state"]["decisions"]["R05.9"]["status"] == "rejected"
    assert shown["state"]["codes"] == []
    for visitor in (ana, ben):
        assert visitor.get("/api/notes/1/3").status_code == 403
    assert eva.decide(1, *ACCEPTED, ("submit", {}), reading=3).status_code == 200


def test_a_blind_reading_that_is_assigned_is_for_that_reviewer(
    people: dict[str, PageVisitor],
) -> None:
    task = people["ana"].post("/api/tasks/next", {"order": "age"}).json()["task"]
    assert (task["number"], task["reading"]) == (1, 1)
    assert people["ben"].get("/api/notes/1/1").status_code == 403
    other = people["ben"].post("/api/tasks/next", {"order": "age"}).json()["task"]
    assert (other["number"], other["reading"]) == (1, 2)
    assert people["ben"].get("/api/notes/1/2").status_code == 200


def test_codes_are_searched_and_described(visitor: PageVisitor) -> None:
    found = visitor.post("/api/codes/search", {"query": "E11.9", "limit": 3}).json()["codes"]
    assert found[0] == {
        "code": "E11.9",
        "title": "Type 2 diabetes mellitus without complications",
        **{"term": "", "assignable": True, "edition": "icd10cm-2026-04", "in_model": None},
    }
    assert len(visitor.post("/api/codes/search", {"query": "a1c", "limit": 5}).json()["codes"]) <= 5
    assert visitor.post("/api/codes/search", {"query": " a "}).status_code == 422
    about = visitor.post("/api/codes/about", {"code": "e119"}).json()
    assert (about["code"], about["edition"]) == ("E11.9", "icd10cm-2026-04")
    assert [one["code"] for one in about["parents"]] == ["Chapter E00-E89", "E08-E13", "E11"]
    above = next(one for one in about["notes"]["excludes1"] if one["code"] == "E11")
    assert "diabetes mellitus due to underlying condition (E08.-)" in above["texts"]
    siblings = [one["code"] for one in about["siblings"]]
    assert "E11.8" in siblings and "E11.9" not in siblings
    below = visitor.post("/api/codes/about", {"code": "E11"}).json()["children"]
    assert {"code": "E11.9", "title": found[0]["title"], "assignable": True} in below
    first = visitor.post("/api/codes/about", {"code": "J18.9"}).json()["notes"]["code_first"]
    assert first[0]["texts"][0].startswith("if applicable, associated influenza")
    assert visitor.post("/api/codes/about", {"code": "nothing"}).status_code == 404


def test_the_queue_of_the_page_is_that_of_the_store(store: Store, visitor: PageVisitor) -> None:
    listed = visitor.post("/api/tasks").json()["tasks"]
    assert [one["id"] for one in listed] == [one.id for one in list_tasks(store)]


@pytest.mark.parametrize(
    ("most", "numbers", "expected"),
    [(12, (12, 12), (6, 6)), (5, (12, 12), (3, 2)), (12, (12, 2), (10, 2)), (1, (9, 9), (1, 0))],
)
def test_many_diagnoses_hide_no_procedures(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    numbers: tuple[int, int],
    expected: tuple[int, int],
) -> None:
    editions = [find_edition("icd10cm"), find_edition("icd9cm")]  # stands for procedures
    has = dict(zip((one.about.name for one in editions), numbers, strict=True))

    def search(_: str, edition: Edition, most: int) -> list[Hit]:
        return [Hit(f"{place}", "", "", True) for place in range(has[edition.about.name])]

    monkeypatch.setattr(Codebook, "_editions", lambda _: editions)
    monkeypatch.setattr(codebook, "search_codes", search)
    found = Codebook(store).search("repair", most)
    names = [one["edition"] for one in found]
    assert names == [
        name for name, number in zip(has, expected, strict=True) for _ in range(number)
    ]
    assert [one["code"] for one in found][: expected[0]] == [*map(str, range(expected[0]))]
