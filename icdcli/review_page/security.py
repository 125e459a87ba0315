"""What holds for every request and every response: names, sizes, headers, and errors without text.

This is plain ASGI, so that it also holds for pages that aren't found and for errors.
"""

import json
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from icdcli.review_page.settings import LOCAL_NAMES, PageSettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""The browser loads and runs nothing but the page's own files."""

_HEADERS: Mapping[bytes, bytes] = {
    b"content-security-policy": CONTENT_POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    # With "no-referrer", browsers send forms without their origin, which a guard must refuse.
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
"""What each response has unless it says something else itself."""

LARGEST_BODY = 1_000_000
"""Bytes of a request of the page; a decision has a few hundred."""

VIA_PROXY = "icdcode.via_proxy"
"""The key of the scope that says whether a trusted proxy sent the request."""

_TOO_LARGE = f"a request has more than {LARGEST_BODY:,} bytes."
_DEFECT = "this is a defect of icdcode. Load the page again to see what is stored."

_logger = logging.getLogger(__name__)


class PageGuard:
    """Check requests before the application sees them, and complete its responses."""

    def __init__(self, app: AsgiApp, settings: PageSettings, any_name: bool) -> None:
        """Put the guard before an application.

        Args:
            app: The application.
            settings: The settings.
            any_name: Whether every ``Host`` is accepted: users sign in, and no names are given.
        """
        self._app, self._settings = app, settings
        self._names = None if any_name else {*LOCAL_NAMES, *map(str.lower, settings.host_names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self._believe_proxy(scope, headers)
        exchange = _Exchange(receive, send, LARGEST_BODY if is_of_page(scope["path"]) else None)
        problem = self._problem(scope, headers)
        if problem is None:
            try:
                await self._app(scope, exchange.receive, exchange.send)
            except Exception as error:
                if not exchange.too_large:
                    # Without the error's message and the values, which may be those of a note.
                    _logger.error("%s", _place_of(error))
                    problem = 500, _DEFECT
        if exchange.too_large:
            problem = 413, _TOO_LARGE
        if problem is not None and not exchange.answered:
            await exchange.refuse(*problem)

    def _believe_proxy(self, scope: Scope, headers: Mapping[bytes, str]) -> None:
        """Take the browser's address and scheme from the headers of a trusted proxy."""
        client = scope.get("client")
        scope[VIA_PROXY] = client is not None and self._settings.trusts(client[0])
        if not scope[VIA_PROXY]:
            return
        if headers.get(b"x-forwarded-proto", "").strip().lower() in ("http", "https"):
            scope["scheme"] = headers[b"x-forwarded-proto"].strip().lower()
        for address in reversed(headers.get(b"x-forwarded-for", "").split(",")):
            if address.strip() and not self._settings.trusts(address.strip()):
                scope["client"] = (address.strip(), 0)
                break

    def _problem(self, scope: Scope, headers: Mapping[bytes, str]) -> tuple[int, str] | None:
        """Return the status and the message if a request is refused."""
        host = headers.get(b"host", "")
        if self._names is not None and _without_port(host) not in self._names:
            return 421, (
                "the page isn't served by this name. Open it as localhost, or start it with "
                "--host-name NAME."
            )
        if scope["method"] in ("GET", "HEAD", "OPTIONS") or not is_of_page(scope["path"]):
            return None
        origin = headers.get(b"origin")
        if origin is not None and not self._is_own(origin, host):
            return 403, "the request comes from another site."
        if headers.get(b"sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "the request comes from another site."
        length = headers.get(b"content-length", "0")
        if length.isdecimal() and int(length) > LARGEST_BODY:
            return 413, _TOO_LARGE
        return None

    def _is_own(self, origin: str, host: str) -> bool:
        netloc = urlsplit(origin).netloc.lower()
        return netloc == host.lower() or _without_port(netloc) in self._settings.host_names


class _Exchange:
    """A request that is read up to a size, and its answer, which gets the headers of all."""

    def __init__(self, receive: Receive, send: Send, most: int | None) -> None:
        self._receive, self._send, self._most = receive, send, most
        self._read = 0
        self.answered = False

    @property
    def too_large(self) -> bool:
        return self._most is not None and self._read > self._most

    async def receive(self) -> Message:
        message = await self._receive()
        self._read += len(message.get("body", b""))
        return {"type": "http.disconnect"} if self.too_large else message

    async def send(self, message: Message) -> None:
        if self.too_large and not self.answered:
            return  # what the application says of a request that ends early
        if message["type"] == "http.response.start":
            self.answered = True
            own = {name.lower() for name, _ in message.get("headers", ())}
            added = [pair for pair in _HEADERS.items() if pair[0] not in own]
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await self._send(message)

    async def refuse(self, status: int, message: str) -> None:
        body = json.dumps({"message": message}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        self._read = 0
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def is_of_page(path: str) -> bool:
    """Return whether a path is the review page's, not the coding service's."""
    return path.startswith("/api/") or path in ("/login", "/logout")


def _without_port(host: str) -> str:
    """Return the name of a ``Host``, in small letters."""
    host = host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].rstrip(".")


def _place_of(error: Exception) -> str:
    """Return the class of an error and where it was raised."""
    lines = [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    return "\n  ".join([type(error).__name__, *lines])
