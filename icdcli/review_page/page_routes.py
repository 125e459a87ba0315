"""The pages that a browser shows, their static files, and who is signed in."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from icdcli.review.statistics import review_statistics
from icdcli.review.store import Store
from icdcli.review_page.codebook import Codebook
from icdcli.review_page.note_routes import Number, Reading
from icdcli.review_page.rendering import PageRenderer, language_of
from icdcli.review_page.viewers import (
    PageRefusalError,
    Viewer,
    ViewerOf,
    Viewers,
    adjudicator_of,
    csrf_token,
    keep_browser,
    viewer_of,
)


class SignInNeededError(Exception):
    """A page that only somebody who has signed in may see."""


def page_routes(
    store: Store, codebook: Codebook, viewers: Viewers, renderer: PageRenderer
) -> APIRouter:
    """Return the routes of pages."""
    router = APIRouter()

    def viewer_of_page(request: Request) -> Viewer:
        try:
            return viewer_of(request)
        except PageRefusalError as error:
            if error.status == 401 and viewers.signs_in:
                raise SignInNeededError from None
            raise

    PageViewer = Annotated[Viewer, Depends(viewer_of_page)]

    def page(request: Request, viewer: Viewer, name: str, **values: Any) -> Response:
        response = renderer.page(
            *(request, name),
            user={"name": viewer.name, "role": viewer.user.role},
            users=viewers.signs_in,
            csrf=csrf_token(request, viewer.session),
            **values,
        )
        keep_browser(request, response)
        return response

    @router.get("/")
    def queue(request: Request, viewer: PageViewer) -> Response:
        return page(request, viewer, "queue.html")

    @router.get("/notes/{number}/{reading}")
    def note(request: Request, viewer: PageViewer, number: Number, reading: Reading) -> Response:
        return page(request, viewer, "note.html", number=number, reading=reading)

    @router.get("/statistics")
    def statistics(request: Request, viewer: PageViewer) -> Response:
        adjudicator_of(viewer)
        found = review_statistics(store)
        titles = codebook.titles(one.code for one in found.codes)
        return page(
            *(request, viewer, "statistics.html"), statistics=found.to_json(), titles=titles
        )

    @router.get("/api/me")
    def me(request: Request, viewer: ViewerOf) -> Response:
        response = JSONResponse(
            {
                "name": viewer.name,
                "role": viewer.user.role,
                "language": language_of(request),
                "users": viewers.signs_in,
                "csrf": csrf_token(request, viewer.session),
            }
        )
        keep_browser(request, response)
        return response

    @router.get("/static/{hash}/{name:path}")
    def file(hash: str, name: str) -> Response:
        found = renderer.file(hash, name)
        return found or Response("This file is of another version. Load the page again.", 404)

    @router.get("/favicon.ico")
    def icon() -> Response:
        return RedirectResponse(f"/static/{renderer.hash}/icon.svg", 302)

    return router
