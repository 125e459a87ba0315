"""A server that is killed while somebody decides, and is started again."""

from collections.abc import Callable
from pathlib import Path

import pytest
from driving import OwnServer, Served, Visit
from playwright.sync_api import expect
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
