"""The types of evidence: spans of a note, and the function that finds them. Imports no torch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from icdcli.model.coding_model import ScoredWindows


class EvidenceSpan(NamedTuple):
    """Neighboring words of a note that are evidence for a code.

    Attributes:
        begin: The position of the first character in the note.
        end: The position after the last character.
        weight: The words' share of the total weight of the note's words for the code.
    """

    begin: int
    end: int
    weight: float


EvidenceSpans = tuple[EvidenceSpan, ...]
"""The spans of one code, in the order of the note."""


class FindEvidence(Protocol):
    """A function that finds evidence in notes."""

    def __call__(
        self, text: str, labels: Sequence[int], windows: "ScoredWindows | None" = None
    ) -> list[EvidenceSpans]:
        """Return the spans of a note that are evidence for each of some labels, in their order.

        Args:
            text: The note.
            labels: The labels.
            windows: The note's windows as prediction scored them; None: they are scored again.
        """
