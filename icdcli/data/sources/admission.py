"""An admission: one hospital stay with its text and its codes, which every source yields."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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


class OrderedCode(NamedTuple):
    """A code in the order of its encounter.

    Attributes:
        code: The dotted code.
        poa: Whether it was present on admission: Y, N, U, W, 1 or E as on claims; None: unknown.
    """

    code: str
    poa: str | None = None


class EncounterCodes(NamedTuple):
    """The codes of an encounter.

    Attributes:
        codes: Its codes.
        in_order: The same in the order of their sequence, those without one last; empty: unknown.
        principal: The code of its principal diagnosis; None: unknown.
        problem: Why it is unknown, in words.
    """

    codes: frozenset[Code]
    in_order: tuple[OrderedCode, ...] = ()
    principal: str | None = None
    problem: str = ""

    @classmethod
    def listed(cls, codes: Sequence[Code], ordered: bool) -> "EncounterCodes":
        """Return codes that are listed, the principal diagnosis first if they are ordered."""
        if not ordered:
            return cls(frozenset(codes))
        first = next((code.code for code in codes if code.kind == "diagnosis"), None)
        in_order = dict.fromkeys(code.code for code in codes)
        return cls(frozenset(codes), tuple(map(OrderedCode, in_order)), first)


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
        in_order: Its codes in the order of their sequence, those without one last; empty: unknown.
        principal: The code of its principal diagnosis; None: unknown.
    """

    id: str
    subject_id: str | None
    text: str = field(repr=False)  # not for logs and tracebacks
    codes: frozenset[Code] = field(default_factory=frozenset)
    split: str | None = None
    evidence: tuple[AnnotatedSpan, ...] = ()
    day: date | None = None
    notes: tuple[NoteBoundary, ...] = ()
    in_order: tuple[OrderedCode, ...] = ()
    principal: str | None = None

    def in_the_order_of(self, found: EncounterCodes) -> "Admission":
        """Return the admission with the order and the principal diagnosis of its codes."""
        if not found.in_order and found.principal is None:
            return self
        return replace(self, in_order=found.in_order, principal=found.principal)
