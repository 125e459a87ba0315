"""What an edition says about codes, read once for all sets of codes."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property

from icdcli.icd.editions.edition import Edition, NoteKind
from icdcli.icd.rules.conventions import COMBINATIONS, is_habit, is_manifestation
from icdcli.icd.rules.references import InstructionalNote, Reference, joined_notes, parse_notes
from icdcli.icd.rules.validity import invalid

_SHOWN = 6  # items of a note that a finding has
# Notes about some of a code's cases only.
_IF = re.compile(r"\bif (?:applicable|known|present)\b|\bcomplicating\b|\bdue to\b|\bany\b", re.I)
_SIDE = re.compile(r"\b(right|left|bilateral|unspecified)\b", re.IGNORECASE)
_UNSPECIFIED = re.compile(r"\bunspecified\b", re.IGNORECASE)
_WITHOUT = re.compile(r"^(.+?)(?: without |, uncomplicated$)", re.IGNORECASE)
_INJURIES = ("S", "T")  # several at once are usual
_NO_DISEASES = ("R", "V", "W", "X", "Y", "Z")
_OF_CODES = ("code", "category")


class EditionFacts:
    """The facts of the codes of an edition, each read at its first use."""

    def __init__(self, edition: Edition) -> None:
        self.edition = edition
        self._facts: dict[str, CodeFacts] = {}
        self._noted: dict[tuple[int, NoteKind], CodeNotes | None] = {}
        self._categories = sorted(code for code in edition.codes if len(code) == 3)

    def of(self, code: str) -> "CodeFacts":
        """Return what the edition says about a code."""
        if (found := self._facts.get(code)) is None:
            found = self._facts[code] = CodeFacts(code, self)
        return found

    def notes(self, row: int, kind: NoteKind) -> "CodeNotes | None":
        """Return the notes of a row itself that refer to codes; None: it has none."""
        if (row, kind) not in self._noted:
            parsed = [one for one in parse_notes(self.edition.notes(row, kind)) if one.references]
            touched = frozenset(
                category
                for note in parsed
                for reference in note.references
                for category in self._within(reference)
            )
            self._noted[row, kind] = CodeNotes(row, parsed, touched) if parsed else None
        return self._noted[row, kind]

    def _within(self, reference: Reference) -> Sequence[str]:
        begin = bisect_left(self._categories, reference.first[:3])
        return self._categories[begin : bisect_right(self._categories, reference.last[:3])]


class CodeNotes:
    """The notes of a row that refer to codes.

    Attributes:
        row: The row.
        notes: The notes.
        categories: The categories that they refer to, to pass over most codes quickly.
        always: The notes that aren't about some of a code's cases only.
        wanted: Those of them that aren't about tobacco and alcohol.
    """

    def __init__(
        self, row: int, notes: Sequence[InstructionalNote], categories: frozenset[str]
    ) -> None:
        self.row, self.notes, self.categories = row, notes, categories
        self.always = [one for one in notes if not _IF.search(one.text)]
        self.wanted = [
            one for one in self.always if not all(is_habit(each.first) for each in one.references)
        ]

    def naming(self, other: str, facts: "CodeFacts") -> InstructionalNote | None:
        """Return the note that refers to another code, but not to the code itself."""
        if other[:3] not in self.categories:
            return None
        return next((one for one in self.notes if one.has(other) and not one.has(facts.code)), None)

    def name(self, other: str) -> bool:
        """Return whether a note refers to another code."""
        return other[:3] in self.categories and any(one.has(other) for one in self.notes)


class CodeFacts:
    """What an edition says about a code.

    Attributes:
        edition: The edition.
        code: The code.
        category: Its first three characters.
        invalid: Why it can't be assigned; None: it can.
        is_known: Whether the edition has it.
        title: Its title.
        parent: The row above it.
        above: The codes above it.
        excludes: Its Excludes1 notes and those of the rows above it.
        code_first: Its notes "code first" and those of the rows above it.
        categories_first: The categories that these refer to.
        always_first: Whether one of them is for all of the code's cases.
        additional: Its notes "use additional" and those of codes above it, unless they are about
            some of its cases only.
        is_manifestation: Whether it is a manifestation by its title.
        is_disease: Whether it may be the cause of a manifestation.
        is_icd10cm: Whether the edition is one of ICD-10-CM.
        combinations: The combination codes that replace it.
    """

    def __init__(self, code: str, edition_facts: "EditionFacts") -> None:
        edition = edition_facts.edition
        self.code, self.category = code, code[:3]
        self.invalid = invalid(code, edition)
        row = edition.row(code)
        self.is_known = row is not None
        self.title = "" if row is None else edition.titles[row]
        self.parent = -1 if row is None else int(edition.parents_R[row])
        places = [] if row is None else [row, *edition.above(row)]
        self._places = places
        self.above = frozenset(edition.codes[place] for place in places[1:])

        def notes(kind: NoteKind, of: Sequence[int]) -> list[CodeNotes]:
            return [
                found for place in of if (found := edition_facts.notes(place, kind)) is not None
            ]

        self.excludes = notes("excludes1", places)
        self.code_first = notes("code_first", places)
        self.categories_first = frozenset[str]().union(*(one.categories for one in self.code_first))
        self.always_first = any(one.always == one.notes for one in self.code_first)
        # Notes of blocks and chapters ("use additional code for smoking") would flag every code.
        of_codes = [place for place in places if edition.level(place) in _OF_CODES]
        self.additional = [one for one in notes("use_additional", of_codes) if one.wanted]
        self.is_manifestation = is_manifestation(self.title)
        self.is_disease = not code.startswith(_NO_DISEASES) and not self.is_manifestation
        self.is_icd10cm = edition.about.name.startswith("icd10cm")
        self.combinations = [
            rule for rule in COMBINATIONS if self.is_icd10cm and rule.code.match(code)
        ]
        self.edition = edition

    @cached_property
    def sides(self) -> tuple[str, list[str]]:
        """Return the title without its sides, and the sides."""
        title = self.title.lower()
        return _SIDE.sub("", title), _SIDE.findall(title)

    @cached_property
    def words_first(self) -> str:
        """Return the words of the notes "code first"; empty: there are none."""
        lines = [line for place in self._places for line in self.edition.notes(place, "code_first")]
        words = joined_notes(parse_notes(lines), _SHOWN)
        return f"{self.code}, code first: {words}" if words else ""

    @cached_property
    def has_unnamed_causes(self) -> bool:
        """Return whether notes "code first" name no codes, or only some of them."""
        return not self.code_first or "such as" in self.words_first

    @cached_property
    def words_additional(self) -> dict[int, str]:
        """Return the row of each note "use additional" to its words."""
        return {one.row: joined_notes(one.wanted, _SHOWN) for one in self.additional}

    def comes_after(self, other: "CodeFacts") -> bool:
        """Return whether the other code is a cause, which comes first."""
        return other is not self and any(
            notes.naming(other.code, self) is not None for notes in self.code_first
        )

    @cached_property
    def is_unspecified(self) -> bool:
        """Return whether the title says "unspecified"."""
        return bool(_UNSPECIFIED.search(self.title))

    @cached_property
    def lacks(self) -> str | None:
        """Return how the titles begin of codes with what this one is without."""
        found = None if self.code.startswith(_INJURIES) else _WITHOUT.match(self.title)
        return f"{found[1]} with ".lower() if found else None
