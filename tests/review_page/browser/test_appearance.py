"""Every page in every state: accessible, nothing covered or cut off, in light and dark."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checks import barriers, misplaced, tab_through
from driving import NotePage, OwnServer, Served, Visit
from made_up_store import PASSWORD, fill_made_up, suggestions_in
from playwright.sync_api import expect
from stores import PREDICTED, made_store

from icdcli.review.decisions import DecisionDraft
from icdcli.review.notes import ReviewNote
from icdcli.review.purging import purge_texts
from icdcli.review.readings import append_decisions
from icdcli.review.users import create_user

pytestmark = pytest.mark.slow

NewVisit = Callable[..., Visit]
Serve = Callable[[Path], OwnServer]
DESKTOP = {"width": 1280, "height": 800}
TABLET = {"width": 820, "height": 1180}


def decide(store: object, id: str, *drafts: DecisionDraft, seen: int = 0) -> None:
    append_decisions(store, id, drafts, author="local", seen=seen)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Served:
    path = tmp_path_factory.mktemp("appearance") / "review.db"
    accepted = [DecisionDraft("accept", {"code": code}, 3.0) for code in PREDICTED]
    with made_store(path, count=4) as store:
        fill_made_up(store, accept_others=True)
        decide(
            store,
            "n2",
            *accepted,
            DecisionDraft("poa", {"code": "I10", "value": "W"}),
            DecisionDraft("comment", {"code": "I10", "text": "A rather long comment. " * 9}),
            DecisionDraft("comment", {"text": "on the note"}),
            DecisionDraft("reject", {"code": "E11.9", "reason": "part of another code"}),
        )
        decide(store, "n3", *accepted[:2], DecisionDraft("mark", {"code": "I10", "evidence": []}))
        purge_texts(store, ["n3"])
    return Served(path, serve(path))


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> OwnServer:
    path = tmp_path_factory.mktemp("sign-in") / "review.db"
    with made_store(path, count=1) as store:
        create_user(store, "ana", PASSWORD)
    return serve(path)


def states(served: Served, visit: Visit) -> Iterator[str]:
    """Bring the page into one state after the other, and yield the name of each."""
    page = visit.go()
    expect(page.locator("#tasks tr").first).to_be_visible()
    yield "queue"
    page.locator("#tasks input").first.check()
    yield "queue with selected notes"
    page.locator("details.menu summary").click()
    yield "settings"
    page.goto(f"{visit.address}/statistics")
    yield "statistics"
    visit.refusals.add(404)
    page.goto(f"{visit.address}/notes/999/1")
    yield "no such note"
    page.goto(f"{visit.address}/nothing")
    yield "no such page"
    for id in ("attack <b>&amp;</b>", "empty", "korean", "more 1"):
        served.open(visit, id)
        yield f"note {id}"
    served.open(visit, "n3")
    yield "purged note"
    yield from note_states(page, served.open(visit, "n1"))
    note = served.open(visit, "n2")
    expect(page.get_by_text("Pass with a reason")).to_be_visible()
    note.choose("I10")
    yield "codes with findings and comments"
    note.button("Pass with a reason").first.click()
    yield "reason for a finding"


def note_states(page: object, note: NotePage) -> Iterator[str]:
    expect(note.code("J18.9")).to_contain_text("Pneumonia")
    yield "note"
    for key, name in (("x", "reason"), ("r", "replacement"), ("c", "comment"), ("/", "search")):
        note.press(key)
        if name == "replacement":
            expect(page.locator("form .choice").first).to_be_visible()
        if name == "search":
            note.write("diabetes")
            expect(note.found.first).to_be_visible()
        yield name
        note.press("Escape")
    note.drag_over("type 2 diabetes")
    expect(page.get_by_role("toolbar")).to_be_visible()
    yield "selected words"
    note.press("Escape")
    note.press("?")
    yield "keys"
    note.press("Escape")
    note.button("Fold all sections").click()
    yield "folded sections"
    page.locator("summary", has_text="Below the threshold").click()
    note.code("R07.9").locator(".code-title").click()
    yield "code below the threshold"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_barriers(served: Served, new_visit: NewVisit, scheme: str) -> None:
    visit = new_visit(served.server.address, color_scheme=scheme)
    found = {name: barriers(visit.page) for name in states(served, visit)}
    assert not any(found.values()), "\n".join(
        f"{name}: {one}" for name, several in found.items() for one in several
    )


@pytest.mark.parametrize("size", [DESKTOP, TABLET], ids=["desktop", "tablet"])
def test_nothing_is_covered_or_cut_off(
    served: Served, new_visit: NewVisit, size: dict[str, int]
) -> None:
    visit = new_visit(served.server.address, viewport=size)
    found = {name: misplaced(visit.page) for name in states(served, visit)}
    assert not any(found.values()), "\n".join(
        f"{name}: {one}" for name, several in found.items() for one in several
    )


def test_only_the_panes_scroll(tmp_path: Path, serve: Serve, new_visit: NewVisit) -> None:
    chapters = "R05.9 R07.9 R10.9 R11.0 R21 R31.9 R35.0 R42 R50.9 R51.9 R53.1 R55 R60.9 R63.4"
    mentions = [(code, "Seen", 0.9, "affirmed") for code in chapters.split()]
    notes = [(ReviewNote("long", "Seen.\n" * 200), suggestions_in("Seen.", mentions))]
    made_store(tmp_path / "review.db", notes).close()
    visit = new_visit(serve(tmp_path / "review.db").address)
    visit.go("/notes/1/1")
    NotePage(visit).ready().press(*"jjjjjjjjjjjj")
    assert visit.page.evaluate("document.scrollingElement.scrollHeight - innerHeight") == 0
    assert visit.page.evaluate("document.scrollingElement.scrollTop") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_sign_in_page(signed: OwnServer, new_visit: NewVisit, scheme: str) -> None:
    for size in (DESKTOP, TABLET):
        visit = new_visit(signed.address, color_scheme=scheme, viewport=size)
        visit.refusals.add(401)
        page = visit.go()
        expect(page.get_by_label("Password")).to_be_visible()
        assert barriers(page) + misplaced(page) == []
        page.get_by_label("Name").fill("ana")
        page.get_by_label("Password").fill("wrong password")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert barriers(page) + misplaced(page) == []


@pytest.mark.parametrize("path", ["/", "note"])
def test_tab_reaches_everything_with_a_visible_focus(
    served: Served, new_visit: NewVisit, path: str
) -> None:
    visit = new_visit(served.server.address)
    if path == "/":
        visit.go()
        expect(visit.page.locator("#tasks tr").first).to_be_visible()
    else:
        served.open(visit, "n2")
        expect(visit.page.get_by_text("Pass with a reason")).to_be_visible()
    visited = tab_through(visit.page)
    names = " ".join(str(one["name"]) for one in visited)
    for words in ("Skip", "Keys", "Next note" if path == "/" else "Pass with a reason"):
        assert words in names, names
    assert [one["name"] for one in visited if not one["ring"]] == []
    assert [one["name"] for one in visited if not one["shown"]] == []


def test_dark_and_light_by_choice(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address, color_scheme="light")
    page = visit.go()
    color = "() => getComputedStyle(document.body).color"
    light = page.evaluate(color)
    page.locator("details.menu summary").click()
    page.get_by_label("Colors").select_option("dark")
    dark = page.evaluate(color)
    assert dark != light
    page.reload()
    assert page.evaluate(color) == dark
    page.locator("details.menu summary").click()
    page.get_by_label("Colors").select_option("")
    assert page.evaluate(color) == light
