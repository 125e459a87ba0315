"""A whole review with the keyboard alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from driving import NotePage, OwnServer, Served, Visit
from playwright.sync_api import expect
from stores import PREDICTED, TEXT, made_store

pytestmark = pytest.mark.slow

Serve = Callable[[Path], OwnServer]
NewVisit = Callable[..., Visit]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Served:
    path = tmp_path_factory.mktemp("keyboard") / "review.db"
    made_store(path, count=4).close()
    return Served(path, serve(path))


def test_whole_review(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address)
    page = visit.go()
    expect(page.get_by_text("0 of 4")).to_be_visible()
    page.keyboard.press("n")
    page.wait_for_url("**/notes/*/1")
    first = page.url
    note = NotePage(visit).ready()
    id = page.locator("#note-name").inner_text()

    # The first code to decide is chosen; j and k go from code to code.
    assert note.chosen == "J18.9"
    note.press("j", "j")
    assert note.chosen == "E11.9"
    note.press("k", "k")
    assert note.chosen == "J18.9"

    # Nothing can be submitted yet.
    submit = page.get_by_role("button", name="Submit")
    expect(submit).to_be_disabled()
    note.press("Control+Enter")

    note.press("a", "a")  # accept J18.9, then I10, to which the choice moves on
    expect(note.code("I10")).to_have_attribute("data-status", "accepted")
    assert note.chosen == "E11.9"

    note.press("r")  # replace by a code found by its beginning
    note.write("E11.65")
    expect(note.found.first).to_contain_text("E11.65")
    note.press("Enter")
    expect(note.code("E11.65")).to_be_visible()

    note.choose("R50.9")
    note.press("x", "1")  # the first of the usual reasons
    note.choose("R05.9")
    note.press("x")
    note.write("part of the pneumonia")
    note.press("Enter")
    expect(note.code("R05.9")).to_have_attribute("data-status", "rejected")

    note.choose("N18.3")
    note.press("a")
    expect(page.get_by_text("Pass with a reason")).to_be_visible()
    expect(submit).to_be_disabled()

    # Words for a code: from the first word behind it, three words to the right.
    note.choose("J18.9")
    note.press("m", *["Shift+ArrowRight"] * 4, "Enter")
    note.press("p", "1")
    note.press("c")
    note.write("seen on the radiograph")
    note.press("Control+Enter")

    # A code by search, with words of the note.
    note.choose("I10")
    note.press("m", "Shift+ArrowLeft", "/")
    note.write("lisinopril allergy")
    page.wait_for_timeout(300)
    for _ in range(len("lisinopril allergy")):
        note.press("Backspace")
    note.write("Z87.891")
    expect(note.found.first).to_contain_text("Z87.891")
    note.press("Enter")
    expect(note.code("Z87.891")).to_be_visible()

    note.choose("I10")
    note.press("P")
    note.press("J")
    served.until(visit, id, lambda state: state.codes[:2] == ("J18.9", "I10"))

    # Taking something back.
    note.press("p", "2")
    served.until(visit, id, lambda state: state.decisions["I10"].poa == "N")
    note.press("u")
    served.until(visit, id, lambda state: state.decisions["I10"].poa is None)

    # The hard finding, by Tab: a reason passes it.
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").startswith("Pass with a reason"):
            break
    note.press("Enter")
    note.write("the payer accepts it")
    note.press("Enter")
    expect(submit).to_be_enabled()
    note.press("Control+Enter")

    # The next note loads by itself.
    page.wait_for_url(lambda address: address != first and "/notes/" in address)
    state = served.state(id)
    assert state.submitted
    assert state.codes == ("J18.9", "I10", "E11.65", "N18.3", "Z87.891")
    assert state.decisions["E11.9"].status == "replaced"
    assert state.decisions["E11.65"].replaces == "E11.9"
    assert state.decisions["R50.9"].reason == "not documented"
    assert state.decisions["R05.9"].reason == "part of the pneumonia"
    assert state.decisions["J18.9"].poa == "Y"
    assert state.comments == {"J18.9": ("seen on the radiograph",)}
    assert list(state.overrides.values()) == ["the payer accepts it"]
    marked = [TEXT[begin:end] for begin, end in state.decisions["J18.9"].evidence]
    assert "pneumonia of the right lower" in marked
    assert [TEXT[begin:end] for begin, end in state.decisions["Z87.891"].evidence] == [
        "known hypertension"
    ]
    events = served.events(id)
    assert {event.kind for event in events} >= {"accept", "reject", "replace", "add", "mark"}
    assert all(event.suggestion_set for event in events)
    assert 0 < sum(event.seconds for event in events) < 120
    assert set(PREDICTED) <= set(state.decisions)


def test_keys_are_shown_and_closed(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address)
    note = served.open(visit, "n3")
    note.press("?")
    dialog = visit.page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    for words in ("Accept", "Reject", "Replace", "Add a code", "Undo", "Submit"):
        expect(dialog).to_contain_text(words)
    note.press("a")  # nothing is decided behind a dialog
    note.press("Escape")
    expect(dialog).to_have_count(0)
    assert served.state("n3").number == 0


def test_key_right_after_a_dialog_was_closed(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address)
    note = served.open(visit, "n3")
    note.press("?")
    expect(visit.page.get_by_role("dialog")).to_be_visible()
    visit.page.evaluate("""() => {
      const dialog = document.querySelector("dialog");
      const focused = dialog.querySelector("input");
      dialog.close();  // the event of it comes later, and until then the focus may stay within
      const x = { key: "x", code: "KeyX", bubbles: true, cancelable: true };
      focused.dispatchEvent(new KeyboardEvent("keydown", x));
    }""")
    form = visit.page.locator("form[data-form=reject]")
    expect(form).to_be_visible()
    visit.page.wait_for_function("() => !document.querySelector('dialog')")
    assert form.evaluate("form => form.contains(document.activeElement)")


def test_escape_leaves_every_form_without_deciding(served: Served, new_visit: NewVisit) -> None:
    note = served.open(new_visit(served.server.address), "n3")
    for key in ("x", "r", "c", "/", "m"):
        note.press(key, "Escape")
        assert note.chosen == "J18.9", key
        note.press("j", "k")  # keys act on codes again
        assert note.chosen == "J18.9", key
    assert served.state("n3").number == 0


def test_numbers_show_the_words_and_enter_goes_to_them(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address)
    note = served.open(visit, "n3")
    note.press("2")
    second = TEXT.index("pneumonia", TEXT.index("pneumonia") + 1)
    focused = visit.page.locator("mark:focus")
    expect(focused).to_have_attribute("data-begin", str(second))
    assert focused.inner_text() == "pneumonia"


def test_letters_by_their_place_on_a_korean_keyboard(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address)
    note = served.open(visit, "n4")
    visit.page.evaluate(
        """() => document.body.dispatchEvent(new KeyboardEvent('keydown',
            {key: 'ㅁ', code: 'KeyA', bubbles: true, cancelable: true}))"""
    )
    served.until(visit, "n4", lambda state: "J18.9" in state.codes)
    assert note.chosen == "I10"


def test_a_number_replaces_by_a_code_beside(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address)
    note = served.open(visit, "n3")
    note.choose("R05.9")
    note.press("r")
    expect(visit.page.locator("[data-form=replace] [data-choice='1']")).to_be_focused()
    note.press("1")
    served.until(visit, "n3", lambda state: "R05.1" in state.codes)
    assert served.state("n3").decisions["R05.1"].replaces == "R05.9"
    note.press("u")
    served.until(visit, "n3", lambda state: not state.decisions)
