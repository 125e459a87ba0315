"""A text with some stretches replaced, and the places in the original of what it has.

Shapes: N stretches of the edited text, S segments of it: those that were replaced, and those
between them.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Edit(NamedTuple):
    """A replacement: of the characters ``begin`` to ``end``, half-open."""

    begin: int
    end: int
    instead: str


class _Segments(NamedTuple):
    """The segments of an edited text.

    Attributes:
        begins_S: The place of each in it; the first is 0.
        originals_S2: The begin and end of each in the original.
        replaced_S: Those that were replaced. Whatever is in one has the place of all of it.
    """

    begins_S: NDArray[np.int64]
    originals_S2: NDArray[np.int64]
    replaced_S: NDArray[np.bool_]


class EditedText:
    """A text after some edits.

    Attributes:
        text: The edited text.
    """

    def __init__(self, text: str, edits: Sequence[Edit]) -> None:
        """Edit a text; see `of`."""
        pieces: list[str] = []
        end = 0
        for begin, after, instead in edits:
            pieces += text[end:begin], instead
            end = after
        self.text = "".join([*pieces, text[end:]])
        self._length, self._edits = len(text), edits

    @classmethod
    def of(cls, text: str, edits: Iterable[Edit]) -> "EditedText":
        """Edit a text.

        Args:
            text: The original.
            edits: The replacements, from left to right; they don't overlap.
        """
        return cls(text, list(edits))

    @cached_property
    def _all(self) -> _Segments:
        """Return the segments; most texts are read without asking for places in the original."""
        segments: list[tuple[int, int, int, bool]] = []
        length = end = 0
        for edit in self._edits:
            for begin, after, size, replaced in (
                (end, edit.begin, edit.begin - end, False),
                (edit.begin, edit.end, len(edit.instead), True),
            ):
                if size:
                    segments.append((length, begin, after, replaced))
                    length += size
            end = edit.end
        if end < self._length or not segments:
            segments.append((length, end, self._length, False))
        begins, firsts, ends, replaced_segments = zip(*segments, strict=True)
        return _Segments(
            np.array(begins, np.int64),
            np.array([firsts, ends], np.int64).T,
            np.array(replaced_segments, np.bool_),
        )

    def original(self, places_N2: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the begin and end in the original of stretches of the edited text, (N, 2).

        Args:
            places_N2: The begin and end of each stretch. An empty one gets an empty place.
        """
        begins_S, originals_S2, replaced_S = self._all
        begins_N, ends_N = places_N2.reshape(-1, 2).T
        first_N = self._segments(begins_N)
        last_N = self._segments(np.maximum(ends_N - 1, begins_N))
        moved_N2 = np.stack(
            [
                begins_N - begins_S[first_N] + originals_S2[first_N, 0],
                ends_N - begins_S[last_N] + originals_S2[last_N, 0],
            ],
            axis=1,
        )
        original_N2 = np.stack([originals_S2[first_N, 0], originals_S2[last_N, 1]], 1)
        replaced_N2 = np.stack([replaced_S[first_N], replaced_S[last_N]], axis=1)
        found_N2: NDArray[np.int64] = np.where(replaced_N2, original_N2, moved_N2)
        found_N2[:, 1] = np.where(ends_N > begins_N, found_N2[:, 1], found_N2[:, 0])
        return found_N2

    def _segments(self, places_N: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._all.begins_S, places_N, side="right") - 1
