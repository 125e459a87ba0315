"""Give notes their codes: block by block, so that any number of them fits the memory, each block read longest first.

Shapes: N notes, L labels.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from icdcli.data.notes.text import Note
from icdcli.explain.spans import EvidenceSpans, FindEvidence

if TYPE_CHECKING:
    from icdcli.model.coding_model import CodingModel, NoteScores, ScoredWindows

BLOCK_NOTES, BLOCK_CHARACTERS = 256, 1_000_000
"""Where a block of notes ends: what a call that was killed has to do again at most."""
_AT_ONCE = 250_000  # characters given to the network together: a few batches, and then there is news for who watches


@dataclass(frozen=True)
class Choice:
    """Which of a note's codes are told.

    Attributes:
        top: At most so many.
        min_score: Those with at least this score, instead of those at or above the threshold. With neither, or with ``top``
            alone, see `of`.
    """

    top: int | None = None
    min_score: float | None = None

    @property
    def by_threshold(self) -> bool:
        """Whether just the predicted codes are told."""
        return self.top is None and self.min_score is None

    def of(self, scores_L: NDArray[np.float32], threshold_L: NDArray[np.float32]) -> list[int]:
        """The labels that are told, highest score first, of equal ones the first label.

        Those at or above the threshold where nothing else is asked for; with ``top`` the highest, predicted or not.
        """
        from icdcli.model.coding_model import select_codes

        return select_codes(scores_L, threshold_L, self.top, self.min_score)


class NoteCode(NamedTuple):
    """A code that is told of a note.

    Attributes:
        code: The dotted code.
        title: Its official title, where it has one.
        score: Its probability.
        threshold: The score from which it counts as predicted.
        predicted: Whether it does.
        evidence: The words that it was chosen by, where that is asked for.
    """

    code: str
    title: str | None
    score: float
    threshold: float
    predicted: bool
    evidence: EvidenceSpans | None = None


class CodedNote(NamedTuple):
    """A note with its codes.

    Attributes:
        id: The note's id.
        windows: In how many windows it was read: 0 for a note without text, 1 where it fits the model's; else each code has
            the highest of its scores.
        codes: Highest score first.
    """

    id: str
    windows: int
    codes: tuple[NoteCode, ...]


@dataclass(frozen=True)
class BatchPredictor:
    """A coder as coding notes needs it.

    Attributes:
        read: Gives the scores.
        codes: The code of each label.
        titles: The title of each label, where it has one.
        threshold_L: The threshold of each label.
        choice: Which codes are told.
        find: Finds the words that a note's codes were chosen by; None: nobody asks for them.
    """

    read: "Callable[[Sequence[str]], NoteScores]"
    codes: Sequence[str]
    titles: Sequence[str | None]
    threshold_L: NDArray[np.float32]
    choice: Choice
    find: FindEvidence | None = None

    def code(
        self, notes: Sequence[Note], on_progress: Callable[[int], None] | None = None
    ) -> list[CodedNote]:
        """Code some notes.

        Args:
            notes: A block of them.
            on_progress: Told how many are done.

        Returns:
            The notes with their codes, in the same order.
        """
        coded: dict[int, CodedNote] = {
            place: CodedNote(note.id, 0, ())
            for place, note in enumerate(notes)
            if not note.has_text
        }
        for places in self._together(notes):
            found = self.read([notes[place].text for place in places])
            for place, scores_L, count, windows in zip(
                places, found.scores_NL, found.window_counts, found.windows, strict=True
            ):
                # without codes if cleaning leaves no text
                codes = self._codes(scores_L, notes[place].text, windows) if count else ()
                coded[place] = CodedNote(notes[place].id, count, codes)
                if on_progress is not None and self.find is not None:
                    on_progress(len(coded))
            if on_progress is not None and self.find is None:
                on_progress(len(coded))
        return [coded[place] for place in range(len(notes))]

    def _together(self, notes: Sequence[Note]) -> Iterator[list[int]]:
        """Places of notes of like length, the longest first."""
        order = sorted(
            (place for place, note in enumerate(notes) if note.has_text),
            key=lambda place: -len(notes[place].text),
        )
        places: list[int] = []
        characters = 0
        for place in order:
            if places and characters + len(notes[place].text) > _AT_ONCE:
                yield places
                places, characters = [], 0
            places.append(place)
            characters += len(notes[place].text)
        if places:
            yield places

    def _codes(
        self, scores_L: NDArray[np.float32], text: str, windows: "ScoredWindows | None"
    ) -> tuple[NoteCode, ...]:
        labels = self.choice.of(scores_L, self.threshold_L)
        found = [None] * len(labels) if self.find is None else self.find(text, labels, windows)
        return tuple(
            NoteCode(
                self.codes[label],
                self.titles[label],
                round(float(scores_L[label]), 6),
                round(float(self.threshold_L[label]), 6),
                bool(scores_L[label] >= self.threshold_L[label]),
                spans,
            )
            for label, spans in zip(labels, found, strict=True)
        )


def blocks(notes: Iterable[Note], most: int = BLOCK_NOTES) -> Iterator[list[Note]]:
    """Notes in blocks; where one ends depends on the notes alone.

    Args:
        notes: In order.
        most: Notes of a block; it ends earlier where they are long.
    """
    block: list[Note] = []
    characters = 0
    for note in notes:
        if block and (len(block) == most or characters + len(note.text) > BLOCK_CHARACTERS):
            yield block
            block, characters = [], 0
        block.append(note)
        characters += len(note.text)
    if block:
        yield block


def batch_predictor(
    model: "CodingModel", choice: Choice, find: FindEvidence | None = None
) -> BatchPredictor:
    """A trained coder, for coding notes by the block."""
    labels = model.labels
    return BatchPredictor(
        model.score_notes,
        labels.codes,
        labels.titles,
        model.threshold.values_L(len(labels)),
        choice,
        find,
    )
