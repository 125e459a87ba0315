"""A text with some stretches replaced, and the places in the original of what it has.

Shapes: N stretches of the edited text, S segments of it: those that were replaced, and those
between them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Edit(NamedTuple):
    """A replacement: of the characters ``begin`` to ``end``, half-open."""

    begin: int
    end: int
    instead: str


@dataclass(frozen=True)
class EditedText:
    """A text after some edits.

    Attributes:
        text: The edited text.
        begins_S: The place of each segment in it; the first is 0.
        originals_S2: The begin and end of each segment in the original.
        replaced_S: The segments that were replaced. Whatever is in one has the place of all of it.
    """

    text: str
    begins_S: NDArray[np.int64]
    originals_S2: NDArray[np.int64]
    replaced_S: NDArray[np.bool_]

    @classmethod
    def of(cls, text: str, edits: Iterable[Edit]) -> "EditedText":
        """Edit a text.

        Args:
            text: The original.
            edits: The replacements, from left to right; they don't overlap.
        """
        pieces: list[str] = []
        segments: list[tuple[int, int, int, bool]] = []
        length = end = 0
        for edit in edits:
            for begin, after, piece, replaced in (
                (end, edit.begin, text[end : edit.begin], False),
                (edit.begin, edit.end, edit.instead, True),
            ):
                if piece:
                    pieces.append(piece)
                    segments.append((length, begin, after, replaced))
                    length += len(piece)
            end = edit.end
        if end < len(text) or not segments:
            pieces.append(text[end:])
            segments.append((length, end, len(text), False))
        begins, firsts, ends, replaced_segments = zip(*segments, strict=True)
        return cls(
            "".join(pieces),
            np.array(begins, np.int64),
            np.array([firsts, ends], np.int64).T,
            np.array(replaced_segments, np.bool_),
        )

    def original(self, places_N2: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the begin and end in the original of stretches of the edited text, (N, 2).

        Args:
            places_N2: The begin and end of each stretch. An empty one gets an empty place.
        """
        begins_N, ends_N = places_N2.reshape(-1, 2).T
        first_N = self._segments(begins_N)
        last_N = self._segments(np.maximum(ends_N - 1, begins_N))
        moved_N2 = np.stack(
            [
                begins_N - self.begins_S[first_N] + self.originals_S2[first_N, 0],
                ends_N - self.begins_S[last_N] + self.originals_S2[last_N, 0],
            ],
            axis=1,
        )
        original_N2 = np.stack([self.originals_S2[first_N, 0], self.originals_S2[last_N, 1]], 1)
        replaced_N2 = np.stack([self.replaced_S[first_N], self.replaced_S[last_N]], axis=1)
        found_N2: NDArray[np.int64] = np.where(replaced_N2, original_N2, moved_N2)
        found_N2[:, 1] = np.where(ends_N > begins_N, found_N2[:, 1], found_N2[:, 0])
        return found_N2

    def _segments(self, places_N: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self.begins_S, places_N, side="right") - 1
