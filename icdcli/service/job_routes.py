"""The routes of jobs: upload a file of notes, ask how far it is, fetch the result."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from datetime import date
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from icdcli.errors import ConfigError
from icdcli.service.job_record import JobOptions, JobRecord, JobState, NotesType, ResultType
from icdcli.service.jobs import Jobs, NoSpaceError, TooManyJobsError, UploadTooLargeError
from icdcli.service.routing import ServiceRoute, StreamedRoute

_RETRY_SECONDS = 60
_PIECE = 1 << 20
_STATUSES: dict[type[Exception], int] = {
    UploadTooLargeError: 413,
    ConfigError: 422,
    TooManyJobsError: 429,
    NoSpaceError: 507,
}
_MEDIA_TYPES = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
_FILES = {
    kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}}
    for kind in _MEDIA_TYPES.values()
}
# What clients send as Content-Type, to the type of the file.
_TYPES: dict[str, NotesType] = {
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/x-jsonlines": "jsonl",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "text/plain": "txt",
    "application/vnd.apache.parquet": "parquet",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The bytes of the file.",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _TYPES},
    }
}


class JobView(BaseModel):
    """What clients see of a job."""

    id: str
    state: JobState
    notes: int | None
    done: int
    type: NotesType
    output: ResultType
    created: str
    warnings: list[str]
    message: str | None

    @classmethod
    def of(cls, job: JobRecord) -> "JobView":
        """Return the view of a job."""
        return cls(
            id=job.id,
            state=job.state,
            notes=job.notes,
            done=job.done,
            type=job.options.type,
            output=job.options.output,
            created=job.created,
            warnings=list(job.warnings),
            message=job.message,
        )


class JobList(BaseModel):
    """The jobs of a client, the oldest first."""

    jobs: list[JobView]


class JobProblem(BaseModel):
    """What is wrong, and what to do."""

    message: str


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": JobProblem} for status in statuses}


def jobs_router(jobs: Jobs, client_of: Callable[..., str]) -> APIRouter:
    """Return the routes of jobs.

    Args:
        jobs: The jobs.
        client_of: A dependency that returns the name of the client of a request.
    """
    router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=ServiceRoute)
    uploads = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StreamedRoute)
    client_name = Depends(client_of)

    @uploads.post(
        "",
        status_code=202,
        response_model=JobView,
        responses=_problems(413, 415, 422, 429, 507),
        openapi_extra=_BODY,
        summary="Upload a file of notes to code",
    )
    async def create(
        request: Request,
        type: Annotated[
            NotesType | None, Query(description="type of the file; default: its Content-Type")
        ] = None,
        output: Annotated[ResultType, Query(description="type of the result")] = "jsonl",
        top: Annotated[int | None, Query(ge=1, description="up to N codes per note")] = None,
        min_score: Annotated[
            float | None, Query(ge=0, le=1, description="every code with this score")
        ] = None,
        evidence: Annotated[bool, Query(description="also the words behind each code")] = False,
        check: Annotated[bool, Query(description="also check the predicted codes")] = False,
        resolve: Annotated[
            bool, Query(description="check, and remove codes by hard rules")
        ] = False,
        day: Annotated[
            date | None, Query(description="day of discharge of all notes, for checks")
        ] = None,
        text_column: Annotated[str | None, Query(description="column of the notes")] = None,
        id_column: Annotated[str | None, Query(description="column of the ids")] = None,
        date_column: Annotated[
            str | None, Query(description="column of the days of discharge")
        ] = None,
        client: str = client_name,
    ) -> Response:
        kind = type or _type_of(request)
        if kind is None:
            return _problem(
                415,
                f"pass type={'|'.join(get_args(NotesType))}, or a Content-Type of one of them "
                f"({', '.join(_TYPES)}).",
            )
        options = JobOptions(
            *(kind, output, top, min_score, evidence, check, resolve, day),
            *(text_column, id_column, date_column),
        )
        try:
            job = await jobs.create(client, options, request.stream())
        except tuple(_STATUSES) as error:
            return _refused(error)
        return _view(job, 202, {"Location": f"/v1/jobs/{job.id}"})

    @router.get("", summary="Your jobs")
    def own_jobs(client: str = client_name) -> JobList:
        return JobList(jobs=[JobView.of(job) for job in jobs.jobs_of(client)])

    @router.get(
        "/{id}", response_model=JobView, responses=_problems(404), summary="How far a job is"
    )
    def progress(id: str, client: str = client_name) -> Response:
        job = jobs.find(client, id)
        return _missing() if job is None else _view(job)

    @router.get(
        "/{id}/result",
        responses={200: {"content": _FILES}, **_problems(404, 409)},
        response_class=StreamingResponse,
        summary="The codes of a job that is done",
    )
    def result(id: str, request: Request, client: str = client_name) -> Response:
        job = jobs.find(client, id)
        return _missing() if job is None else _result(jobs, job, request)

    @router.delete(
        "/{id}", status_code=204, responses=_problems(404), summary="Delete a job and its files"
    )
    def delete(id: str, client: str = client_name) -> Response:
        return Response(status_code=204) if jobs.delete(client, id) else _missing()

    both = APIRouter()
    both.include_router(uploads)
    both.include_router(router)
    return both


def _type_of(request: Request) -> NotesType | None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return _TYPES.get(given)


def _result(jobs: Jobs, job: JobRecord, request: Request) -> Response:
    if job.state == "failed":
        return _problem(409, f"the job has failed: {job.message}")
    if job.state != "done":
        total = "" if job.notes is None else f" of {job.notes:,}"
        return _problem(409, f"the job is {job.state}: {job.done:,}{total} notes are done.")
    try:
        file = jobs.result_file(job).open("rb")
    except FileNotFoundError:
        return _missing()  # just deleted

    async def pieces() -> AsyncIterator[bytes]:
        with file:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield piece
        if not await request.is_disconnected():  # the client has received it
            jobs.mark_fetched(job.id)

    kind = job.options.output
    headers = {
        "Content-Length": str(os.fstat(file.fileno()).st_size),
        "Content-Disposition": f'attachment; filename="codes.{kind}"',
    }
    return StreamingResponse(pieces(), media_type=_MEDIA_TYPES[kind], headers=headers)


def _view(job: JobRecord, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(JobView.of(job).model_dump(mode="json"), status, headers)


def _refused(error: Exception) -> Response:
    return _problem(_STATUSES[type(error)], str(error))


def _missing() -> Response:
    return _problem(404, "there is no such job.")


def _problem(status: int, message: str) -> Response:
    headers = {"Retry-After": str(_RETRY_SECONDS)} if status == 429 else None
    return JSONResponse({"message": message}, status, headers)
