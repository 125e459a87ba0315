"""The web application of the service: codes for notes, health, metrics, and its own description."""

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request, Response, Security
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from icdcli import __version__
from icdcli.predict.writers import note_line
from icdcli.service.coding_service import CodingService, GetEngine, ServiceSettings
from icdcli.service.messages import (
    Check,
    CodeRequest,
    CodeRequestOptions,
    CodeResponse,
    ErrorMessage,
    Evidence,
    MinScore,
    Resolve,
    StateMessage,
    Top,
)
from icdcli.service.refusals import RefusedError
from icdcli.service.routing import OpenRoute, ServiceRoute, service_of

JSON_LINES = ("application/jsonl", "application/x-ndjson")
"""The media types, in the header Accept, of an answer with a line per note."""

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorMessage, "description": words}
    for status, words in (
        (400, "The body can't be read"),
        (401, "A valid token is needed"),
        (413, "The request or a note is too large"),
        (422, "The request isn't as described here"),
        (429, "Too many requests wait; Retry-After says when to try again"),
        (500, "A defect of the service"),
        (503, "The service is starting or ending"),
    )
}
_SIGNED_IN = [Security(HTTPBearer(auto_error=False, description="A token of --token-file."))]
_FHIR: dict[str, Any] = {
    "requestBody": {
        "content": {
            "application/fhir+json": {
                "schema": {
                    "type": "object",
                    "required": ["resourceType"],
                    "properties": {"resourceType": {"type": "string"}},
                    "description": "A FHIR resource with a note. Options are in the query.",
                }
            }
        }
    }
}
_LINES: dict[str, Any] = {
    "content": {
        "application/jsonl": {
            "schema": {"type": "string", "description": "A line per note, if Accept asks for it."}
        }
    }
}


def create_service(
    get_engine: GetEngine,
    settings: ServiceSettings | None = None,
    routers: Iterable[APIRouter] = (),
) -> FastAPI:
    """Return the application of a service without pages.

    Args:
        get_engine: Returns the engine; None while the model is being loaded.
        settings: What the service allows; None: the usual.
        routers: Further routes, of `ServiceRoute`.
    """
    app = FastAPI(title="icdcode", docs_url=None, redoc_url=None, openapi_url=None)
    add_service_routes(app, get_engine, settings, routers)

    @app.exception_handler(HTTPException)
    def unknown(request: Request, error: HTTPException) -> Response:
        message = {404: "there is no such address.", 405: "this address has another method."}
        detail = message.get(error.status_code, "the request can't be answered.")
        return JSONResponse({"message": detail}, error.status_code, error.headers)

    return app


def add_service_routes(
    app: FastAPI,
    get_engine: GetEngine,
    settings: ServiceSettings | None = None,
    routers: Iterable[APIRouter] = (),
) -> CodingService:
    """Add the routes of a service to an application, whose other routes it leaves alone.

    Args:
        app: The application.
        get_engine: Returns the engine; None while the model is being loaded.
        settings: What the service allows; None: the usual.
        routers: Further routes, of `ServiceRoute`.

    Returns:
        The service; `icdcli.service.serving.serve` ends it together with the server.
    """
    service = CodingService(get_engine, settings or ServiceSettings())
    app.state.coding_service = service
    described = APIRouter()
    described.include_router(_coding_routes())
    for router in routers:
        described.include_router(router, dependencies=_SIGNED_IN, responses=_ERRORS)
    described.include_router(_state_routes())
    app.include_router(described)

    def describe() -> Response:
        only = FastAPI()
        only.include_router(described)
        return JSONResponse(get_openapi(title="icdcode", version=__version__, routes=only.routes))

    about = APIRouter(route_class=OpenRoute)
    about.add_api_route("/openapi.json", describe, include_in_schema=False)
    app.include_router(about)
    return service


def _coding_routes() -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["codes"], route_class=ServiceRoute)

    @router.post(
        "/code",
        summary="Predict the codes of notes",
        dependencies=_SIGNED_IN,
        responses={**_ERRORS, 200: {"model": CodeResponse, **_LINES}},
        openapi_extra=_FHIR,
    )
    async def code(
        request: Request,
        body: CodeRequest,
        top: Annotated[Top, Query()] = None,
        min_score: Annotated[MinScore, Query()] = None,
        evidence: Annotated[Evidence, Query()] = None,
        check: Annotated[Check, Query()] = None,
        resolve: Annotated[Resolve, Query()] = None,
    ) -> Response:
        """Return what `icdcode predict --json` prints of each note.

        Options are in the body or, for a bare FHIR resource, in the query.
        """
        service = service_of(request)
        asked = _merged(
            body,
            CodeRequestOptions(
                top=top, min_score=min_score, evidence=evidence, check=check, resolve=resolve
            ),
        )
        notes, engine = body.all_notes(), service.engine
        coded = await service.code(notes, asked.options())
        about = {"name": engine.name, "sha256": engine.sha256}
        lines = [note_line(note, given) for note, given in zip(coded, notes, strict=True)]
        return _answer(lines, about, request.headers.get("accept", ""))

    return router


def _merged(body: CodeRequestOptions, query: CodeRequestOptions) -> CodeRequestOptions:
    given = query.model_dump(exclude_none=True)
    for name in given:
        if getattr(body, name) is not None:
            raise RefusedError(422, f"{name}: is in the body and in the query. Leave out one.")
    return body.model_copy(update=given)


def _answer(lines: Sequence[str], about: dict[str, str], accept: str) -> Response:
    accepted = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    for media_type in JSON_LINES:
        if media_type in accepted:
            return Response(
                "".join(lines), media_type=media_type, headers={"Icdcode-Model": about["sha256"]}
            )
    notes = ", ".join(line.removesuffix("\n") for line in lines)
    model = json.dumps(about, ensure_ascii=False)
    return Response(f'{{"model": {model}, "notes": [{notes}]}}\n', media_type="application/json")


def _state_routes() -> APIRouter:
    router = APIRouter(tags=["state"])

    def health() -> StateMessage:
        """Answer as long as the process works."""
        return StateMessage(status="ok")

    def ready(request: Request) -> Response:
        """Answer 200 when notes can be coded, and 503 while the service is starting or ending."""
        status = service_of(request).status
        return JSONResponse({"status": status}, 200 if status == "ready" else 503)

    def metrics(request: Request) -> Response:
        """Return the metrics in the format of Prometheus."""
        return Response(service_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)

    router.add_api_route("/healthz", health, route_class_override=OpenRoute)
    router.add_api_route(
        "/readyz",
        ready,
        route_class_override=OpenRoute,
        responses={200: {"model": StateMessage}, 503: {"model": StateMessage}},
    )
    router.add_api_route(
        "/metrics",
        metrics,
        route_class_override=ServiceRoute,
        dependencies=_SIGNED_IN,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            401: _ERRORS[401],
        },
        response_class=Response,
    )
    return router
