"""A simulated reviewer: decides on a note as its gold codes say, through the real store."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from operator import add, sub

from icdcli.review.decisions import DecisionDraft
from icdcli.review.readings import append_decisions
from icdcli.review.simulation.gold import GoldNote
from icdcli.review.store import Store
from icdcli.review.suggestions import SuggestionSet, suggestions_of

REVIEWER = "simulated reviewer"
_REASON = "not a gold code"


@dataclass(frozen=True)
class SimulatedDecisions:
    """The number of decisions of each kind.

    Attributes:
        accepted: Suggested codes that are gold.
        rejected: Suggested codes above the threshold that aren't.
        added: Gold codes that weren't suggested.
        marked: Gold codes whose words were marked.
    """

    accepted: int = 0
    rejected: int = 0
    added: int = 0
    marked: int = 0

    @property
    def codes(self) -> int:
        """Return the number of codes that were decided."""
        return self.accepted + self.rejected + self.added

    def __add__(self, other: "SimulatedDecisions") -> "SimulatedDecisions":
        return SimulatedDecisions(*map(add, astuple(self), astuple(other)))

    def __sub__(self, other: "SimulatedDecisions") -> "SimulatedDecisions":
        return SimulatedDecisions(*map(sub, astuple(self), astuple(other)))


def play_review(store: Store, note: GoldNote, *, evidence: bool) -> None:
    """Review a note and submit it; all decisions are stored, or none.

    Args:
        store: The store, which has the note.
        note: The note with its gold codes.
        evidence: Whether to mark the words that annotators marked.
    """
    shown = suggestions_of(store, note.id)
    drafts = [*_drafts(note, shown, evidence), DecisionDraft("submit")]
    append_decisions(
        store,
        note.id,
        drafts,
        author=REVIEWER,
        seen=0,
        suggestion_set=shown.number if shown else None,
    )


def _drafts(note: GoldNote, shown: SuggestionSet | None, evidence: bool) -> Iterator[DecisionDraft]:
    suggestions = shown.suggestions if shown else ()
    suggested = {one.code for one in suggestions}
    for code, spans in note.evidence.items():
        yield DecisionDraft("accept" if code in suggested else "add", {"code": code})
        if evidence and spans:
            yield DecisionDraft("mark", {"code": code, "evidence": [list(span) for span in spans]})
    for one in suggestions:
        if one.is_predicted and one.code not in note.evidence:
            yield DecisionDraft("reject", {"code": one.code, "reason": _REASON})
