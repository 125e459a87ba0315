"""A server that is killed while somebody decides, or whose model suggests codes later."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import OwnServer, Served, Visit
from playwright.sync_api import Route, expect
from stores import made_store

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("moment", ["before", "amid"])
def test_nothing_acknowledged_is_lost_and_the_page_recovers(
    tmp_path: Path,
    serve: Callable[[Path], OwnServer],
    new_visit: Callable[..., Visit],
    moment: str,
) -> None:
    path = tmp_path / "review.db"
    made_store(path, count=1).close()
    served = Served(path, serve(path))
    visit = new_visit(served.server.address)
    visit.refusals.add(0)  # the server is away
    note = served.open(visit, "n1")
    note.press("a")
    served.until(visit, "n1", lambda state: state.number == 1)

    if moment == "before":
        served.server.kill()
    note.press("a", "a", "a")
    note.press("x")
    note.write("not in this stay")
    note.press("Enter")
    if moment == "amid":
        served.server.kill()
    else:
        expect(visit.page.get_by_text("The server doesn't answer")).to_be_visible()
    expect(note.code("I10")).to_have_attribute("data-status", "accepted")  # shown as decided
    assert "J18.9" in served.state("n1").codes

    served.server.start()
    state = served.until(visit, "n1", lambda state: len(state.decisions) == 5)
    assert state.codes == ("J18.9", "I10", "E11.9", "N18.3")
    assert state.decisions["R50.9"].reason == "not in this stay"
    events = served.events("n1")
    assert [event.number for event in events] == [1, 2, 3, 4, 5]
    assert [event.kind for event in events] == ["accept"] * 4 + ["reject"]
    expect(visit.page.get_by_text("The server doesn't answer")).to_have_count(0)


def test_suggestions_are_awaited_and_nothing_is_submitted_by_mistake(
    tmp_path: Path, serve: Callable[[Path], OwnServer], new_visit: Callable[..., Visit]
) -> None:
    path = tmp_path / "review.db"
    made_store(path, count=2).close()
    served = Served(path, serve(path))
    visit = new_visit(served.server.address)
    are_ready = False

    def answer(route: Route) -> None:
        response = route.fetch()
        shown = response.json()
        if not are_ready:  # as while the model is loaded
            shown |= {"suggestion_set": None, "suggesting": True, "suggestions": [], "model": None}
        route.fulfill(response=response, json=shown)

    visit.context.route(re.compile(r"/api/notes/\d+/1$"), answer)
    note = served.open(visit, "n1")
    waiting = visit.page.get_by_text("hasn't suggested codes for this note yet")
    expect(waiting).to_be_visible()
    expect(note.button("Submit")).to_be_disabled()
    note.press("Control+Enter")
    are_ready = True
    expect(note.code("J18.9")).to_be_visible()  # nobody had done anything
    expect(waiting).to_have_count(0)

    are_ready = False
    note = served.open(visit, "n2")
    note.press("/")
    note.write("Z87.891")
    expect(note.found.first).to_contain_text("Z87.891")
    note.press("Enter")
    expect(note.button("Submit")).to_be_enabled()  # of somebody who codes without a model
    are_ready = True
    note.button("Show them").click()
    expect(note.code("J18.9")).to_be_visible()
    assert served.state("n2").codes == ("Z87.891",)
    assert served.state("n1").number == 0
