"""The types of evidence: spans of a note, and the function that finds them. Imports no torch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from icdcli.data.encounters.boundaries import NoteBoundary, NotePlace
from icdcli.icd.history import History, history_of
from icdcli.lexical.assertion.classes import Assertion

if TYPE_CHECKING:
    from icdcli.model.coding_model import ScoredWindows


class EvidenceSpan(NamedTuple):
    """Neighboring words of a note that are evidence for a code.

    If several notes of an encounter are joined, the words are within one of them.

    Attributes:
        begin: The position of the first character in the text: of the note, or of the notes joined.
        end: The position after the last character.
        weight: The words' share of the total weight of the note's words for the code.
        assertion: What the note says of the words: ``affirmed``, ``historical``, ``negated``,
            ``hypothetical``, ``other``, ``family`` or ``resolved`` (see
            `icdcli.lexical.assertion`); None: the language of the notes has no cues.
        place: Where the words are in their note, if several notes are joined; else None.
    """

    begin: int
    end: int
    weight: float
    assertion: str | None = None
    place: NotePlace | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, with ``note_id``, ``note_begin``, ``note_end`` of its place."""
        values = self._asdict()
        del values["place"]
        if self.place is not None:
            id, begin, end = self.place
            values |= {"note_id": id, "note_begin": begin, "note_end": end}
        return values


EvidenceSpans = tuple[EvidenceSpan, ...]
"""The spans of one code, in the order of the note."""


_COUNTED = (None, Assertion.AFFIRMED.label, Assertion.HISTORICAL.label)
_OF_HISTORY: dict[History | None, tuple[str, ...]] = {
    "family": (Assertion.FAMILY.label,),
    "personal": (Assertion.RESOLVED.label,),
}


def without_affirmed(code: str, spans: EvidenceSpans) -> bool:
    """Return whether there is evidence, and none of it says what a diagnosis code says.

    Codes of a history say that a relative has a disease, or that the patient once had it.
    """
    history = history_of(code, "diagnosis", "icd9" if code.startswith("V") else "icd10")
    counted = (*_COUNTED, *_OF_HISTORY.get(history, ()))
    return bool(spans) and not any(span.assertion in counted for span in spans)


class FindEvidence(Protocol):
    """A function that finds evidence in notes."""

    def __call__(
        self,
        text: str,
        labels: Sequence[int],
        windows: "ScoredWindows | None" = None,
        notes: Sequence[NoteBoundary] = (),
    ) -> list[EvidenceSpans]:
        """Return the spans of a note that are evidence for each of some labels, in their order.

        Args:
            text: The note.
            labels: The labels.
            windows: The note's windows as prediction scored them; None: they are scored again.
            notes: The notes that were joined to the text, if it is several. A span is within one of
                them, and its assertion is what this note says.
        """
