"""The web application of the review page: its routes, who may use them, and how errors are said."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response

from icdcli.errors import DataError
from icdcli.review.store import Store, StoreUnavailableError
from icdcli.review_page.background import BackgroundWork
from icdcli.review_page.code_routes import code_routes
from icdcli.review_page.codebook import Codebook
from icdcli.review_page.login_limits import LoginLimiter
from icdcli.review_page.note_routes import note_routes
from icdcli.review_page.page_routes import SignInNeededError, page_routes
from icdcli.review_page.rendering import PageRenderer
from icdcli.review_page.security import PageGuard, is_of_page
from icdcli.review_page.settings import PageSettings
from icdcli.review_page.sign_in import sign_in_routes
from icdcli.review_page.task_routes import task_routes
from icdcli.review_page.viewers import PageRefusalError, csrf_token, keep_browser, viewers_of

_REASONS = {
    400: "the request can't be read.",
    404: "there is no such page.",
    405: "this can't be done here.",
}


def create_review_app(
    store: Store,
    settings: PageSettings | None = None,
    *,
    codebook: Codebook | None = None,
    work: BackgroundWork | None = None,
    limiter: LoginLimiter | None = None,
) -> FastAPI:
    """Return the application of a review page.

    Whether people sign in is decided here: if the store has users, they do.

    Args:
        store: The store, which must stay open.
        settings: The settings; None: for one person at this computer.
        codebook: The editions of the codes; None: those of the store's newest model.
        work: What the server does beside; None: nothing.
        limiter: Limits attempts to sign in; None: the usual limits.
    """
    settings = settings or PageSettings()
    codebook = codebook or Codebook(store)
    viewers, renderer = viewers_of(store, settings), PageRenderer(settings.reload_files)
    app = FastAPI(title="icdcode", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.viewers, app.state.renderer = viewers, renderer
    for router in (
        page_routes(store, codebook, viewers, renderer),
        sign_in_routes(store, settings, viewers, renderer, limiter or LoginLimiter()),
        task_routes(store, viewers, work or BackgroundWork()),
        note_routes(store, codebook, work or BackgroundWork()),
        code_routes(codebook),
    ):
        app.include_router(router, include_in_schema=False)
    _say_errors(app, renderer)
    known_by_name = viewers.signs_in or settings.trusted_header is not None
    any_name = known_by_name and not settings.host_names
    app.add_middleware(PageGuard, settings=settings, any_name=any_name)
    return app


def _of_status(answer: Callable[..., Response], status: int) -> Callable[..., Response]:
    """Return the handler of what no route answers."""
    return lambda request, _: answer(request, status, _REASONS[status])


def _say_errors(app: FastAPI, renderer: PageRenderer) -> None:
    """Answer errors as JSON to scripts, and as a page to people."""

    def answer(request: Request, status: int, message: str, reason: str | None = None) -> Response:
        if is_of_page(request.url.path) or request.url.path.startswith("/static/"):
            body: dict[str, Any] = {"message": message}
            if reason:
                body["reason"] = reason
            if status == 401:
                body["csrf"] = csrf_token(request, "")
            response: Response = JSONResponse(body, status)
        else:
            values = {"user": None, "users": False, "csrf": "", "message": message}
            response = renderer.page(request, "error.html", status, **values)
        keep_browser(request, response)
        return response

    def handles(error: type[Exception]) -> Callable[[Any], Any]:
        return app.exception_handler(error)

    for status in _REASONS:
        app.add_exception_handler(status, _of_status(answer, status))

    @handles(PageRefusalError)
    def refused(request: Request, error: PageRefusalError) -> Response:
        return answer(request, error.status, error.message, error.reason)

    @handles(SignInNeededError)
    def sign_in_needed(request: Request, error: SignInNeededError) -> Response:
        there = "" if request.url.path == "/" else f"?next={request.url.path}"
        return RedirectResponse(f"/login{there}", 303)

    @handles(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        # Without the values, which may be a patient's.
        places = [".".join(map(str, one["loc"])) for one in error.errors()]
        kinds = [str(one["type"]) for one in error.errors()]
        status = 404 if any(place.startswith("path.") for place in places) else 422
        if status == 404:
            return answer(request, status, _REASONS[404])
        return answer(request, status, f"the request can't be read: {places[0]} ({kinds[0]}).")

    @handles(StoreUnavailableError)
    def unavailable(request: Request, error: StoreUnavailableError) -> Response:
        return answer(request, 503, f"the store can't be used at the moment. {error}")

    @handles(DataError)
    def missing(request: Request, error: DataError) -> Response:
        return answer(request, 422, str(error))
