"""Several people: sign-in, two at one note, blind readings, a session that ends while one types."""

from collections.abc import Callable
from pathlib import Path

import pytest
from driving import NotePage, OwnServer, Served, Visit
from made_up_store import PASSWORD, USERS
from playwright.sync_api import expect
from sqlalchemy import delete
from stores import made_store

from icdcli.review.schema import SessionRow
from icdcli.review.store import open_store
from icdcli.review.users import create_user

pytestmark = pytest.mark.slow

NewVisit = Callable[..., Visit]
Serve = Callable[[Path], OwnServer]


def made(folder: Path, serve: Serve, **options: object) -> Served:
    path = folder / "review.db"
    with made_store(path, **options) as store:
        for name, role in USERS:
            create_user(store, name, PASSWORD, role)
    return Served(path, serve(path))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Served:
    return made(tmp_path_factory.mktemp("people"), serve, count=5)


def sign_in(visit: Visit, name: str, password: str = PASSWORD) -> None:
    page = visit.go("/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def signed_in(new_visit: NewVisit, served: Served, name: str) -> Visit:
    visit = new_visit(served.server.address)
    sign_in(visit, name)
    expect(visit.page.get_by_role("heading", name="Notes to review")).to_be_visible()
    return visit


def decide_all(note: NotePage, *rejected: str) -> None:
    """Accept every suggestion above the threshold but some, and pass the finding on N18.3."""
    for code in ("J18.9", "I10", "E11.9", "N18.3", "R50.9", "R05.9"):
        if code in rejected:
            note.button(f"Reject {code}").click()
            note.code(code).locator("form").get_by_role("button", name="Not documented").click()
        else:
            note.button(f"Accept {code}").click()
    if "N18.3" not in rejected:
        note.button("Pass with a reason").click()
        note.page.get_by_label("Reason", exact=True).fill("as the payer wants it")
        note.press("Enter")
    expect(note.button("Submit")).to_be_enabled()
    note.button("Submit").click()


def test_sign_in_wrong_password_and_out(served: Served, new_visit: NewVisit) -> None:
    visit = new_visit(served.server.address)
    visit.refusals.add(401)
    page = visit.go()
    assert page.url.endswith("/login")
    sign_in(visit, "ana", "not the password")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("ana")
    expect(page.get_by_label("Password")).to_have_value("")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Notes to review")).to_be_visible()
    page.locator("details.menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    assert visit.go().url.endswith("/login")
    assert not any(PASSWORD in request for request in visit.requests)


def test_too_many_attempts(
    tmp_path: Path, serve: Callable[..., OwnServer], new_visit: NewVisit
) -> None:
    visit = new_visit(made(tmp_path, serve, count=1).server.address)
    visit.refusals |= {401, 429}
    for _ in range(30):
        sign_in(visit, "ana", "not the password")
        expect(visit.page.get_by_role("alert")).to_be_visible()
        if "wait" in visit.page.get_by_role("alert").inner_text().lower():
            break
    else:
        raise AssertionError("30 wrong passwords were tried")
    sign_in(visit, "ana")  # the right one has to wait, too
    expect(visit.page.get_by_role("alert")).to_be_visible()


def test_two_at_one_note(served: Served, new_visit: NewVisit) -> None:
    ana, ben = (signed_in(new_visit, served, name) for name in ("ana", "ben"))
    first, second = served.open(ana, "n1"), served.open(ben, "n1")
    ben.refusals.add(409)
    first.press("a")
    served.until(ana, "n1", lambda state: "J18.9" in state.codes)

    second.press("x")
    second.write("a viral infection")
    second.press("Enter")
    dialog = ben.page.get_by_role("dialog")
    expect(dialog).to_contain_text("ana")
    expect(dialog).to_contain_text("accepted J18.9")
    expect(dialog).to_contain_text("a viral infection")
    assert served.state("n1").codes == ("J18.9",)

    dialog.get_by_role("checkbox").check()
    dialog.get_by_role("button", name="Decide again").click()
    state = served.until(ben, "n1", lambda state: state.number == 2)
    assert state.decisions["J18.9"].reason == "a viral infection"
    assert [event.author for event in served.events("n1")] == ["ana", "ben"]


def test_one_person_in_two_windows(served: Served, new_visit: NewVisit) -> None:
    visits = [signed_in(new_visit, served, "ana") for _ in range(2)]
    first, second = (served.open(visit, "n4") for visit in visits)
    visits[1].refusals.add(409)
    first.press("a")
    served.until(visits[0], "n4", lambda state: "J18.9" in state.codes)
    second.press("x", "1")
    dialog = visits[1].page.get_by_role("dialog")
    expect(dialog).to_contain_text("You have decided on this note in another window")
    expect(dialog).not_to_contain_text("Someone else")
    dialog.get_by_role("button", name="Keep those of the other window").click()
    expect(second.code("J18.9")).to_have_attribute("data-status", "accepted")


def test_session_that_ends_while_one_types(served: Served, new_visit: NewVisit) -> None:
    visit = signed_in(new_visit, served, "ana")
    visit.refusals.add(401)
    note = served.open(visit, "n2")
    note.press("x")
    note.write("seen on an old image only")
    with open_store(served.path) as store, store.writing() as connection:
        connection.execute(delete(SessionRow))
    note.press("Enter")
    dialog = visit.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Your session has ended")
    dialog.get_by_label("Password").fill("not the password")
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_have_count(0)
    state = served.until(visit, "n2", lambda state: state.number)
    assert state.decisions["J18.9"].reason == "seen on an old image only"


def test_what_one_typed_is_not_stored_as_another_s(served: Served, new_visit: NewVisit) -> None:
    visit = signed_in(new_visit, served, "ana")
    visit.refusals.add(401)
    note = served.open(visit, "n3")
    with open_store(served.path) as store, store.writing() as connection:
        connection.execute(delete(SessionRow))
    note.press("a")
    dialog = visit.page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("ben")
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Sign in").click()
    visit.page.wait_for_timeout(1000)
    assert [event.author for event in served.events("n3")] in ([], ["ana"])


def test_what_both_readers_replaced_is_settled_at_once(
    tmp_path: Path, serve: Serve, new_visit: NewVisit
) -> None:
    served = made(tmp_path, serve, count=1, double_share=1.0)
    for name in ("ana", "ben"):
        visit = signed_in(new_visit, served, name)
        visit.page.get_by_role("button", name="Next note").click()
        visit.page.wait_for_url("**/notes/**")
        note = NotePage(visit).ready()
        for code in ("J18.9", "I10", "E11.9", "R50.9", "R05.9"):
            note.button(f"Accept {code}").click()
        note.choose("N18.3")
        note.press("r")
        note.code("N18.3").get_by_role("button", name="N18.30").click()
        expect(note.button("Submit")).to_be_enabled()
        note.button("Submit").click()
        expect(visit.page.get_by_text("nothing left for you")).to_be_visible()
    eva = signed_in(new_visit, served, "eva")
    note = served.open(eva, "n1", reading=3)
    expect(eva.page.locator("#progress-text")).to_have_text("0 of 7 decided")
    note.button("Accept what both agree on").click()
    expect(note.button("Submit")).to_be_enabled()
    note.button("Submit").click()
    state = served.until(eva, "n1", lambda state: state.submitted, reading=3)
    assert set(state.codes) == {"J18.9", "I10", "E11.9", "R50.9", "R05.9", "N18.30"}
    assert state.decisions["N18.3"].replaced_by == "N18.30"


def test_blind_readings_and_adjudication(tmp_path: Path, serve: Serve, new_visit: NewVisit) -> None:
    served = made(tmp_path, serve, count=1, double_share=1.0)
    ana, ben, eva = (signed_in(new_visit, served, name) for name in ("ana", "ben", "eva"))
    for visit, rejected in ((ana, ()), (ben, ("N18.3",))):
        visit.page.get_by_role("button", name="Next note").click()
        visit.page.wait_for_url("**/notes/**")
        note = NotePage(visit).ready()
        if visit is ben:  # sees nothing of the other's reading
            assert "ana" not in visit.page.locator("main").inner_text()
            assert visit.page.locator("article[data-status=accepted]").count() == 0
        decide_all(note, *rejected)
        expect(visit.page.get_by_text("nothing left for you")).to_be_visible()
    eva.go().get_by_role("button", name="Next note").click()
    eva.page.wait_for_url("**/notes/1/3")
    note = NotePage(eva).ready()
    expect(note.code("N18.3")).to_contain_text("ana")
    expect(note.code("N18.3")).to_contain_text("ben")
    note.button("Accept what both agree on").click()
    note.button("Reject N18.3").click()
    note.code("N18.3").locator("form").get_by_role("button", name="Not documented").click()
    expect(note.button("Submit")).to_be_enabled()
    note.button("Submit").click()
    state = served.until(eva, "n1", lambda state: state.submitted, reading=3)
    assert set(state.codes) == {"J18.9", "I10", "E11.9", "R50.9", "R05.9"}
    assert {event.author for event in served.events("n1", 3)} == {"eva"}
