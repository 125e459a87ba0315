"""Routes of the service: who may use them, how much they read, and how they answer errors.

Nothing here writes a text, a code or an id of a note into a log, a metric or an error message.
"""

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from icdcli.errors import ConfigError, DataError
from icdcli.service.clients import Client
from icdcli.service.coding_service import CodingService
from icdcli.service.engine import EngineClosedError, QueueFullError
from icdcli.service.refusals import RETRY_SECONDS, RefusedError

CLIENT_GONE = 499
"""The status that metrics count if a client doesn't wait for the answer."""

_LOG = logging.getLogger(__name__)

Handle = Callable[[Request], Awaitable[Response]]


def service_of(request: Request) -> CodingService:
    """Return the service that a request is for."""
    service: CodingService = request.app.state.coding_service
    return service


def client_name(request: Request) -> str:
    """Return the name of the client of a request to a `ServiceRoute`; a dependency of FastAPI."""
    client: Client = request.state.client
    return client.name


class LimitedRequest(Request):
    """A request of which no more than a number of bytes is read."""

    def __init__(self, request: Request, most: int) -> None:
        super().__init__(request.scope, request.receive)
        self._most = most
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > most:
            raise self._too_large()

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield the body.

        Raises:
            RefusedError: If it is too large; the rest isn't read then.
        """
        size = 0
        async for chunk in super().stream():
            size += len(chunk)
            if size > self._most:
                raise self._too_large()
            yield chunk

    def _too_large(self) -> RefusedError:
        return RefusedError(
            413,
            f"the request has more than {self._most:,} bytes. Send fewer notes at a time, or a "
            "file to /v1/jobs.",
            {"Connection": "close"},
        )


class OpenRoute(APIRoute):
    """A route that needs no token."""

    needs_client = False
    reads_body = True

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Return what answers a request."""
        handle, route = super().get_route_handler(), self.path_format

        async def answer(request: Request) -> Response:
            service, begun = service_of(request), perf_counter()
            client = Client()
            try:
                if self.needs_client:
                    client = service.client_of(request)
                    request.state.client = client
                response = await self._answer(request, handle, service.settings.body_bytes)
            except Exception as error:
                response = _answer_to(error)
            metrics = service.metrics
            metrics.requests.labels(client.name, route, response.status_code).inc()
            metrics.seconds.labels(route).observe(perf_counter() - begun)
            return response

        return answer

    async def _answer(self, request: Request, handle: Handle, most: int) -> Response:
        if not self.reads_body:
            return await handle(request)
        limited = LimitedRequest(request, most)
        await limited.body()
        return await _unless_gone(limited, handle)


class ServiceRoute(OpenRoute):
    """A route for clients. An answer that nobody waits for any more isn't worked on."""

    needs_client = True


class StreamedRoute(ServiceRoute):
    """A route for clients that reads the body itself, a part at a time, with a limit of its own."""

    reads_body = False


async def _unless_gone(request: Request, handle: Handle) -> Response:
    """Answer a request whose body was read; stop when its client is gone."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    answer = asyncio.ensure_future(handle(request))
    leaving = asyncio.ensure_future(gone())
    try:
        await asyncio.wait({answer, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        for task in (answer, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


def _answer_to(error: Exception) -> Response:
    if isinstance(error, RefusedError):
        return _refused(error.status, error.message, error.headers)
    if isinstance(error, HTTPException):
        status, detail = error.status_code, error.detail
        message = "the body can't be read." if status == 400 else str(detail)
        return _refused(status, message, dict(error.headers or {}))
    if isinstance(error, RequestValidationError):
        return _refused(422, _problems(error))
    if isinstance(error, DataError | ConfigError):
        return _refused(422, str(error))
    if isinstance(error, QueueFullError):
        return _refused(429, f"{error}.", {"Retry-After": str(error.seconds)})
    if isinstance(error, EngineClosedError):
        return _refused(503, f"{error}.", {"Retry-After": str(RETRY_SECONDS)})
    if isinstance(error, ClientDisconnect):
        return Response(status_code=CLIENT_GONE)
    _LOG.error("a request failed: %s", place_of(error))
    return _refused(500, "the service failed, which is a defect. Its log says where.")


def _refused(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"message": message}, status, headers)


def place_of(error: BaseException) -> str:
    """Return the type of an error and where it was raised; its message may have a note's text."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


_MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "there is no such field",
    "json_invalid": "isn't valid JSON",
    "string_unicode": "isn't valid Unicode (half a character)",
}
_SAFE = (
    "bool_parsing", "bool_type", "date_from_datetime_inexact", "date_type", "dict_type",
    "finite_number", "float_parsing", "float_type", "greater_than_equal", "int_from_float",
    "int_parsing", "int_parsing_size", "int_type", "less_than_equal", "list_type", "string_type",
)  # fmt: skip
"""The kinds of errors whose messages say only what is expected."""


def _problems(error: RequestValidationError) -> str:
    """Return what is wrong with a request, without anything that was sent."""
    problems = dict.fromkeys(_problem(one) for one in error.errors())
    first, *others = problems
    more = f" There are {len(others):,} more problems." if others else ""
    return f"{first}.{more}"


def _problem(one: dict[str, Any]) -> str:
    kind, places = one["type"], list(one["loc"])
    if kind == "json_invalid":
        return f"the body isn't valid JSON (character {places[-1]})"
    if kind == "extra_forbidden":
        places = [*places[:-1], "(another)"]  # the name is the client's
    known = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in places[1:]]
    place = "".join(known).removeprefix(".") or f"the {places[0]}"
    if kind in _MESSAGES:
        return f"{place}: {_MESSAGES[kind]}"
    if kind in _SAFE:
        message = str(one["msg"])
        return f"{place}: {message[0].lower()}{message[1:]}"
    return f"{place}: has a value that isn't allowed"
