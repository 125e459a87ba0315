"""What holds for all requests: names, origins, tokens, sizes, headers; and what logs must lack."""

import logging
from collections.abc import Callable

import pytest
from made_up_store import ATTACK, PASSWORD
from starlette.testclient import TestClient
from visiting import PageVisitor, visitor_of

from icdcli.review.readings import read_events
from icdcli.review.store import Store
from icdcli.review_page import note_routes
from icdcli.review_page.app import create_review_app
from icdcli.review_page.security import CONTENT_POLICY, LARGEST_BODY
from icdcli.review_page.settings import PageSettings

POLICY = {
    **dict.fromkeys(("default-src", "frame-ancestors", "base-uri"), "'none'"),
    **dict.fromkeys(("script-src", "style-src", "img-src", "connect-src", "font-src"), "'self'"),
    "form-action": "'self'",
}
DECISIONS = {
    "seen": 0,
    "suggestion_set": None,
    "decisions": [{"kind": "accept", "details": {"code": "J18.9"}}],
}


def test_the_policy_lets_the_page_load_its_own_files_only() -> None:
    parts = dict(part.strip().split(" ", 1) for part in CONTENT_POLICY.split(";"))
    assert parts == POLICY


def paths_of_app(store: Store) -> list[tuple[str, str]]:
    app = create_review_app(store)
    found = []
    for route in app.router.routes:
        inner = getattr(route, "original_router", None)
        for one in inner.routes if inner is not None else [route]:
            found += [(method, one.path) for method in getattr(one, "methods", None) or ()]
    return found


def static_file(visitor: PageVisitor) -> str:
    return f"/static/{visitor.client.app.state.renderer.hash}/messages/en.json"


def filled(path: str) -> str:
    return (
        path.replace("{number}", "1").replace("{reading}", "1").replace("{hash}/{name:path}", "x")
    )


def test_every_answer_has_the_headers(store: Store, visitor: PageVisitor) -> None:
    asked = [*paths_of_app(store), ("GET", "/nothing"), ("DELETE", "/"), ("GET", "/notes/0/1")]
    assert len(asked) > 15
    static = static_file(visitor)
    for method, path in [*asked, ("GET", static)]:
        answer = visitor.client.request(method, filled(path))
        assert answer.headers["content-security-policy"] == CONTENT_POLICY, path
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["referrer-policy"] == "same-origin", path
        assert answer.headers["cross-origin-opener-policy"] == "same-origin", path
        lasting = "immutable" in answer.headers["cache-control"]
        assert lasting is (path == static), path
        assert lasting or answer.headers["cache-control"] == "no-store", path


def test_every_change_needs_the_token(store: Store) -> None:
    changes = [path for method, path in paths_of_app(store) if method not in ("GET", "HEAD")]
    assert len(changes) >= 8
    visitor = visitor_of(store)
    visitor.csrf = "0" * 64
    for path in set(changes) - {"/login"}:  # nobody signs in at this store
        answer = visitor.post(filled(path), DECISIONS)
        assert (answer.status_code, answer.json()["reason"]) == (403, "csrf"), path
    assert read_events(store, "plain") == []


def test_every_route_needs_somebody_who_has_signed_in(new_store: Callable[..., Store]) -> None:
    store = new_store(users=True)
    visitor = visitor_of(store)
    for method, path in paths_of_app(store):
        if path.startswith(("/login", "/static/", "/favicon")):
            continue
        answer = visitor.client.request(method, filled(path))
        assert answer.status_code in (303, 401), (method, path)
        assert answer.status_code == 401 or answer.headers["location"].startswith("/login")


def test_a_token_is_for_one_browser_and_one_session(new_store: Callable[..., Store]) -> None:
    store = new_store(users=True)
    app = create_review_app(store)
    ana, ben = PageVisitor(app), PageVisitor(app)
    ana.sign_in("ana", PASSWORD)
    ben.sign_in("ben", PASSWORD)
    assert ana.csrf != ben.csrf
    ana.csrf = ben.csrf
    assert ana.decide(1, ("accept", {"code": "I10"})).status_code == 403


def test_a_browser_that_lost_its_cookie_gets_a_new_token(visitor: PageVisitor) -> None:
    visitor.client.cookies.clear()
    assert visitor.decide(1, ("accept", {"code": "I10"})).json()["reason"] == "csrf"
    visitor.csrf = visitor.get("/api/me").json()["csrf"]
    assert visitor.decide(1, ("accept", {"code": "I10"})).status_code == 200


@pytest.mark.parametrize(
    ("host", "accepted"),
    [
        *(("localhost", True), ("localhost:8765", True), ("127.0.0.1:8765", True)),
        *(("[::1]:8765", True), ("LOCALHOST.", True), ("review.example", True)),
        *(("evil.example", False), ("localhost.evil.example", False), ("", False)),
        ("127.0.0.1.evil.example:8765", False),
    ],
)
def test_without_users_only_known_names_reach_the_page(
    store: Store, host: str, accepted: bool
) -> None:
    client = TestClient(create_review_app(store, PageSettings(host_names=("Review.example",))))
    answer = client.get("/api/me", headers={"Host": host})
    assert answer.status_code == (200 if accepted else 421)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:9999"},  # another program on this computer
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_change_nothing(
    store: Store, visitor: PageVisitor, headers: dict[str, str]
) -> None:
    answer = visitor.post("/api/notes/1/1/decisions", DECISIONS, **headers)
    assert (answer.status_code, read_events(store, "plain")) == (403, [])
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert visitor.post("/api/notes/1/1/decisions", DECISIONS, **own).status_code == 200


def test_large_requests_are_refused(visitor: PageVisitor) -> None:
    headers = {"X-CSRF-Token": visitor.csrf, "Content-Type": "application/json"}
    declared = visitor.client.post("/api/tasks", content=b" " * (LARGEST_BODY + 1), headers=headers)
    assert declared.status_code == 413
    parts = (b" " * 100_000 for _ in range(11))  # without a Content-Length
    assert visitor.client.post("/api/tasks", content=parts, headers=headers).status_code == 413
    deep = b"[" * 100_000
    assert visitor.client.post("/api/tasks", content=deep, headers=headers).status_code == 400


def test_a_defect_shows_its_place_and_no_text(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = visitor_of(store)

    def fail(*_: object, **__: object) -> None:
        raise KeyError("secret words of a patient")

    monkeypatch.setattr(note_routes, "findings_of", fail)
    answer = visitor.get("/api/notes/1/1")
    assert answer.status_code == 500 and "defect" in answer.json()["message"]
    assert "KeyError" in caplog.text and "test_guard.py" in caplog.text
    assert "secret" not in caplog.text + answer.text


def test_nothing_of_a_patient_is_logged_or_in_an_address(
    visitor: PageVisitor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        visitor.get("/api/notes/4/1")
        visitor.decide(4, ("accept", {"code": "J45.909"}), ("comment", {"text": "private words"}))
        visitor.decide(4, ("accept", {"code": "J45.909"}))  # a conflict
        visitor.decide(4, ("accept", {"code": "Z99.9"}), seen=2)  # a refusal
        visitor.post("/api/codes/about", {"code": "J45.909"})
        visitor.post("/api/codes/search", {"query": "private words"})
        visitor.post("/api/tasks", {"filter": {"code": "J45.909"}})
        visitor.post("/api/tasks", {"filter": {"code": ["J45.909"]}})
    own = "\n".join(one.getMessage() for one in caplog.records if "api" in one.getMessage())
    assert "/api/notes/4/1" in own  # the visitor's own log: addresses were looked at
    for word in ("J45", "Z99", "private", "attack", "Asthma"):
        assert word not in caplog.text


def test_what_cannot_be_read_is_not_repeated(visitor: PageVisitor) -> None:
    answer = visitor.post("/api/tasks", {"filter": {"status": "private words"}})
    assert answer.status_code == 422
    assert "private" not in answer.text and "body.filter.status" in answer.json()["message"]


def test_pages_escape_what_people_typed(new_store: Callable[..., Store]) -> None:
    from icdcli.review.users import create_user

    store = new_store(users=True)
    create_user(store, ATTACK, PASSWORD, "admin")
    visitor = visitor_of(store)
    assert "<img src=x" not in visitor.sign_in(ATTACK, "wrong password").text
    assert visitor.sign_in(ATTACK, PASSWORD).status_code == 303
    for path in ("/", "/notes/4/1", "/statistics"):
        page = visitor.get(path)
        assert page.status_code == 200 and "<img src=x" not in page.text


@pytest.mark.parametrize(
    ("headers", "language"),
    [
        ({}, "en"),
        ({"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"}, "ko"),
        ({"Accept-Language": "fr, es;q=0.3, en;q=0.2"}, "es"),
        ({"Accept-Language": "de;q=x, ko;q=0"}, "en"),
        ({"Accept-Language": "ko", "Cookie": "language=es"}, "es"),
        ({"Cookie": "language=xx"}, "en"),
    ],
)
def test_the_language_is_that_of_the_browser_or_its_choice(
    visitor: PageVisitor, headers: dict[str, str], language: str
) -> None:
    assert f'<html lang="{language}"' in visitor.client.get("/", headers=headers).text
    assert '<html lang="ko"' in visitor.client.get("/?lang=ko", headers=headers).text


def test_files_of_another_version_are_not_found(visitor: PageVisitor) -> None:
    file = static_file(visitor)
    assert visitor.get(file).status_code == 200
    hash = file.split("/")[2]
    for path in (file.replace(hash, "0000"), f"/static/{hash}/..%2fapp.py", f"/static/{hash}/"):
        assert visitor.get(path).status_code == 404
