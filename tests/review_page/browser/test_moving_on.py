"""What is chosen and shown after a key: the code to look at next, and what is still missing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from driving import OwnServer, Served, Visit
from playwright.sync_api import expect
from stores import made_store

pytestmark = pytest.mark.slow

NewVisit = Callable[..., Visit]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], OwnServer]) -> Served:
    path = tmp_path_factory.mktemp("moving_on") / "review.db"
    made_store(path, count=4).close()
    return Served(path, serve(path))


def test_codes_of_the_note_are_followed_by_their_neighbors(
    served: Served, new_visit: NewVisit
) -> None:
    note = served.open(new_visit(served.server.address), "n1")
    note.press("a", "a", "a")  # J18.9, I10, E11.9
    note.choose("I10")
    note.press("x", "1")
    assert note.chosen == "E11.9"  # the code that took its place
    note.press("x", "1")
    assert note.chosen == "J18.9"
    note.press("r")
    note.write("J15.9")
    expect(note.found.first).to_contain_text("J15.9")
    note.press("Enter")
    assert note.chosen == "J15.9"  # whose words are to be marked
    expect(note.code("J15.9")).to_contain_text("Principal")
    note.press("x", "1")
    assert note.chosen == "N18.3"  # none is left: the first to decide


def test_codes_below_the_threshold_are_looked_through(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address)
    note = served.open(visit, "n2")
    visit.page.locator("summary", has_text="Below the threshold").click()
    note.code("R07.9").locator(".code-title").click()
    note.press("a")
    assert note.chosen == "C50.919"
    note.press("a")  # the last one
    assert note.chosen == "C50.919"
    served.until(visit, "n2", lambda state: state.codes == ("R07.9", "C50.919"))


def test_codes_that_a_search_finds_at_the_lower_edge_are_in_sight(
    served: Served, new_visit: NewVisit
) -> None:
    visit = new_visit(served.server.address)
    note = served.open(visit, "n3")
    note.choose("R05.9")  # the last one, near the bar at the bottom
    note.press("r")
    note.write("diabetes")
    expect(note.found).to_have_count(12)
    bar = visit.page.locator("#submit-bar").bounding_box()
    found = visit.page.get_by_role("listbox").bounding_box()
    field = visit.page.get_by_label("Another code").bounding_box()
    assert bar is not None and found is not None and field is not None
    assert found["y"] + found["height"] <= bar["y"] and field["y"] > 0
    note.press("Escape")


def test_a_submission_that_is_not_possible_goes_to_what_is_missing(
    served: Served, new_visit: NewVisit
) -> None:
    visit = new_visit(served.server.address)
    note = served.open(visit, "n4")
    note.press("a")
    note.choose("J18.9")
    note.press("Control+Enter")
    assert note.chosen == "I10"  # the first to decide
    for _ in range(5):
        note.press("a")
    note.press("Control+Enter")  # before the server has said that N18.3 isn't assignable
    missing = visit.page.locator("#missing")
    expect(missing).to_have_text("Findings without a reason: 1")
    expect(note.button("Replace N18.3").first).to_be_focused()
    expect(visit.page.locator("#announcements")).to_contain_text("Findings without a reason")
    expect(visit.page.get_by_text("Not stored")).to_have_count(0)
    note.press("Enter")
    expect(visit.page.locator("[data-form=replace] [data-choice='1']")).to_be_focused()
    note.press("1")  # by its first child
    served.until(visit, "n4", lambda state: "N18.30" in state.codes)
    note.press("Control+Enter")
    served.until(visit, "n4", lambda state: state.submitted)


def test_a_note_that_is_not_for_one_leads_back(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address)
    visit.refusals |= {403, 404}
    page = visit.go("/notes/1/3")  # there is no second reading to settle
    page.locator("#loading").get_by_role("link", name="All notes").click()
    expect(page.get_by_role("heading", name="Notes to review")).to_be_visible()
