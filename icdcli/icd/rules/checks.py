"""Checks of the codes of one encounter against an edition.

The checks follow the conventions of the ICD-10-CM Official Guidelines for Coding and Reporting
(section I.A): a code must be complete and assignable; codes with an Excludes1 note don't go
together, unless the two conditions are unrelated; a manifestation comes after its cause. An edition
without notes (ICD-9-CM, an imported list) gets the checks that need none.

A *hard* finding makes a claim invalid. A *soft* one is for a person to decide.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from icdcli.icd.editions.edition import Edition, NoteKind
from icdcli.icd.rules.references import InstructionalNote, parse_notes

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
    "principal",
]

_SHOWN = 6  # codes below another one that a finding names
_SIDE = re.compile(r"\b(right|left|bilateral|unspecified)\b", re.IGNORECASE)
_UNSPECIFIED = re.compile(r"\bunspecified\b", re.IGNORECASE)
_MANIFESTATION = re.compile(r"\bin (?:\w+ )*?diseases? classified elsewhere\b", re.IGNORECASE)
# Notes about some of a code's cases only.
_IF = re.compile(r"\bif (?:applicable|known|present)\b|\bcomplicating\b|\bdue to\b", re.IGNORECASE)
_SEQUELA = re.compile(r", sequela$")
# External causes, and the agents and resistances that B95 to B97 and Z16 add to another code.
_NEVER_PRINCIPAL = re.compile(r"[V-Y]\d\d|B9[567]|Z16|Z3A|Z68")


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
        return asdict(self)


def check_codes(codes: CodeSet, edition: Edition) -> list[Finding]:
    """Return what is wrong with the codes of an encounter, hard findings first.

    Args:
        codes: The codes.
        edition: The edition that they are from.
    """
    checker = _Checker(codes, edition)
    found = [finding for check in _CHECKS for finding in check(checker)]
    return sorted(found, key=lambda one: one.severity)


class _Checker:
    """The codes of an encounter with their rows in an edition."""

    def __init__(self, codes: CodeSet, edition: Edition) -> None:
        self.codes, self.edition = codes, edition
        self.distinct = list(dict.fromkeys(codes.codes))
        self.rows = {code: row for code in self.distinct if (row := edition.row(code)) is not None}

    def notes(self, code: str, kind: NoteKind) -> Iterator[InstructionalNote]:
        """Yield the notes that apply to a code: its own and those of the rows above it."""
        row = self.rows[code]
        for place in (row, *self.edition.above(row)):
            yield from _notes(self.edition, place, kind)

    def others(self, code: str) -> list[str]:
        return [other for other in self.rows if other != code]


@lru_cache(100_000)
def _notes(edition: Edition, row: int, kind: NoteKind) -> tuple[InstructionalNote, ...]:
    return tuple(parse_notes(edition.notes(row, kind)))


def _unknown(checker: _Checker) -> Iterator[Finding]:
    for code in checker.distinct:
        if code not in checker.rows:
            yield Finding(
                "unknown",
                "hard",
                (code,),
                f"{code} isn't in {checker.edition.about.title}.",
                "Take a code that is valid on the day of the discharge.",
            )


def _incomplete(checker: _Checker) -> Iterator[Finding]:
    edition = checker.edition
    for code, row in checker.rows.items():
        if edition.assignable_R[row]:
            continue
        children = [edition.codes[below] for below in edition.children(row)]
        listed = ", ".join(children[:_SHOWN]) + (" …" if len(children) > _SHOWN else "")
        seventh = next(iter(edition.notes_above(row, "seventh")), None)
        lacks = seventh is not None and all(edition.assignable_R[edition.children(row)])
        if lacks and seventh is not None:
            words = f"{code} needs a seventh character ({'; '.join(seventh[1][:_SHOWN])})."
            yield Finding("seventh character", "hard", (code,), words, f"Take one of {listed}.")
        else:
            words = f"{code} ({edition.titles[row]}) can't be assigned; it stands for others."
            yield Finding("not assignable", "hard", (code,), words, f"Take one of {listed}.")


def _duplicate(checker: _Checker) -> Iterator[Finding]:
    for code in checker.distinct:
        if checker.codes.codes.count(code) > 1:
            yield Finding(
                "duplicate", "hard", (code,), f"{code} occurs more than once.", "Keep one."
            )


def _with_category(checker: _Checker) -> Iterator[Finding]:
    for code, row in checker.rows.items():
        end = int(checker.edition.ends_R[row])
        below = [other for other, place in checker.rows.items() if row < place < end]
        if below:
            yield Finding(
                "with its category",
                "hard",
                (code, *below),
                f"{code} stands for {', '.join(below)}, too.",
                f"Remove {code}.",
            )


def _excludes(checker: _Checker) -> Iterator[Finding]:
    seen: set[frozenset[str]] = set()
    for code in checker.rows:
        for note in checker.notes(code, "excludes1"):
            for other in checker.others(code):
                pair = frozenset((code, other))
                if pair in seen or not note.has(other) or note.has(code):
                    continue
                seen.add(pair)
                yield Finding(
                    "excludes",
                    "soft",
                    (code, other),
                    f"{code}, Excludes1: {note.text}",
                    "Keep the one that the note supports, or both if the conditions are unrelated.",
                )


def _manifestation(checker: _Checker) -> Iterator[Finding]:
    order = {code: place for place, code in enumerate(checker.distinct)}
    for code, row in checker.rows.items():
        notes = [note for note in checker.notes(code, "code_first") if note.references]
        if not notes:
            continue
        causes = [
            other
            for other in checker.others(code)
            if any(note.has(other) and not note.has(code) for note in notes)
        ]
        late = [cause for cause in causes if order[cause] > order[code]]
        must = bool(_MANIFESTATION.search(checker.edition.titles[row]))
        words = f"{code}, code first: {'; '.join(note.text for note in notes[:_SHOWN])}"
        if not causes and (must or not any(_IF.search(note.text) for note in notes)):
            kind: CheckKind = "manifestation" if must else "code first"
            severity: Severity = "hard" if must else "soft"
            yield Finding(kind, severity, (code,), words, "Add the code of the cause before it.")
        elif causes and len(late) == len(causes) and checker.codes.ordered:
            yield Finding(
                "code first", "hard" if must else "soft", (code, *late), words,
                f"Move {late[0]} before {code}.",
            )  # fmt: skip


def _additional(checker: _Checker) -> Iterator[Finding]:
    edition = checker.edition
    for code, row in checker.rows.items():
        # Notes of blocks and chapters ("use additional code for smoking") would flag every code.
        places = [row, *(one for one in edition.above(row) if edition.level(one) in _OF_CODES)]
        for place in places:
            notes = [note for note in _notes(edition, place, "use_additional") if note.references]
            wanted = [note for note in notes if not _IF.search(note.text)]
            met = any(note.has(other) for note in notes for other in checker.others(code))
            if wanted and not met:
                words = "; ".join(note.text for note in wanted[:_SHOWN])
                yield Finding(
                    "use additional",
                    "soft",
                    (code,),
                    f"{code}, use additional: {words}",
                    "Add the code if the note supports it.",
                )


def _side(checker: _Checker) -> Iterator[Finding]:
    edition = checker.edition
    for code, row in checker.rows.items():
        for other in checker.others(code):
            place = checker.rows[other]
            beside = edition.parents_R[place] == edition.parents_R[row] or _same_but_last(
                code, other
            )
            if beside and _names_side(edition.titles[row], edition.titles[place]):
                yield Finding(
                    "unspecified side",
                    "soft",
                    (code, other),
                    f"{code}: {edition.titles[row]}. {other}: {edition.titles[place]}.",
                    f"Remove {code} if both mean the same condition.",
                )


def _more_specific(checker: _Checker) -> Iterator[Finding]:
    evidence, edition = checker.codes.evidence or {}, checker.edition
    for code, row in checker.rows.items():
        if not _UNSPECIFIED.search(edition.titles[row]):
            continue
        own = evidence.get(code, ())
        for other in checker.others(code):
            sibling = other.partition(".")[0] == code.partition(".")[0]
            if not sibling or _UNSPECIFIED.search(edition.titles[checker.rows[other]]):
                continue
            if any(
                a.begin < b.end and b.begin < a.end for a in own for b in evidence.get(other, ())
            ):
                yield Finding(
                    "unspecified",
                    "soft",
                    (code, other),
                    f"The same words support {code} ({edition.titles[row]}) and {other}.",
                    f"Remove {code} if {other} is right.",
                )


def _principal(checker: _Checker) -> Iterator[Finding]:
    if not checker.codes.ordered or not checker.distinct:
        return
    first = checker.distinct[0]
    row = checker.rows.get(first)
    if row is None:
        return
    title = checker.edition.titles[row]
    reason = (
        "an external cause or an addition to another code"
        if _NEVER_PRINCIPAL.match(first)
        else "a manifestation"
        if _MANIFESTATION.search(title)
        else "a sequela, whose present condition comes first"
        if _SEQUELA.search(title)
        else None
    )
    if reason is not None and checker.edition.about.name.startswith("icd10cm"):
        yield Finding(
            "principal",
            "hard",
            (first,),
            f"{first} ({title}) is {reason}, and can't be the principal diagnosis.",
            "Put the condition first that led to the admission.",
        )


_OF_CODES = ("code", "category")
_CHECKS: tuple[Callable[[_Checker], Iterator[Finding]], ...] = (
    *(_unknown, _incomplete, _duplicate, _with_category, _excludes, _manifestation),
    *(_additional, _side, _more_specific, _principal),
)


def _names_side(title: str, other: str) -> bool:
    """Return if another title differs only by a side for which this one has "unspecified"."""
    own, its = (_SIDE.findall(one.lower()) for one in (title, other))
    if _SIDE.sub("", title.lower()) != _SIDE.sub("", other.lower()) or own == its:
        return False
    return all(mine in (yours, "unspecified") for mine, yours in zip(own, its, strict=True))


def _same_but_last(code: str, other: str) -> bool:
    """Return if two codes differ in the sixth character only, as those of sides with a seventh."""
    a, b = code.replace(".", ""), other.replace(".", "")
    return len(a) == len(b) == 7 and a[:5] == b[:5] and a[6] == b[6]
