"""Words of a note that stand together: what evidence is made of. Apart from finding it, which takes torch."""

from collections.abc import Callable, Sequence
from typing import NamedTuple


class EvidenceSpan(NamedTuple):
    """Words of a note that stand together.

    Attributes:
        begin: The first character in the note's text.
        end: The character after the last.
        weight: Their share of what counts for a code in the note.
    """

    begin: int
    end: int
    weight: float


EvidenceSpans = tuple[EvidenceSpan, ...]
"""A code's, in the note's order."""

Find = Callable[[str, Sequence[int]], list[EvidenceSpans]]
"""How evidence is found: a note and labels, to the words that speak for each, in the same order."""
