"""The page to sign in on, and signing out."""

import asyncio
import math
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, RedirectResponse, Response

from icdcli.review.store import Store
from icdcli.review.users import find_user, sign_in, sign_out
from icdcli.review_page.login_limits import LoginLimiter
from icdcli.review_page.rendering import PageRenderer, keep_cookie, language_of
from icdcli.review_page.settings import PageSettings
from icdcli.review_page.viewers import (
    CSRF_HEADER,
    SESSION_COOKIE,
    Viewers,
    csrf_token,
    is_forged,
    keep_browser,
)

_AT_ONCE = 2  # passwords checked at the same time: each needs 64 MB and some time
_LONGEST = 1024
_KEPT_DAYS = 30
"""How long a browser keeps the cookie of a session, which may have ended long before: with it, the
page's token is still known when its user signs in again."""
FormText = Annotated[str, Form(max_length=_LONGEST)]
_FORGED = "the page was open for too long, or cookies are off. Try again."
_WRONG = "the name or the password is wrong."


def sign_in_routes(
    store: Store,
    settings: PageSettings,
    viewers: Viewers,
    renderer: PageRenderer,
    limiter: LoginLimiter,
) -> APIRouter:
    """Return the routes to sign in and out."""
    pages = _SignIn(store, settings, viewers, renderer, limiter)
    router = APIRouter()
    router.add_api_route("/login", pages.show, methods=["GET"])
    router.add_api_route("/login", pages.begin, methods=["POST"])
    router.add_api_route("/logout", pages.end, methods=["POST"])
    return router


class _SignIn:
    """The answers of the routes to sign in and out."""

    def __init__(
        self,
        store: Store,
        settings: PageSettings,
        viewers: Viewers,
        renderer: PageRenderer,
        limiter: LoginLimiter,
    ) -> None:
        self._store, self._viewers, self._renderer = store, viewers, renderer
        self._limiter, self._length = limiter, settings.session_length
        self._checks = asyncio.Semaphore(_AT_ONCE)

    def show(self, request: Request, next: str = "/") -> Response:
        """Show the form; who is signed in already goes on to the page."""
        if not self._viewers.signs_in or self._viewers.viewer(request) is not None:
            return RedirectResponse(local_path(next), 303)
        return self._page(request, next)

    async def begin(
        self,
        request: Request,
        name: FormText,
        password: FormText,
        next: FormText = "/",
        csrf_token: FormText = "",
    ) -> Response:
        """Begin a session, if the password is right and there weren't too many attempts."""
        if not self._viewers.signs_in:
            return RedirectResponse("/", 303)
        if _is_forged_login(request, csrf_token or request.headers.get(CSRF_HEADER, "")):
            return self._refused(request, 403, _FORGED, name, next)
        address = request.client.host if request.client else ""
        if (wait := self._limiter.begin(name, address)) > 0:
            message = f"too many attempts to sign in. Wait {math.ceil(wait / 60)} min."
            response = self._refused(request, 429, message, name, next)
            response.headers["Retry-After"] = str(math.ceil(wait))
            return response
        async with self._checks:
            token = await run_in_threadpool(sign_in, self._store, name, password, self._length)
        if token is None:
            return self._refused(request, 401, _WRONG, name, next)
        self._limiter.succeeded(name, address)
        response = await run_in_threadpool(self._begun, request, name, token, next)
        keep_cookie(response, request, SESSION_COOKIE, token, days=_KEPT_DAYS)
        return response

    def end(self, request: Request, csrf_token: FormText = "") -> Response:
        """End the session."""
        viewer = self._viewers.viewer(request)
        given = csrf_token or request.headers.get(CSRF_HEADER, "")
        if viewer is not None and is_forged(request, viewer.session, given):
            return JSONResponse({"message": _FORGED, "reason": "csrf"}, 403)
        if self._viewers.signs_in and viewer is not None:
            sign_out(self._store, viewer.session)
        response: Response = RedirectResponse("/login", 303)
        if _wants_json(request):
            response = JSONResponse({})
        response.delete_cookie(SESSION_COOKIE)
        return response

    def _begun(self, request: Request, name: str, token: str, next: str) -> Response:
        if not _wants_json(request):
            return RedirectResponse(local_path(next), 303)
        known = find_user(self._store, name)
        assert known is not None  # has just signed in
        return JSONResponse(
            {
                "name": name,
                "role": known.user.role,
                "language": language_of(request),
                "csrf": csrf_token(request, token),
            }
        )

    def _refused(
        self, request: Request, status: int, message: str, name: str, next: str
    ) -> Response:
        if not _wants_json(request):
            return self._page(request, next, name, message, status)
        body = {"message": message, "csrf": csrf_token(request, "")}
        response = JSONResponse(body, status)
        keep_browser(request, response)
        return response

    def _page(
        self,
        request: Request,
        next: str,
        name: str = "",
        problem: str | None = None,
        status: int = 200,
    ) -> Response:
        values = {"user": None, "users": True, "csrf": csrf_token(request, "")}
        own = {"problem": problem, "name": name, "next": local_path(next)}
        response = self._renderer.page(request, "login.html", status, **values, **own)
        keep_browser(request, response)
        return response


def local_path(path: str) -> str:
    """Return a path of this site; the first page for everything else."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_local else "/"


def _is_forged_login(request: Request, token: str) -> bool:
    """Return whether nobody's token is missing, and that of the session that has ended, too."""
    ended = request.cookies.get(SESSION_COOKIE, "")
    return is_forged(request, "", token) and is_forged(request, ended, token)


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")
