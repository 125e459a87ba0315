"""The queue of the page: list tasks, take the next one, change priorities and assignees."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy import select

from icdcli.review.queue import (
    QueueOrder,
    ReviewTask,
    TaskFilter,
    TaskStatus,
    change_queue,
    count_tasks,
    list_tasks,
    take_task,
)
from icdcli.review.schema import NoteRow
from icdcli.review.store import Store
from icdcli.review.users import list_users
from icdcli.review_page.background import BackgroundWork
from icdcli.review_page.viewers import (
    AdjudicatorOf,
    PageRefusalError,
    ViewerOf,
    Viewers,
    refuse_forged,
)

_MOST_TASKS = 500
_HIGHEST_PRIORITY = 1000
_LONGEST = 256

ShortText = Annotated[str, Field(max_length=_LONGEST)]
NoteNumber = Annotated[int, Field(ge=1, lt=2**31)]


class PageBody(BaseModel):
    """The base of the bodies of requests: nothing unknown in them."""

    model_config = ConfigDict(extra="forbid")


class FilterBody(PageBody):
    """Which tasks; see `TaskFilter`."""

    status: TaskStatus | None = None
    assignee: ShortText | None = None
    language: ShortText | None = None
    code: ShortText | None = None
    reading: int | None = Field(None, ge=1, le=3)

    @field_validator("*", mode="before")
    @classmethod
    def _all_if_empty(cls, value: Any) -> Any:
        return None if value == "" else value  # as an empty field of a form

    def which(self) -> TaskFilter:
        """Return the filter of the queue."""
        return TaskFilter(**self.model_dump())


class NextBody(PageBody):
    """Which task to take."""

    filter: FilterBody = FilterBody()
    order: QueueOrder = "uncertainty"


class TasksBody(NextBody):
    """Which tasks to list."""

    limit: int = Field(100, ge=1, le=_MOST_TASKS)
    offset: int = Field(0, ge=0, lt=2**31)


class ChangeBody(PageBody):
    """How tasks change."""

    notes: list[NoteNumber] = Field(min_length=1, max_length=_MOST_TASKS)
    reading: int = Field(1, ge=1, le=3)
    priority: int = Field(0, ge=-_HIGHEST_PRIORITY, le=_HIGHEST_PRIORITY)
    assignee: ShortText | None = None


def task_routes(store: Store, viewers: Viewers, work: BackgroundWork) -> APIRouter:
    """Return the routes of the queue."""
    router = APIRouter(prefix="/api", dependencies=[Depends(refuse_forged)])

    @router.post("/tasks")
    def tasks(body: TasksBody, viewer: ViewerOf) -> JSONResponse:
        which = body.filter.which()
        found = list_tasks(store, which, order=body.order, limit=body.limit, offset=body.offset)
        # The progress, and whether a next note is left, don't depend on the status that is listed.
        counts = count_tasks(store, replace(which, status=None))
        answer: dict[str, Any] = {
            "tasks": [_shown(task) for task in found],
            "counts": counts,
            "total": counts[which.status] if which.status else sum(counts.values()),
            "suggesting": work.progress.to_json(),
            "languages": _languages(store),
        }
        if viewer.may("adjudicator"):
            answer["reviewers"] = [user.name for user in list_users(store)]
        return JSONResponse(answer)

    @router.post("/tasks/next")
    def next_task(body: NextBody, viewer: ViewerOf) -> JSONResponse:
        taken = take_task(
            store,
            viewer.name,
            body.filter.which(),
            order=body.order,
            adjudicates=viewer.may("adjudicator"),
        )
        return JSONResponse({"task": None if taken is None else _shown(taken)})

    @router.post("/tasks/change")
    def change(body: ChangeBody, viewer: AdjudicatorOf) -> JSONResponse:
        assignee = body.assignee or None
        if assignee is not None and viewers.signs_in:
            names = [user.name for user in list_users(store)]
            if assignee not in names:
                raise PageRefusalError(
                    422, f"there is no user {assignee!r}. Choose one of {', '.join(names)}."
                )
        change_queue(
            store,
            _ids(store, body.notes),
            author=viewer.name,
            priority=body.priority,
            assignee=assignee,
            reading=body.reading,
        )
        return JSONResponse({})

    @router.get("/users")
    def users(viewer: AdjudicatorOf) -> JSONResponse:
        found = list_users(store) or [viewer.user]
        return JSONResponse({"users": [{"name": one.name, "role": one.role} for one in found]})

    return router


def _shown(task: ReviewTask) -> dict[str, Any]:
    return dict(vars(task))


def _ids(store: Store, numbers: list[int]) -> list[str]:
    """Return the ids of notes.

    Raises:
        PageRefusalError: If there is no such note.
    """
    with store.reading() as connection:
        query = select(NoteRow.number, NoteRow.id).where(NoteRow.number.in_(numbers))
        ids: dict[int, str] = dict(connection.execute(query).all())
    for number in numbers:
        if number not in ids:
            raise PageRefusalError(404, f"there is no note {number}.")
    return [ids[number] for number in dict.fromkeys(numbers)]


def _languages(store: Store) -> list[str]:
    """Return the languages of the notes."""
    with store.reading() as connection:
        return sorted(filter(None, connection.scalars(select(NoteRow.language).distinct())))
