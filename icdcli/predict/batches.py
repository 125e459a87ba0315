"""Predict the codes of notes block by block, so that any number of notes fits into memory.

Shapes: N notes, L labels.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from icdcli.data.notes.text import Note
from icdcli.explain.spans import EvidenceSpans, FindEvidence
from icdcli.icd.editions.records import edition_id, edition_ids
from icdcli.icd.rules.findings import Finding

if TYPE_CHECKING:
    from icdcli.model.coding_model import CodingModel, ScoredWindows

Action = Literal["accept", "review"]

BLOCK_NOTES, BLOCK_CHARACTERS = 256, 1_000_000
"""The size of a block of notes: the most work that a killed call has to repeat."""
# Characters that the model receives together: a few batches, so that progress is reported often.
_CHARACTERS_AT_ONCE = 250_000


@dataclass(frozen=True)
class Selection:
    """Which of a note's codes are reported; see `icdcli.model.coding_model.select_codes`.

    Attributes:
        top: Up to this many codes per note, whether or not they reach the threshold.
        min_score: The codes with at least this score, whether or not they reach the threshold.
        also_predicted: All codes that reach the threshold, besides those.
        accept_score: The score from which a predicted code is accepted without review; None: codes
            have no action.
    """

    top: int | None = None
    min_score: float | None = None
    also_predicted: bool = False
    accept_score: float | None = None

    @property
    def by_threshold(self) -> bool:
        """Return whether exactly the predicted codes are reported."""
        return self.top is None and self.min_score is None


class NoteCode(NamedTuple):
    """A code that is reported for a note.

    Attributes:
        code: The dotted code.
        title: Its official title, if it has one.
        score: Its probability.
        threshold: The score from which it is predicted.
        predicted: Whether it is predicted.
        evidence: The words behind it; None: not requested.
        edition: The edition of its kind of code, as `edition_id` returns it; None: unknown.
        dropped: Why a hard rule has removed it from the predicted codes; None: none has.
        kind: ``diagnosis`` or ``procedure``.
        action: ``accept`` if it can be accepted without review, else ``review``; None: not
            requested.
        principal: Whether it is the principal diagnosis; None: the model doesn't choose one.
    """

    code: str
    title: str | None
    score: float
    threshold: float
    predicted: bool
    evidence: EvidenceSpans | None = None
    edition: str | None = None
    dropped: str | None = None
    kind: str = "diagnosis"
    action: Action | None = None
    principal: bool | None = None


class CodedNote(NamedTuple):
    """A note's id and codes.

    Attributes:
        id: The note's id.
        windows: The number of windows in which the note was read: 0 for a note without text, 1 for
            a note that the model reads at once. Each code has its highest score of all windows.
        codes: The reported codes, highest score first.
        read: The share of the note's tokens that the model reads: below 1 for a note longer than
            ``max_len`` of which only the beginning counts (``long_notes: first``).
        editions: The editions of the model's codes, as `edition_ids` returns them.
        findings: What checks found in the predicted codes; None: not requested.
        checked_by: The editions of the checks, as `edition_ids` returns them.
    """

    id: str
    windows: int
    codes: tuple[NoteCode, ...]
    read: float = 1.0
    editions: tuple[str, ...] = ()
    findings: tuple[Finding, ...] | None = None
    checked_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class CutNotes:
    """The notes of which a model reads only the beginning, since they are longer than ``max_len``.

    Attributes:
        notes: Their number.
        shares: The sum of the shares of their tokens that the model reads.
    """

    notes: int = 0
    shares: float = 0.0

    @classmethod
    def of(cls, notes: Iterable[CodedNote]) -> "CutNotes":
        """Count the cut notes among notes with their codes."""
        shares = [note.read for note in notes if note.read < 1]
        return cls(len(shares), sum(shares))

    def __add__(self, other: "CutNotes") -> "CutNotes":
        return CutNotes(self.notes + other.notes, self.shares + other.shares)

    @property
    def mean_share(self) -> float:
        """Return the mean share that is read of these notes; 1 if there are none."""
        return self.shares / self.notes if self.notes else 1.0

    def warning(self, notes: int, max_len: int) -> str:
        """Return a message about them.

        Args:
            notes: The number of all notes.
            max_len: ``max_len`` of the model.
        """
        return (
            f"{self.notes:,} of {notes:,} notes are longer than max_len ({max_len:,} tokens): the "
            f"network reads only their beginning, on average {self.mean_share:.0%} of it, as "
            "in training and evaluation. To use all of it, train with long_notes: windows or a "
            "larger max_len"
        )


class NotePredictor:
    """A model with a selection of the codes to report.

    Attributes:
        selection: Which codes are reported.
        find: Finds the words behind a note's codes; None: evidence isn't requested.
        check: Adds the findings of checks to a note of a day; None: not requested.
    """

    def __init__(
        self,
        model: "CodingModel",
        selection: Selection,
        find: FindEvidence | None = None,
        check: Callable[[CodedNote, date | None], CodedNote] | None = None,
    ) -> None:
        self.selection = selection
        self.find = find
        self.check = check
        self._model = model
        self._threshold_L = model.threshold.values_L(len(model.labels))
        recorded = model.labels.editions or {}
        self._edition_of = {kind: edition_id(edition) for kind, edition in recorded.items()}
        self._editions = tuple(edition_ids(recorded))

    def predict(
        self, notes: Sequence[Note], on_done: Callable[[int], None] | None = None
    ) -> list[CodedNote]:
        """Predict the codes of a block of notes.

        Args:
            notes: The notes.
            on_done: Called with the number of notes that are done.

        Returns:
            The notes with their codes, in the same order.
        """
        coded: dict[int, CodedNote] = {
            row: CodedNote(note.id, 0, (), editions=self._editions)
            for row, note in enumerate(notes)
            if not note.has_text
        }
        batches = list(self._batches(notes))
        # Evidence uses the parts of the model that read notes, too.
        scored = self._model.score_batches(
            ([notes[row].text for row in rows] for rows in batches), ahead=self.find is None
        )
        for rows, found in zip(batches, scored, strict=True):
            chosen = found.principal_NL
            for place, (row, scores_L, count, share, windows) in enumerate(
                zip(
                    rows,
                    found.scores_NL,
                    found.window_counts,
                    found.read_shares,
                    found.windows,
                    strict=True,
                )
            ):
                principal = None if chosen is None else int(chosen[place].argmax())
                # No window, and no codes, if cleaning leaves no text.
                codes = self._codes(scores_L, notes[row], windows, principal) if count else ()
                coded[row] = CodedNote(notes[row].id, count, codes, round(share, 6), self._editions)
                if on_done is not None and self.find is not None:
                    on_done(len(coded))
            if on_done is not None and self.find is None:
                on_done(len(coded))
        done = [coded[row] for row in range(len(notes))]
        if self.check is not None:
            done = [self.check(note, given.day) for note, given in zip(done, notes, strict=True)]
        score = self.selection.accept_score
        return done if score is None else [with_actions(note, score) for note in done]

    def _batches(self, notes: Sequence[Note]) -> Iterator[list[int]]:
        """Yield the rows of notes of similar length, the longest first."""
        order = sorted(
            (row for row, note in enumerate(notes) if note.has_text),
            key=lambda row: -len(notes[row].text),
        )
        rows: list[int] = []
        characters = 0
        for row in order:
            if rows and characters + len(notes[row].text) > _CHARACTERS_AT_ONCE:
                yield rows
                rows, characters = [], 0
            rows.append(row)
            characters += len(notes[row].text)
        if rows:
            yield rows

    def _codes(
        self,
        scores_L: NDArray[np.float32],
        note: Note,
        windows: "ScoredWindows | None",
        principal: int | None,
    ) -> tuple[NoteCode, ...]:
        """Return the codes to report; the principal diagnosis is always one of them."""
        # torch isn't needed to import this module
        from icdcli.model.coding_model import select_codes

        selection, known = self.selection, self._model.labels
        labels = select_codes(
            *(scores_L, self._threshold_L, selection.top, selection.min_score),
            also_predicted=selection.also_predicted,
        )
        if principal is not None and principal not in labels:
            labels = sorted([*labels, principal], key=lambda label: -scores_L[label])
        found: Sequence[EvidenceSpans | None] = [None] * len(labels)
        if self.find is not None:
            found = self.find(note.text, labels, windows, note.notes)
        return tuple(
            NoteCode(
                known.codes[label],
                known.titles[label],
                round(float(scores_L[label]), 6),
                round(float(self._threshold_L[label]), 6),
                bool(scores_L[label] >= self._threshold_L[label]),
                spans,
                self._edition_of.get(known.kinds[label]),
                kind=known.kinds[label],
                principal=None if principal is None else label == principal,
            )
            for label, spans in zip(labels, found, strict=True)
        )


def with_actions(note: CodedNote, score: float) -> CodedNote:
    """Return a note whose codes are marked for acceptance or for review.

    Only a predicted code can be, and none that a check found to break a hard rule.

    Args:
        note: The note.
        score: The score from which codes are accepted.
    """
    broken = {one.codes[0] for one in note.findings or () if one.severity == "hard"}
    accepted = [
        one.predicted and one.score >= score and one.code not in broken for one in note.codes
    ]
    return note._replace(
        codes=tuple(
            one._replace(action="accept" if yes else "review")
            for one, yes in zip(note.codes, accepted, strict=True)
        )
    )


class BlockBorders:
    """Finds where the blocks of notes begin; this depends on the notes alone.

    Attributes:
        begins: The number of the first note of each block.
    """

    def __init__(self, max_notes: int | None = None) -> None:
        """Begin.

        Args:
            max_notes: The most notes of a block, by default `BLOCK_NOTES`; a block of long notes
                ends at `BLOCK_CHARACTERS`.
        """
        self.begins: list[int] = []
        self._max_notes = BLOCK_NOTES if max_notes is None else max_notes
        self._notes = self._in_block = self._characters = 0

    def is_begun_by(self, note: Note) -> bool:
        """Return whether the next note is the first of a block."""
        length = len(note.text)
        full = self._in_block == self._max_notes or self._characters + length > BLOCK_CHARACTERS
        begun = full or not self.begins
        if begun:
            self.begins.append(self._notes)
            self._in_block = self._characters = 0
        self._notes += 1
        self._in_block += 1
        self._characters += length
        return begun


def note_blocks(notes: Iterable[Note], max_notes: int | None = None) -> Iterator[list[Note]]:
    """Yield notes in blocks, in order; see `BlockBorders`."""
    borders = BlockBorders(max_notes)
    block: list[Note] = []
    for note in notes:
        if borders.is_begun_by(note) and block:
            yield block
            block = []
        block.append(note)
    if block:
        yield block
