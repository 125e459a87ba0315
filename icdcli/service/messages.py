"""What clients send to the service and receive from it, as JSON."""

import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from icdcli.data.formats.fhir import document_note
from icdcli.data.notes.text import Note, checked
from icdcli.errors import DataError
from icdcli.predict.batches import Selection
from icdcli.predict.checking import Checking
from icdcli.service.engine import CodingOptions

Top = Annotated[
    int | None, Field(ge=1, description="The N highest-scoring codes, even below the threshold.")
]
MinScore = Annotated[
    float | None,
    Field(ge=0, le=1, description="Every code with at least this score, whatever the threshold."),
]
Evidence = Annotated[bool | None, Field(description="Also find the words behind each code.")]
Check = Annotated[bool | None, Field(description="Also check the predicted codes of each note.")]
Resolve = Annotated[
    bool | None, Field(description="Check, and remove codes by hard rules (icdcode predict).")
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class CodeRequestOptions(_Strict):
    """The options of a request, those of ``icdcode predict``."""

    top: Top = None
    min_score: MinScore = None
    evidence: Evidence = None
    check: Check = None
    resolve: Resolve = None

    def options(self) -> CodingOptions:
        """Return them as the engine reads them."""
        checking = Checking(bool(self.resolve)) if self.check or self.resolve else None
        return CodingOptions(Selection(self.top, self.min_score), bool(self.evidence), checking)


class NoteMessage(_Strict):
    """A note."""

    text: str = Field(description="The text, of which positions count characters (code points).")
    id: str | int | None = Field(None, description="The id in the answer. Default: its number.")
    date: datetime.date | None = Field(None, description="The day of the discharge, for checks.")

    def note(self, number: int, where: str) -> Note:
        """Return the note.

        Args:
            number: Its number in the request, which is its id if it has none.
            where: Its place in the request, for messages.

        Raises:
            DataError: If its text isn't plain text, or it or its id isn't valid Unicode.
        """
        id = str(number if self.id is None else self.id)
        try:
            id.encode()
        except UnicodeEncodeError:
            raise DataError(f"{where}id: isn't valid Unicode (half a character).") from None
        if "\0" in self.text:
            raise DataError(f"{where}text: has zero bytes, so it isn't plain text.")
        return Note(id, checked(self.text, f"{where}text"), self.date)


class CodeRequest(CodeRequestOptions):
    """A request for codes: of one note, of several, or of a FHIR resource."""

    text: str | None = Field(None, description="The text of the only note.")
    id: str | int | None = Field(None, description="The id of the only note.")
    date: datetime.date | None = Field(
        None, description="The day of the discharge of the only note."
    )
    notes: list[NoteMessage] | None = Field(None, description="Several notes.")
    resource: dict[str, Any] | None = Field(
        None,
        description="A FHIR resource with a note (R4, R5): DocumentReference, DiagnosticReport, "
        "Composition. It may also be the complete request, with the options in the query.",
    )

    @model_validator(mode="before")
    @classmethod
    def _bare_resource(cls, value: Any) -> Any:
        return {"resource": value} if isinstance(value, dict) and "resourceType" in value else value

    def all_notes(self) -> list[Note]:
        """Return the notes.

        Raises:
            DataError: If there is none, or one can't be read.
        """
        given = [name for name in ("text", "notes", "resource") if getattr(self, name) is not None]
        if len(given) != 1:
            raise DataError(
                "the request needs one of text, notes and resource"
                + (f", and has {' and '.join(given)}." if given else ".")
            )
        if self.text is None and (self.id, self.date) != (None, None):
            raise DataError(f"id and date belong to text. Put them into {given[0]}.")
        if self.resource is not None:
            return [document_note(self.resource, "resource")]
        if self.notes is not None:
            return [
                note.note(place + 1, f"notes[{place}].") for place, note in enumerate(self.notes)
            ]
        only = NoteMessage(text=self.text or "", id=self.id, date=self.date)
        return [only.note(1, "")]


class ErrorMessage(BaseModel):
    """Why a request was refused."""

    message: str


class StateMessage(BaseModel):
    """The state of the service."""

    status: str


class ModelMessage(_Strict):
    """The model that has coded the notes."""

    name: str
    sha256: str


class SpanMessage(_Strict):
    """Words that are evidence for a code."""

    begin: int
    end: int
    weight: float
    assertion: str | None


class CodeMessage(_Strict):
    """A code of a note."""

    code: str
    title: str | None
    score: float
    threshold: float
    predicted: bool
    evidence: list[SpanMessage] | None = None
    dropped: str | None = None


class FindingMessage(BaseModel):
    """What a check found in the codes of a note."""

    kind: str
    severity: str
    codes: list[str]
    words: str
    advice: str


class OriginMessage(_Strict):
    """The FHIR resource that a note is from."""

    media_type: str
    sha256: str
    resource: str | None = None
    patient: str | None = None
    encounter: str | None = None
    version: str | None = None


class CodedNoteMessage(_Strict):
    """A note with its codes: a line of ``icdcode predict --json``."""

    id: str
    origin: OriginMessage | None = None
    windows: int
    read: float
    editions: list[str]
    codes: list[CodeMessage]
    checked_by: list[str] | None = None
    findings: list[FindingMessage] | None = None


class CodeResponse(_Strict):
    """The codes of the notes of a request, in their order."""

    model: ModelMessage
    notes: list[CodedNoteMessage]
