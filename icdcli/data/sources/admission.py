"""An admission: one hospital stay with its text and its codes, which every source yields."""

from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from icdcli.data.encounters.boundaries import NoteBoundary

SPLITS = ("train", "validation", "test")
CODES_COLUMN = "codes_column"
"""The entry of a corpus's ``card.json`` about the column of codes of a table."""


class Code(NamedTuple):
    """A code as the corpus writes it.

    Attributes:
        code: The dotted string, e.g. ``428.0``.
        kind: ``diagnosis`` or ``procedure``; without the dot, codes of the two kinds collide.
    """

    code: str
    kind: str


class AnnotatedSpan(NamedTuple):
    """A span of characters that an annotator marked as evidence of a code.

    Attributes:
        code: The dotted code.
        begin: The first character, counted from 0.
        end: The character after the last.
        group: The number of the annotation within its document; an annotation may have several
            fragments.
    """

    code: str
    begin: int
    end: int
    group: int


def check_span(span: AnnotatedSpan, length: int) -> None:
    """Raise an error if a span is empty or outside its text.

    Args:
        span: The span.
        length: The text's length in characters.

    Raises:
        ValueError: If the span is empty or outside the text.
    """
    if not 0 <= span.begin < span.end <= length:
        raise ValueError(
            f"evidence from {span.begin} to {span.end} isn't in a text of {length:,} characters"
        )


@dataclass(frozen=True, slots=True)
class Admission:
    """One hospital stay, which becomes one document.

    Attributes:
        id: The document's id, unique in its source (HADM_ID in MIMIC).
        subject_id: The patient's id, if the source has one.
        text: The note, or the admission's notes joined.
        codes: Its codes, in no particular order, without duplicates.
        split: ``train``, ``validation`` or ``test`` if the source itself defines it, else None.
        evidence: The annotated evidence of its codes, if the source has any.
        day: The day of its discharge, on which its codes must be valid; None: unknown.
        notes: Where each of its notes is in the text; empty: it is one note, or unknown.
    """

    id: str
    subject_id: str | None
    text: str = field(repr=False)  # not for logs and tracebacks
    codes: frozenset[Code] = field(default_factory=frozenset)
    split: str | None = None
    evidence: tuple[AnnotatedSpan, ...] = ()
    day: date | None = None
    notes: tuple[NoteBoundary, ...] = ()
