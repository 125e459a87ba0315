"""A set of codes to check, and what a check found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

Severity = Literal["hard", "soft"]
CheckKind = Literal[
    "unknown",
    "not assignable",
    "seventh character",
    "duplicate",
    "with its category",
    "excludes",
    "manifestation",
    "code first",
    "use additional",
    "unspecified side",
    "unspecified",
    "contradiction",
    "combination",
    "mother and newborn",
    "principal",
]


class Span(NamedTuple):
    """A place in a note that supports a code: characters begin to end, half-open."""

    begin: int
    end: int


@dataclass(frozen=True)
class CodeSet:
    """The codes of an encounter.

    Attributes:
        codes: The codes, with their dots.
        ordered: Whether their order is that of a claim, the principal diagnosis first.
        evidence: Code to the places in the note that support it, as far as they are known.
    """

    codes: Sequence[str]
    ordered: bool = False
    evidence: Mapping[str, Sequence[Span]] | None = None


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        kind: The kind of the check.
        severity: ``hard`` or ``soft``.
        codes: The codes concerned, the one to change first.
        words: The official words, or a statement of what is wrong.
        advice: What to do.
    """

    kind: CheckKind
    severity: Severity
    codes: tuple[str, ...]
    words: str
    advice: str

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "codes": list(self.codes)}


def hard_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in their order, but the hard ones first."""
    return sorted(findings, key=lambda one: one.severity)
