"""What every source yields: one hospital stay with its text and its codes."""

from dataclasses import dataclass, field
from typing import NamedTuple

SPLITS = ("train", "validation", "test")


class Code(NamedTuple):
    """One code as the corpus writes it.

    Attributes:
        code: The dotted string, e.g. ``428.0``.
        kind: ``diagnosis`` or ``procedure``; raw strings of the two collide before the dot is in.
    """

    code: str
    kind: str


class AnnotatedSpan(NamedTuple):
    """Characters of a text that an annotator gave as evidence of a code.

    Attributes:
        code: The dotted code.
        begin: The first character, counted from 0.
        end: The character after the last.
        group: What one annotation of several fragments has in common; counted within a document.
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
        ValueError: If it is.
    """
    if not 0 <= span.begin < span.end <= length:
        raise ValueError(
            f"evidence of {span.code} from {span.begin} to {span.end} isn't in a text of "
            f"{length:,} characters"
        )


@dataclass(frozen=True, slots=True)
class Admission:
    """One hospital stay, one document.

    Attributes:
        id: The document's id, unique in its source (HADM_ID in MIMIC).
        subject_id: The patient's id, where the source has one.
        text: The note, or the admission's notes joined in file order.
        codes: Its codes, in no particular order, without duplicates.
        split: ``train``, ``validation`` or ``test`` where the source itself decides it, else None.
        evidence: Where in the text annotators saw its codes, for sources that tell.
    """

    id: str
    subject_id: str | None
    text: str
    codes: frozenset[Code] = field(default_factory=frozenset)
    split: str | None = None
    evidence: tuple[AnnotatedSpan, ...] = ()
