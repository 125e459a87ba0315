"""Signing in and out: passwords, sessions, limits, proxies, and the local user."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from made_up_store import PASSWORD
from starlette.testclient import TestClient
from visiting import PageVisitor, visitor_of

from icdcli.errors import ConfigError
from icdcli.review.readings import read_events
from icdcli.review.store import Store
from icdcli.review.users import deactivate_user, set_password
from icdcli.review_page.app import create_review_app
from icdcli.review_page.login_limits import AttemptLimits, LoginLimiter
from icdcli.review_page.settings import PageSettings


@pytest.fixture
def store_with_users(new_store: Callable[..., Store]) -> Store:
    return new_store(users=True)


@pytest.fixture
def stranger(store_with_users: Store) -> PageVisitor:
    """Return somebody who hasn't signed in."""
    return visitor_of(store_with_users)


def test_without_signing_in_there_is_only_the_form(stranger: PageVisitor) -> None:
    for path, there in (("/", "/login"), ("/notes/1/1", "/login?next=/notes/1/1")):
        answer = stranger.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, there)
    assert stranger.open("/login").status_code == 200
    for path in ("/api/me", "/api/notes/1/1", "/api/users"):
        answer = stranger.get(path)
        assert answer.status_code == 401
        assert answer.json()["message"].startswith("your session has ended")
    for path in ("/api/tasks", "/api/tasks/next", "/api/tasks/change", "/api/codes/search"):
        assert stranger.post(path).status_code == 401
    assert stranger.decide(1, ("accept", {"code": "I10"})).status_code == 401


def test_a_user_signs_in_and_out(store_with_users: Store, stranger: PageVisitor) -> None:
    stranger.open("/login?next=/notes/1/1")
    answer = stranger.sign_in("ana", PASSWORD, next="/notes/1/1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/notes/1/1")
    assert stranger.get("/api/me").json() | {"csrf": ""} == {
        **{"name": "ana", "role": "reviewer", "language": "en", "users": True, "csrf": ""}
    }
    assert stranger.get("/login").headers["location"] == "/"
    assert stranger.decide(1, ("accept", {"code": "I10"})).status_code == 200
    assert [one.author for one in read_events(store_with_users, "plain")] == ["ana"]
    session = stranger.client.cookies["icdcode_session"]
    assert stranger.post("/logout").headers["location"] == "/login"
    stranger.client.cookies.set("icdcode_session", session)
    assert stranger.get("/api/me").status_code == 401  # ended at the server, too


@pytest.mark.parametrize("name", ["ana", "nobody"])
def test_a_wrong_password_says_no_more_than_a_wrong_name(stranger: PageVisitor, name: str) -> None:
    answer = stranger.sign_in(name, "wrong password")
    assert answer.status_code == 401
    assert "the name or the password is wrong." in answer.text
    assert "icdcode_session" not in stranger.client.cookies


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://example.org",
        "//example.org",
        "/\\example.org",
        "javascript:alert(1)",
        "/a\nb: c",
        "",
    ],
)
def test_signing_in_leads_to_this_site_only(stranger: PageVisitor, elsewhere: str) -> None:
    assert stranger.sign_in("ana", PASSWORD, next=elsewhere).headers["location"] == "/"


def test_the_cookie_is_for_the_server_alone(store_with_users: Store) -> None:
    for base, secure in (("http://localhost", False), ("https://localhost", True)):
        visitor = PageVisitor(create_review_app(store_with_users), base)
        cookie = visitor.sign_in("ana", PASSWORD).headers["set-cookie"]
        assert cookie.startswith("icdcode_session=") and "HttpOnly" in cookie
        assert "SameSite=lax" in cookie and ("Secure" in cookie) is secure


def test_a_session_that_ends_keeps_the_page_usable(
    store_with_users: Store, stranger: PageVisitor
) -> None:
    stranger.sign_in("ana", PASSWORD)
    set_password(store_with_users, "ana", "another password")  # ends her sessions
    refused = stranger.decide(1, ("accept", {"code": "I10"}))
    assert refused.status_code == 401
    # The dialog signs in with the token that the page has had all along.
    form = {"name": "ana", "password": "another password", "csrf_token": stranger.csrf}
    answer = stranger.client.post("/login", data=form, headers={"Accept": "application/json"})
    assert answer.status_code == 200
    assert answer.json() | {"csrf": ""} == {
        **{"name": "ana", "role": "reviewer", "language": "en", "csrf": ""}
    }
    assert stranger.decide(1, ("accept", {"code": "I10"})).status_code == 403  # the old token
    stranger.csrf = answer.json()["csrf"]
    assert stranger.decide(1, ("accept", {"code": "I10"})).status_code == 200


def test_the_refusal_has_a_token_to_sign_in_with(stranger: PageVisitor) -> None:
    refused = stranger.get("/api/me")
    form = {"name": "ana", "password": PASSWORD}
    headers = {"Accept": "application/json", "X-CSRF-Token": refused.json()["csrf"]}
    assert stranger.client.post("/login", data=form, headers=headers).status_code == 200


def test_a_session_lasts_as_long_as_it_should(store_with_users: Store) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    store_with_users.clock = lambda: now
    visitor = visitor_of(store_with_users, PageSettings(session_length=timedelta(hours=1)))
    visitor.sign_in("ana", PASSWORD)
    now += timedelta(minutes=59)
    assert visitor.get("/api/me").status_code == 200
    now += timedelta(minutes=2)
    assert visitor.get("/api/me").status_code == 401


def test_a_deactivated_user_is_out_at_once(store_with_users: Store, stranger: PageVisitor) -> None:
    stranger.sign_in("ana", PASSWORD)
    deactivate_user(store_with_users, "ana")
    assert stranger.get("/api/me").status_code == 401
    assert stranger.sign_in("ana", PASSWORD).status_code == 401


def test_a_store_whose_users_are_all_deactivated_is_not_open_to_everybody(
    store_with_users: Store,
) -> None:
    for name in ("ana", "ben", "eva", "root"):
        deactivate_user(store_with_users, name)
    assert visitor_of(store_with_users).get("/api/me").status_code == 401


def test_forged_requests_to_sign_in_are_refused(store_with_users: Store) -> None:
    client = TestClient(create_review_app(store_with_users), base_url="http://localhost")
    form = {"name": "ana", "password": PASSWORD, "csrf_token": "0" * 64}
    assert client.post("/login", data=form, follow_redirects=False).status_code == 403


def test_attempts_are_limited_and_the_answer_says_for_how_long(store_with_users: Store) -> None:
    clock = [0.0]
    limiter = LoginLimiter(AttemptLimits(60, pair=2, address=9, name=9), lambda: clock[0])
    visitor = PageVisitor(create_review_app(store_with_users, limiter=limiter))
    for _ in range(2):
        assert visitor.sign_in("ana", "wrong password").status_code == 401
    clock[0] = 20.0
    refused = visitor.sign_in("ana", PASSWORD)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "40")
    assert "too many attempts" in refused.text
    assert visitor.sign_in("ben", PASSWORD).status_code == 303  # others aren't kept out
    clock[0] = 61.0
    visitor.client.cookies.clear()
    assert visitor.sign_in("ana", PASSWORD).status_code == 303


def test_the_limits_count_names_addresses_and_successes() -> None:
    clock = [0.0]
    limiter = LoginLimiter(AttemptLimits(10, pair=2, address=3, name=4), lambda: clock[0])
    assert [limiter.begin(name, "a") for name in "xyz"] == [0, 0, 0]
    assert limiter.begin("w", "a") == 10  # too many from the address
    assert [limiter.begin("x", place) for place in "bcd"] == [0, 0, 0]
    assert limiter.begin("x", "e") == 10  # too many for the name
    limiter.succeeded("x", "d")
    assert limiter.begin("x", "e") == 0
    clock[0] = 10.0
    assert limiter.begin("w", "a") == 0


def test_without_users_there_is_one_local_user(store: Store) -> None:
    visitor = visitor_of(store, PageSettings(local_name="gil"))
    me = visitor.get("/api/me").json()
    assert (me["name"], me["role"], me["users"]) == ("gil", "admin", False)
    assert visitor.get("/login").headers["location"] == "/"
    assert visitor.client.post("/login", data={"name": "x", "password": "y"}).status_code == 303


# A proxy that signs people in

PROXIED = PageSettings(
    trusted_header="X-Remote-User", trusted_proxies=("10.0.0.0/24",), host_names=("review.example",)
)


def of_proxy(store: Store, address: str = "10.0.0.7", **headers: str) -> TestClient:
    app = create_review_app(store, PROXIED)
    return TestClient(
        app,
        base_url="http://review.example",
        client=(address, 1),
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        follow_redirects=False,
    )


@pytest.mark.parametrize(
    ("name", "role"), [("eva", "adjudicator"), ("zoe", "reviewer"), ("root", "admin")]
)
def test_a_trusted_proxy_says_who_it_is(store_with_users: Store, name: str, role: str) -> None:
    me = of_proxy(store_with_users, x_remote_user=name).get("/api/me").json()
    assert (me["name"], me["role"], me["users"]) == (name, role, False)


def test_the_header_of_anybody_else_is_refused(store_with_users: Store) -> None:
    answer = of_proxy(store_with_users, "10.0.1.7", x_remote_user="root").get("/api/me")
    assert answer.status_code == 403 and "through its proxy only" in answer.json()["message"]
    # The address of a browser that the proxy names isn't the proxy's.
    forwarded = of_proxy(
        store_with_users, "10.0.1.7", x_remote_user="root", x_forwarded_for="10.0.0.7"
    )
    assert forwarded.get("/").status_code == 403


def test_without_a_name_from_the_proxy_nobody_is_signed_in(store_with_users: Store) -> None:
    assert of_proxy(store_with_users).get("/api/me").status_code == 401
    assert of_proxy(store_with_users).get("/").status_code == 401
    client = of_proxy(store_with_users)
    twice = [("X-Remote-User", "ana"), ("X-Remote-User", "root")]
    assert client.get("/api/me", headers=twice).status_code == 401


def test_a_closed_account_is_refused_behind_a_proxy_too(store_with_users: Store) -> None:
    deactivate_user(store_with_users, "ana")
    answer = of_proxy(store_with_users, x_remote_user="ana").get("/api/me")
    assert answer.status_code == 403 and "closed" in answer.json()["message"]


def test_cookies_are_secure_if_the_proxy_speaks_https(store_with_users: Store) -> None:
    client = of_proxy(store_with_users, x_remote_user="ana", x_forwarded_proto="https")
    assert "Secure" in client.get("/").headers["set-cookie"]
    other = of_proxy(store_with_users, x_remote_user="ana")
    assert "Secure" not in other.get("/").headers["set-cookie"]


def test_a_header_needs_a_proxy_and_a_proxy_an_address() -> None:
    with pytest.raises(ConfigError, match="--trusted-proxy"):
        PageSettings(trusted_header="X-Remote-User")
    with pytest.raises(ConfigError, match="'proxy' is no address"):
        PageSettings(trusted_proxies=("proxy",))
