"""Who sends a request: a user who has signed in, one whom a proxy names, or the local user.

A token against forged requests (CSRF) follows from a random cookie of the browser and from the
session, so that it holds after a restart of the server, and ends with the session.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Request
from fastapi.responses import Response

from icdcli.review.store import Store
from icdcli.review.users import Role, User, find_user, has_users, user_of
from icdcli.review_page.rendering import keep_cookie
from icdcli.review_page.security import VIA_PROXY
from icdcli.review_page.settings import PageSettings

SESSION_COOKIE = "icdcode_session"
BROWSER_COOKIE = "icdcode_browser"
CSRF_HEADER = "X-CSRF-Token"
_BROWSER_DAYS = 30


class PageRefusalError(Exception):
    """A request that isn't answered.

    Attributes:
        status: The status of the response.
        message: What is wrong, and what to do.
        reason: A word for the page's scripts; None: the status says it.
    """

    def __init__(self, status: int, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.reason = status, message, reason


@dataclass(frozen=True)
class Viewer:
    """The person who sends a request.

    Attributes:
        user: The name and the role.
        session: What the person's tokens against forged requests depend on.
    """

    user: User
    session: str

    @property
    def name(self) -> str:
        """Return the name, which decisions have as their author."""
        return self.user.name

    def may(self, role: Role) -> bool:
        """Return whether the person may do what a role may."""
        return self.user.may(role)


class Viewers(Protocol):
    """A way to know who sends a request."""

    signs_in: bool
    """Whether people sign in on this page."""

    def viewer(self, request: Request) -> Viewer | None:
        """Return who sends a request; None: nobody is signed in."""


class SignedInViewers:
    """The users of the store, who sign in with a password."""

    signs_in = True

    def __init__(self, store: Store) -> None:
        self._store = store

    def viewer(self, request: Request) -> Viewer | None:
        """Return the user of the session of a request."""
        token = request.cookies.get(SESSION_COOKIE)
        user = user_of(self._store, token) if token else None
        return Viewer(user, token) if user and token else None


class ProxiedViewers:
    """The users that a trusted proxy names in a header; the store may give them a role."""

    signs_in = False

    def __init__(self, store: Store, header: str) -> None:
        self._store, self._header = store, header

    def viewer(self, request: Request) -> Viewer | None:
        """Return the user of the header.

        Raises:
            PageRefusalError: If the request isn't the proxy's, or the user may no longer sign in.
        """
        if not request.scope.get(VIA_PROXY):
            raise PageRefusalError(
                403, "this page is reached through its proxy only, which knows who you are."
            )
        given = request.headers.getlist(self._header)
        name = given[0].strip() if len(given) == 1 else ""
        if not name or not name.isprintable():
            return None
        known = find_user(self._store, name)
        if known is not None and not known.active:
            raise PageRefusalError(403, "this account was closed. Ask an administrator.")
        return Viewer(known.user if known else User(name, "reviewer"), f"user {name}")


class LocalViewer:
    """The only user of a store without users, at the computer itself."""

    signs_in = False

    def __init__(self, name: str) -> None:
        self._viewer = Viewer(User(name, "admin"), f"user {name}")

    def viewer(self, request: Request) -> Viewer | None:
        """Return the local user."""
        return self._viewer


def viewers_of(store: Store, settings: PageSettings) -> Viewers:
    """Return how people are known: by a proxy, by signing in, or as the local user."""
    if settings.trusted_header:
        return ProxiedViewers(store, settings.trusted_header)
    return SignedInViewers(store) if has_users(store) else LocalViewer(settings.local_user)


def viewer_of(request: Request) -> Viewer:
    """Return who sends a request; as a dependency of routes that need somebody.

    Raises:
        PageRefusalError: If nobody is signed in.
    """
    viewers: Viewers = request.app.state.viewers
    found = viewers.viewer(request)
    if found is None:
        raise PageRefusalError(401, "your session has ended. Sign in again.")
    return found


ViewerOf = Annotated[Viewer, Depends(viewer_of)]


def adjudicator_of(viewer: ViewerOf) -> Viewer:
    """Return an adjudicator or administrator; as a dependency.

    Raises:
        PageRefusalError: If the person is neither.
    """
    if not viewer.may("adjudicator"):
        raise PageRefusalError(403, "this is for adjudicators and administrators.")
    return viewer


AdjudicatorOf = Annotated[Viewer, Depends(adjudicator_of)]


def browser_of(request: Request) -> str:
    """Return the random value of a browser's cookie; a new one if it has none."""
    known = request.cookies.get(BROWSER_COOKIE, "")
    if known:
        return known
    if not hasattr(request.state, "browser"):
        request.state.browser = secrets.token_urlsafe(32)
    return str(request.state.browser)


def csrf_token(request: Request, session: str) -> str:
    """Return the token that requests of a session must have; empty: nobody is signed in."""
    return hashlib.sha256(f"icdcode csrf\n{browser_of(request)}\n{session}".encode()).hexdigest()


def keep_browser(request: Request, response: Response) -> None:
    """Give a browser its cookie if it has none."""
    if hasattr(request.state, "browser"):
        keep_cookie(response, request, BROWSER_COOKIE, request.state.browser, days=_BROWSER_DAYS)


def is_forged(request: Request, session: str, token: str) -> bool:
    """Return whether a request lacks the token of its browser and session."""
    known = bool(request.cookies.get(BROWSER_COOKIE))
    expected = csrf_token(request, session)
    return not (known and hmac.compare_digest(expected.encode(), token.encode()))


def refuse_forged(request: Request, viewer: ViewerOf) -> None:
    """Refuse a request of a script without its token; as a dependency.

    Raises:
        PageRefusalError: If the token is missing or another one.
    """
    if request.method in ("GET", "HEAD"):
        return
    if is_forged(request, viewer.session, request.headers.get(CSRF_HEADER, "")):
        raise PageRefusalError(
            403, "the request lacks the token of this page. Load the page again.", "csrf"
        )
