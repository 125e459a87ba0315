"""A whole review with the mouse, and what pointing shows."""

from collections.abc import Callable
from pathlib import Path

import pytest
from driving import NotePage, OwnServer, Served, Visit
from playwright.sync_api import expect
from stores import TEXT, made_store

pytestmark = pytest.mark.slow

NewVisit = Callable[..., Visit]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], OwnServer]) -> Served:
    path = tmp_path_factory.mktemp("mouse") / "review.db"
    made_store(path, count=4).close()
    return Served(path, serve(path))


def test_whole_review(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address)
    page = visit.go()
    page.get_by_role("link", name="n1", exact=True).click()
    page.wait_for_url("**/notes/*/1")
    note = NotePage(visit).ready()
    for code in ("J18.9", "I10", "N18.3"):
        note.button(f"Accept {code}").click()

    # By a child: N18.3 has N18.30 to N18.32.
    note.code("N18.3").click()
    note.code("N18.3").get_by_role("button", name="Replace").click()
    note.code("N18.3").get_by_role("button", name="N18.30").click()
    expect(note.code("N18.30")).to_be_visible()

    note.button("Reject R50.9").click()
    note.code("R50.9").get_by_role("button", name="Part of another code").click()
    note.button("Reject R05.9").click()
    page.get_by_label("Another reason").fill("a symptom")
    page.locator("form").get_by_role("button", name="Reject", exact=True).click()
    note.button("Accept E11.9").click()

    # Other words for a code, then a code with words.
    note.code("I10").locator(".code-title").click()
    note.drag_over("blood pressure")
    note.button("Mark for I10").click()
    note.drag_over("breast cancer")
    page.get_by_role("toolbar").get_by_role("button", name="Add a code").click()
    page.get_by_role("combobox", name="Find a code").fill("family history breast")
    note.found.filter(has_text="Z80.3").click()
    expect(note.code("Z80.3")).to_be_visible()

    note.code("E11.9").locator(".code-title").click()
    note.code("E11.9").get_by_role("button", name="Make principal").click()
    page.get_by_label("Present on admission: E11.9").select_option("U")
    note.code("E11.9").get_by_role("button", name="Comment").click()
    page.get_by_label("Comment", exact=True).fill("since 2009")
    note.button("Add the comment").click()
    note.button("Comment on the note").click()
    page.get_by_label("Comment", exact=True).fill("a short stay")
    note.button("Add the comment").click()
    note.button("Undo").click()
    expect(page.get_by_text("a short stay")).to_have_count(0)

    note.button("Submit").click()
    page.wait_for_url(lambda address: not address.endswith(f"/{served.number('n1')}/1"))
    state = served.state("n1")
    assert state.submitted
    assert state.codes == ("E11.9", "J18.9", "I10", "N18.30", "Z80.3")
    assert state.decisions["R50.9"].reason == "part of another code"
    assert state.decisions["R05.9"].reason == "a symptom"
    assert state.decisions["N18.30"].replaces == "N18.3"
    assert state.decisions["E11.9"].poa == "U"
    assert state.comments == {"E11.9": ("since 2009",)}
    words = {
        code: [TEXT[begin:end] for begin, end in decision.evidence]
        for code, decision in state.decisions.items()
        if decision.evidence
    }
    assert "blood pressure" in words["I10"]
    assert "hypertension" in words["I10"]
    assert words["Z80.3"] == ["breast cancer"]


def test_words_and_codes_point_at_each_other(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address)
    note = served.open(visit, "n2")
    mark = visit.page.locator("mark").filter(has_text="hypertension").first
    mark.hover()
    expect(note.code("I10")).to_have_class("code is-pointed")
    mark.click()
    assert note.chosen == "I10"
    note.code("E11.9").hover()
    expect(visit.page.locator("mark.is-pointed").first).to_have_text("type 2")
    visit.page.locator("summary", has_text="Below the threshold").click()
    note.code("R07.9").locator(".code-title").click()
    denied = visit.page.locator("mark").filter(has_text="chest pain")
    expect(denied).to_have_attribute("data-said", "denied")
    expect(note.code("R07.9")).to_contain_text("denied")
    note.code("C50.919").locator(".code-title").click()
    expect(note.code("C50.919")).to_contain_text("family")


def test_codes_are_ordered_by_dragging(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address)
    note = served.open(visit, "n2")
    for code in ("J18.9", "I10", "E11.9"):
        note.button(f"Accept {code}").click()
    served.until(visit, "n2", lambda state: len(state.codes) == 3)
    note.code("E11.9").locator(".grip").hover()
    visit.page.mouse.down()
    box = note.code("J18.9").bounding_box()
    visit.page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2, steps=5)
    visit.page.mouse.move(box["x"] + 20, box["y"] + 2, steps=5)
    visit.page.mouse.up()
    served.until(visit, "n2", lambda state: state.codes == ("E11.9", "J18.9", "I10"))


def test_sections_fold_and_open_for_their_words(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address)
    note = served.open(visit, "n3")
    section = visit.page.get_by_role("region", name="Hospital course")
    words = section.get_by_text("Ceftriaxone and azithromycin")
    expect(words).to_be_visible()
    section.get_by_role("button", name="Hospital course").click()
    expect(words).to_be_hidden()
    note.code("N18.3").locator(".code-title").click()  # its words are in the folded section
    expect(words).to_be_visible()
    note.button("Fold all sections").click()
    expect(words).to_be_hidden()
    note.button("Unfold all sections").click()
    expect(words).to_be_visible()


def test_notes_of_the_edition_beside_a_code(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address)
    note = served.open(visit, "n3")
    note.code("E11.9").locator(".code-title").click()
    beside = note.code("E11.9")
    beside.get_by_text("Notes of the edition").click()  # which stay open from then on
    expect(beside).to_contain_text("Excludes1")
    expect(beside).to_contain_text("Use additional code")
    expect(beside).to_contain_text("icd10cm-2026-04")
    expect(beside).to_contain_text("above the threshold")


def test_filters_of_the_queue(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address)
    page = visit.go()
    rows = page.locator("#tasks tr")
    expect(rows).to_have_count(4)
    page.get_by_label("Status").select_option("open")
    expect(rows.filter(has_text="n1")).to_have_count(0)
    page.get_by_role("button", name="Clear filters").click()
    expect(rows).to_have_count(4)
    page.get_by_label("Suggested code").fill("K35.80")
    expect(page.get_by_text("No note matches the filters")).to_be_visible()
    page.get_by_label("Suggested code").fill("I10")
    expect(rows).to_have_count(4)
    assert not any("I10" in request or "K35" in request for request in visit.requests)
