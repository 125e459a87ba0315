"""The notes of a corpus with what a perfect reviewer would make of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from icdcli.data.corpus.reader import Corpus
from icdcli.errors import DataError
from icdcli.review.notes import ReviewNote

Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class GoldNote:
    """A note with its gold codes.

    Attributes:
        id: Its id.
        text: Its text.
        subject: The patient; None: unknown.
        day: The day of the discharge; None: unknown.
        evidence: Code to the words that annotators marked, for all of its codes, sorted.
    """

    id: str
    text: str
    subject: str | None
    day: date | None
    evidence: Mapping[str, Spans]

    def __repr__(self) -> str:
        # A traceback or a log that shows a note must not show its text.
        return f"GoldNote({self.id!r}, {len(self.text):,} characters)"


def gold_notes(corpus: Corpus, split: str) -> Iterator[GoldNote]:
    """Yield the notes of a split, in the order of the corpus.

    Raises:
        ConfigError: If the split has no documents.
        DataError: If the corpus can't be read.
    """
    documents, evidence, codes = (
        corpus.documents(split),
        corpus.evidence(split),
        corpus.labels.codes,
    )
    days = corpus.days(split) or [None] * len(documents)
    for row, text in enumerate(corpus.texts(split)):
        marked: dict[str, set[tuple[int, int]]] = {
            codes[label]: set() for label in documents.targets[row].tolist()
        }
        for fragment in evidence.of(row):
            marked[codes[fragment.label]].add((fragment.begin, fragment.end))
        spans = {code: tuple(sorted(marked[code])) for code in sorted(marked)}
        yield GoldNote(documents.ids[row], text, documents.subject_ids[row], days[row], spans)


def training_notes(corpus: Corpus) -> list[GoldNote]:
    """Return the notes that a reviewer is played for: those of the training split.

    Raises:
        DataError: If none of them has a code, so that there is nothing to review.
    """
    notes = list(gold_notes(corpus, "train"))
    if not any(note.evidence for note in notes):
        raise DataError(
            f"{corpus.folder.name}: none of its training notes has a code. The reviewer is played "
            "from gold codes: use a corpus that has them."
        )
    return notes


def review_order(notes: int, seed: int) -> list[int]:
    """Return the positions of notes in the random order of a seed."""
    order: list[int] = np.random.default_rng(seed).permutation(notes).tolist()
    return order


def review_notes(
    notes: Sequence[GoldNote], order: Sequence[int], share: float, language: str
) -> list[ReviewNote]:
    """Return the notes as they are imported into a store, each with its split.

    Of every few notes in the random order, the last is for validation, so that each share of the
    order has the same share of them. Notes of one patient are in the split of the first.

    Args:
        notes: The notes, in the order of the corpus.
        order: Their random order.
        share: The share of notes for validation.
        language: Their language.
    """
    split_of: dict[str, str] = {}
    for place, position in enumerate(order):
        held = int((place + 1) * share + 1e-9) > int(place * share + 1e-9)
        note = notes[position]
        split_of.setdefault(_patient(note), "validation" if held else "train")
    return [
        ReviewNote(
            note.id,
            note.text,
            subject=note.subject,
            day=note.day,
            language=language,
            split=split_of[_patient(note)],
        )
        for note in notes
    ]


def _patient(note: GoldNote) -> str:
    return f"note {note.id}" if note.subject is None else f"patient {note.subject}"
