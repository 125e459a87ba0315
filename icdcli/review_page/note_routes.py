"""A note of the page: its text, its suggestions, and the decisions on it."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy import select

from icdcli.errors import ConfigError, DataError
from icdcli.review.checking import findings_of, hard_keys
from icdcli.review.decisions import DecisionDraft, DecisionEvent
from icdcli.review.notes import ReviewNote, numbered_note
from icdcli.review.queue import assignee_of
from icdcli.review.readings import (
    ADJUDICATION,
    StaleDecisionError,
    append_decisions,
    read_events,
    submitted_outcomes,
)
from icdcli.review.schema import EventRow
from icdcli.review.state import ReviewState, fold
from icdcli.review.store import Store, StoreUnavailableError
from icdcli.review.suggestions import SuggestionSet, suggestions_of
from icdcli.review_page.background import BackgroundWork
from icdcli.review_page.codebook import Codebook
from icdcli.review_page.note_sections import note_sections
from icdcli.review_page.task_routes import NoteNumber, PageBody
from icdcli.review_page.viewers import PageRefusalError, Viewer, ViewerOf, refuse_forged

_MOST_DRAFTS = 500
Number = Annotated[NoteNumber, Path()]
Reading = Annotated[int, Path(ge=1, le=ADJUDICATION)]


class DraftBody(PageBody):
    """A decision; see `DecisionDraft`."""

    kind: str
    details: dict[str, Any] = Field(default_factory=dict)
    seconds: float = 0.0
    request: str | None = Field(None, min_length=1, max_length=64)

    def draft(self) -> DecisionDraft:
        """Return the decision, which isn't checked yet."""
        return DecisionDraft(self.kind, self.details, self.seconds, self.request)  # type: ignore[arg-type]


class DecisionsBody(PageBody):
    """Decisions on what a reviewer has seen."""

    seen: int = Field(ge=0)
    suggestion_set: int | None = Field(None, ge=1, lt=2**31)
    decisions: list[DraftBody] = Field(max_length=_MOST_DRAFTS)


def note_routes(store: Store, codebook: Codebook, work: BackgroundWork) -> APIRouter:
    """Return the routes of notes."""
    router = APIRouter(prefix="/api/notes", dependencies=[Depends(refuse_forged)])

    def after(note: ReviewNote, state: ReviewState, shown: SuggestionSet | None) -> dict[str, Any]:
        """Return what follows from a state."""
        findings = findings_of(state, shown, note.day)
        codes = {*state.decisions, *(code for one in findings for code in one.codes)}
        return {
            "state": state_json(state),
            "findings": [one.to_json() for one in findings],
            "titles": codebook.titles(sorted(codes)),
        }

    @router.get("/{number}/{reading}")
    def show(number: Number, reading: Reading, viewer: ViewerOf) -> JSONResponse:
        note = readable_note(store, number, reading, viewer)
        events = read_events(store, note.id, reading)
        shown = suggestions_of(store, note.id)
        found = after(note, fold(events), shown)
        suggestions = _suggestions_json(shown, codebook)
        found["titles"] |= {one["code"]: one["title"] for one in suggestions if one["title"]}
        others = None
        if reading == ADJUDICATION:
            others = [_other(store, note, place) for place in (1, 2)]
            codes = sorted({code for one in others for code in one["state"]["decisions"]})
            found["titles"] = {**codebook.titles(codes), **found["titles"]}
        return JSONResponse(
            {
                "note": {
                    "number": number,
                    "id": note.id,
                    "text": note.text,
                    "day": note.day.isoformat() if note.day else None,
                    "language": note.language,
                    "sections": [one.to_json() for one in note_sections(note.text or "")],
                },
                "suggestion_set": shown.number if shown else None,
                "suggesting": shown is None and note.text is not None and work.suggests,
                "model": {"name": shown.model_name, "sha256": shown.model} if shown else None,
                "suggestions": suggestions,
                **found,
                "readings": others,
            }
        )

    @router.post("/{number}/{reading}/decisions")
    def decide(
        number: Number, reading: Reading, body: DecisionsBody, viewer: ViewerOf
    ) -> JSONResponse:
        note = readable_note(store, number, reading, viewer)
        shown = suggestions_of(store, note.id, number=body.suggestion_set)
        try:
            appended = append_decisions(
                store,
                note.id,
                [_checked(one).draft() for one in body.decisions],
                author=viewer.name,
                seen=body.seen,
                reading=reading,
                suggestion_set=body.suggestion_set,
                hard_findings=lambda state: hard_keys(findings_of(state, shown, note.day)),
            )
        except StaleDecisionError as error:
            newer = [event_json(one) for one in error.newer]
            answer = {"message": str(error), "newer": newer, **after(note, error.state, shown)}
            return JSONResponse(answer, 409)
        except StoreUnavailableError:
            raise
        except (ConfigError, DataError) as error:
            raise PageRefusalError(422, str(error)) from None
        return JSONResponse(after(note, appended.state, shown))

    return router


def readable_note(store: Store, number: int, reading: int, viewer: Viewer) -> ReviewNote:
    """Return a note if a person may read it in a reading.

    Of two blind readings, each is for one reviewer, who must not see the other one, and a third
    settles them.

    Raises:
        PageRefusalError: If there is no such reading, or it isn't the person's.
    """
    note = numbered_note(store, number)
    if note is None or reading > (note.readings if note.readings == 1 else ADJUDICATION):
        raise PageRefusalError(404, "there is no such note or reading.")
    if reading == ADJUDICATION and not viewer.may("adjudicator"):
        raise PageRefusalError(403, "differences are settled by adjudicators.")
    if note.readings == 1:
        return note
    with store.reading() as connection:
        query = select(EventRow.reading, EventRow.author).where(EventRow.note == number).distinct()
        authors: dict[int, set[str]] = {}
        for place, author in connection.execute(query):
            authors.setdefault(place, set()).add(author)
        submitted = submitted_outcomes(connection, number)
        assignee = assignee_of(connection, number, reading)
    own = {place for place, names in authors.items() if viewer.name in names}
    if own - {reading}:
        raise PageRefusalError(
            403, "this note is read independently, and you have decided on it before."
        )
    if reading == ADJUDICATION:
        if len(submitted.keys() & {1, 2}) < 2:
            raise PageRefusalError(403, "the two readings of this note aren't submitted yet.")
    elif reading in authors and reading not in own:
        raise PageRefusalError(403, "another reviewer reads this note independently.")
    elif reading not in authors and assignee not in (None, viewer.name):
        raise PageRefusalError(403, "this reading is assigned to another reviewer.")
    return note


def state_json(state: ReviewState) -> dict[str, Any]:
    """Return a state as plain values."""
    return {
        "number": state.number,
        "codes": list(state.codes),
        "decisions": {code: one.to_json() for code, one in state.decisions.items()},
        "order": list(state.order),
        "comments": [
            {"code": code, "texts": list(texts)} for code, texts in state.comments.items()
        ],
        "overrides": dict(state.overrides),
        "submitted": state.submitted,
        "last": state.last,
    }


def event_json(event: DecisionEvent) -> dict[str, Any]:
    """Return an event as plain values, for a reviewer who hasn't seen it."""
    return {
        "number": event.number,
        "author": event.author,
        "at": event.at.isoformat(),
        "kind": event.kind,
        "details": dict(event.details),
    }


def _checked(body: DraftBody) -> DraftBody:
    """Return a draft whose texts can be stored.

    Raises:
        PageRefusalError: If a text has half of a character.
    """
    try:
        json.dumps([body.details, body.request], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise PageRefusalError(
            422, "a text has half of a character (a lone surrogate). Type it again."
        ) from None
    return body


def _other(store: Store, note: ReviewNote, reading: int) -> dict[str, Any]:
    """Return one of two blind readings, for the adjudicator."""
    events: Sequence[DecisionEvent] = read_events(store, note.id, reading)
    reviewer = events[0].author if events else None
    return {"reading": reading, "reviewer": reviewer, "state": state_json(fold(events))}


def _suggestions_json(shown: SuggestionSet | None, codebook: Codebook) -> list[dict[str, Any]]:
    return [
        {
            "code": one.code,
            "title": one.title or codebook.title(one.code),
            "score": one.score,
            "confidence": one.confidence,
            "threshold": one.threshold,
            "predicted": one.is_predicted,
            "edition": one.edition,
            "evidence": [span.to_json() for span in one.evidence],
        }
        for one in (shown.suggestions if shown else ())
    ]
