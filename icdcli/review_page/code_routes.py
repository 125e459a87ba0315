"""Search for codes, and what an edition says of one. A code is in no URL: it says who has what."""

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import Field

from icdcli.review_page.codebook import SHORTEST_QUERY, Codebook
from icdcli.review_page.task_routes import PageBody, ShortText
from icdcli.review_page.viewers import PageRefusalError, ViewerOf, refuse_forged

_MOST_CODES = 100


class SearchBody(PageBody):
    """What to search for."""

    query: ShortText
    limit: int = Field(20, ge=1, le=_MOST_CODES)


class AboutBody(PageBody):
    """Which code to describe."""

    code: ShortText


def code_routes(codebook: Codebook) -> APIRouter:
    """Return the routes of codes."""
    router = APIRouter(prefix="/api/codes", dependencies=[Depends(refuse_forged)])

    @router.post("/search")
    def search(body: SearchBody, viewer: ViewerOf) -> JSONResponse:
        if len(body.query.strip()) < SHORTEST_QUERY:
            raise PageRefusalError(422, f"type {SHORTEST_QUERY} characters or more.")
        return JSONResponse({"codes": codebook.search(body.query, body.limit)})

    @router.post("/about")
    def about(body: AboutBody, viewer: ViewerOf) -> JSONResponse:
        found = codebook.about(body.code)
        if found is None:
            raise PageRefusalError(404, "no edition of the model's codes has this code.")
        return JSONResponse(found)

    return router
