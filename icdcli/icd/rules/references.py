"""The codes that a note of ICD-10-CM refers to.

Notes are sentences with codes, usually in brackets at their end:

    physeal fractures of lower end of radius (S59.2-)
    pneumonia due to SARS-CoV-2 (J12.82), influenza (J09.X1, J10.0-, J11.0-)
    conditions classifiable to S06.0- to S06.8-
    amnestic syndrome due to psychoactive substance use (F10-F19 with 5th character .6)

A code stands for all codes below it. A note without a code refers to others in words only.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from icdcli.icd.editions.edition import Edition, NoteKind

_CODE = r"[A-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{0,4})?"
# The hyphen after a code stands for its further characters; between codes it means a range.
_RANGE = re.compile(
    rf"\b(?P<first>{_CODE})-?(?:\s*(?:-|\bto\b|\bthrough\b)\s*(?P<last>{_CODE})-?)?(?![0-9A-Z])"
)
_CONDITION = re.compile(
    r"\s*,?\s*with (?:(?P<place>\w+?)[ -](?:to (?P<end>\w+) )?characters? |(?=\.))"
    r"(?P<first>[-.]?[0-9A-Z]+)\b(?:-(?P<last>\.[0-9A-Z]+))?-?"
)
_BRACKETS = re.compile(r"\(([^()]*)(?:\)|$)")
_ORDINALS = {"fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7}
_OPEN_CONDITION = re.compile(r"\s*with (?:open|closed)\b")
_DOT = 3
REFERRING: tuple[NoteKind, ...] = (
    *("excludes1", "excludes2", "code_first", "use_additional", "code_also"),
)
"""The kinds of notes that refer to other codes."""


@dataclass(frozen=True)
class Reference:
    """A range of codes.

    Attributes:
        first: The first code, without its dot.
        last: The last code, without its dot; codes below it are in the range.
        place: The position of the characters that the codes must have; None: any characters.
            -1: they are the last ones.
        characters: The first and the last of these characters.
    """

    first: str
    last: str
    place: int | None = None
    characters: tuple[str, str] = ("", "")

    def has(self, code: str) -> bool:
        """Return whether a code, with or without its dot, is in the range."""
        bare = code.replace(".", "")
        if not (self.first <= bare and bare[: len(self.last)] <= self.last):
            return False
        if self.place is None:
            return True
        low, high = self.characters
        begin = len(bare) - len(low) if self.place < 0 else self.place
        return len(bare) >= begin + len(low) and low <= bare[begin : begin + len(low)] <= high


@dataclass(frozen=True)
class InstructionalNote:
    """A note and the codes that it refers to.

    Attributes:
        text: The note as the edition has it, with its heading if it is an item of a list.
        references: The codes; none: it refers to others in words only, or to none.
        heading: The heading, which the text begins with; empty: none.
    """

    text: str
    references: tuple[Reference, ...] = field(default=())
    heading: str = ""

    def has(self, code: str) -> bool:
        """Return whether the note refers to a code."""
        return any(one.has(code) for one in self.references)


def references_in(text: str) -> tuple[Reference, ...]:
    """Return the codes that a text refers to.

    If it has some in brackets, those outside aren't references: "vitamin B12 deficiency anemia
    (D51.-)". A condition that isn't a character ("with open fracture 7th character") can't be
    checked; the code before it is left out.
    """
    bracketed = [part for inside in _BRACKETS.findall(text) for part in _references(inside)]
    return tuple(bracketed or _references(text))


def parse_notes(lines: Sequence[str]) -> list[InstructionalNote]:
    """Return the notes of a code, each with its references.

    A line that ends with a colon is the heading of the lines after it, and no note of its own.
    """
    notes = []
    heading = ""
    for line in lines:
        references = references_in(line)
        if line.rstrip().endswith(":") and not references:
            heading = line.strip()
            continue
        notes.append(InstructionalNote(f"{heading} {line}".strip(), references, heading))
    return notes


def joined_notes(notes: Iterable[InstructionalNote], most: int) -> str:
    """Return the first notes as one text, in which each heading is given once."""
    several = list(notes)
    found: list[str] = []
    before = ""
    for note in several[:most]:
        text = note.text.removeprefix(note.heading).strip() if note.heading == before else note.text
        # "Code first, if applicable, …": the heading of the list is ", if applicable, …".
        found.append(text.lstrip(", "))
        before = note.heading
    return "; ".join(found) + (" …" if len(several) > most else "")


class UnderstoodNotes(NamedTuple):
    """How many notes of a kind name codes.

    Attributes:
        places: The codes and groups of codes that have such notes.
        understood: Those of them of which every note names codes.
        in_words: Code and text of the notes that refer to codes in words only.
    """

    places: int
    understood: int
    in_words: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return them as plain values."""
        notes = [{"code": code, "note": text} for code, text in self.in_words]
        return {"places": self.places, "understood": self.understood, "in_words": notes}


def understood_notes(edition: Edition, kind: NoteKind) -> UnderstoodNotes:
    """Return which notes of a kind name codes, and which refer to codes in words only."""
    places, in_words = 0, []
    for row, lines in edition.noted(kind):
        places += 1
        in_words += [
            (edition.codes[row], note.text) for note in parse_notes(lines) if not note.references
        ]
    return UnderstoodNotes(places, places - len(dict(in_words)), tuple(in_words))


def _references(text: str) -> Iterator[Reference]:
    for found in _RANGE.finditer(text):
        first = found["first"].replace(".", "")
        last = (found["last"] or found["first"]).replace(".", "")
        after = text[found.end() :]
        if _OPEN_CONDITION.match(after):
            continue
        condition = _CONDITION.match(after)
        if condition is None:
            yield Reference(first, last)
            continue
        low = condition["first"].strip("-.")
        high = (condition["last"] or condition["first"]).strip("-.")
        yield Reference(first, last, _place(condition["place"]), (low, high))


def _place(words: str | None) -> int:
    """Return the index of a character: the fifth is 4; those after the dot begin at 3."""
    if words is None:
        return _DOT
    if words == "final":
        return -1
    number = _ORDINALS.get(words) or int(words[0])
    return number - 1
