"""The assertion classes, and the class of every character of a text.

Shapes: S stretches of a text, N places in it.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Assertion(IntEnum):
    """What a note says of a mention. If several classes apply, that of the highest `rank` counts.

    A relative's possible disease is the relative's, a denied history is denied, and what the
    patient should return for isn't there, even if it is worded as a denial.
    """

    AFFIRMED = 0
    """The patient has it, or the text doesn't say otherwise."""
    HISTORICAL = 1
    """The patient had it before: "history of", "status post", past medical history."""
    NEGATED = 2
    """The patient doesn't have it: "denies", "no evidence of", "fever: no"."""
    HYPOTHETICAL = 3
    """Possible, to be ruled out, ruled out, a condition ("if"), or the reason for a study."""
    OTHER = 4
    """No finding: reactions to a drug, instructions, unchecked boxes."""
    FAMILY = 5
    """A relative has it."""
    RESOLVED = 6
    """The patient had it long ago and no longer has it: "pneumonia in 2010, resolved"."""

    @property
    def rank(self) -> int:
        """Return its place among the classes: of several, the highest counts."""
        return RANKS[self]

    @property
    def label(self) -> str:
        """Return the name as tables of cues and results write it, such as ``negated``."""
        return self.name.lower()


BY_RANK = bytes(
    [
        Assertion.AFFIRMED,
        Assertion.HISTORICAL,
        Assertion.RESOLVED,
        Assertion.NEGATED,
        Assertion.HYPOTHETICAL,
        Assertion.OTHER,
        Assertion.FAMILY,
    ]
)
"""The classes by rank, the lowest first. Numbers are stored, so that a new class has the last."""
RANKS = bytes(BY_RANK.index(assertion) for assertion in Assertion)


@dataclass(frozen=True)
class Assertions:
    """The assertion class of every character of a text, as stretches of equal class.

    Attributes:
        starts_S: int64, the first character of each stretch, ascending; the first is 0.
        classes_S: uint8, the `Assertion` of each stretch; neighbors differ.
    """

    starts_S: NDArray[np.int64]
    classes_S: NDArray[np.uint8]

    def at(self, places_N: ArrayLike) -> NDArray[np.uint8]:
        """Return the classes of characters, uint8 of shape (N,), from their places in the text."""
        found = np.searchsorted(self.starts_S, np.asarray(places_N, np.int64), side="right") - 1
        classes_N: NDArray[np.uint8] = self.classes_S[np.maximum(found, 0)]
        return classes_N

    def of_span(self, begin: int, end: int) -> Assertion:
        """Return the class of most characters of a span; of two as frequent, the higher by rank.

        Args:
            begin: The first character.
            end: The character after the last.

        Raises:
            ValueError: The span is empty or begins before the text.
        """
        if not 0 <= begin < end:
            raise ValueError(f"a span from {begin} to {end}; it needs a character at least")
        first, last = np.searchsorted(self.starts_S, [begin, end - 1], side="right") - 1
        edges = np.concatenate([[begin], self.starts_S[first + 1 : last + 1], [end]])
        counts = np.bincount(
            self.classes_S[first : last + 1], weights=np.diff(edges), minlength=len(Assertion)
        )
        return max(Assertion, key=lambda assertion: (counts[assertion], assertion.rank))
