"""Checks of encounters with codes of several kinds, and the sets that hard rules leave.

*Resolving* a set removes codes until no hard finding is left that a removal can mend: codes that
can't be assigned, categories beside their codes, duplicates, and manifestations without a disease
that may be their cause. Of several such codes, the one with the lowest score goes first. It adds
no code, and keeps both codes of an Excludes1 note, since they may be unrelated.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from icdcli.icd.codes import Kind
from icdcli.icd.editions.edition import Edition
from icdcli.icd.editions.succession import edition_on
from icdcli.icd.rules.checks import CodeChecker, checker_of
from icdcli.icd.rules.findings import CheckKind, CodeSet, Finding, Span, hard_first

_OF_ONE_CODE: tuple[CheckKind, ...] = ("unknown", "not assignable", "seventh character")
_REMOVED: tuple[CheckKind, ...] = (
    *(*_OF_ONE_CODE, "duplicate", "with its category", "manifestation"),
)

_PCS = re.compile(r"\d[0-9A-HJ-NP-Z]{6}")  # no code of ICD-10-CM begins with a digit

KindedCode = tuple[str, str]
"""A code with its kind."""


class Dropped(NamedTuple):
    """A code that a hard rule removes.

    Attributes:
        code: The code.
        finding: Why it is removed.
    """

    code: str
    finding: Finding

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"code": self.code, "kind": self.finding.kind, "words": self.finding.words}


class EncounterChecks:
    """Checks of the codes of encounters, each kind of code by its edition.

    Attributes:
        editions: The edition of each kind of code; codes of other kinds aren't checked.
    """

    def __init__(self, editions: Mapping[Kind, Edition]) -> None:
        self.editions = editions
        self._checkers: dict[str, CodeChecker] = {
            kind: checker_of(edition) for kind, edition in editions.items()
        }

    def check(
        self,
        codes: Sequence[KindedCode],
        evidence: Mapping[str, Sequence[Span]] | None = None,
        ordered: bool = False,
    ) -> list[Finding]:
        """Return what is wrong with the codes of an encounter, hard findings first.

        Args:
            codes: The codes with their kinds.
            evidence: Code to the places in the note that support it, as far as they are known.
            ordered: Whether their order is that of a claim, the principal diagnosis first.
        """
        found = [
            checker.check(CodeSet(own, ordered, evidence)) for checker, own in self._sets(codes)
        ]
        return found[0] if len(found) == 1 else hard_first(one for own in found for one in own)

    def check_set(self, codes: CodeSet) -> list[Finding]:
        """Return what is wrong with the codes of an encounter whose kinds aren't known.

        What only the edition of procedures has is a procedure, and what looks like ICD-10-PCS.
        """
        kinds = [(code, self._kind_of(code)) for code in codes.codes]
        return self.check(kinds, codes.evidence, codes.ordered)

    def diagnoses(self, codes: Sequence[str]) -> list[str]:
        """Return which of some codes, whose kinds aren't known, are diagnoses."""
        return [code for code in codes if self._kind_of(code) == "diagnosis"]

    def _kind_of(self, code: str) -> Kind:
        diagnoses, procedures = self.editions.get("diagnosis"), self.editions.get("procedure")
        if procedures is None or (diagnoses is not None and code in diagnoses):
            return "diagnosis"
        looks = bool(_PCS.fullmatch(code)) and procedures.about.name.startswith("icd10pcs")
        return "procedure" if code in procedures or looks else "diagnosis"

    def resolve(
        self,
        codes: Sequence[KindedCode],
        findings: Sequence[Finding] | None = None,
        excludes1: bool = False,
    ) -> tuple[list[KindedCode], list[Dropped]]:
        """Return the codes that hard rules leave, and those that they remove.

        Args:
            codes: The codes with their kinds, the highest score first.
            findings: What `check` returned for them, if it has been called.
            excludes1: Also remove the code with the lower score of each pair with an Excludes1
                note. This removes right codes, too: such codes may be unrelated.
        """
        kept = list(codes)
        dropped: list[Dropped] = []
        while True:
            findings = self.check(kept) if findings is None else findings
            gone = _gone(findings, kept, excludes1)
            if not gone:
                return kept, dropped
            dropped += [Dropped(kept[place][0], one) for place, one in sorted(gone.items())]
            kept = [code for place, code in enumerate(kept) if place not in gone]
            findings = None

    def _sets(self, codes: Sequence[KindedCode]) -> list[tuple[CodeChecker, list[str]]]:
        """Return the codes of each edition: one may have those of several kinds."""
        sets: dict[CodeChecker, list[str]] = {}
        for code, kind in codes:
            if (checker := self._checkers.get(kind)) is not None:
                sets.setdefault(checker, []).append(code)
        return list(sets.items())


class DatedChecks:
    """Checks of encounters by the editions that were valid on their days.

    Attributes:
        used: The names of the editions that were used.
    """

    def __init__(self, editions: Mapping[Kind, Edition]) -> None:
        self._editions = editions
        self._by_day: dict[date | None, EncounterChecks] = {}
        self.used: dict[str, None] = {}

    def on(self, day: date | None) -> EncounterChecks:
        """Return the checks for a day; None: those of the editions that were given."""
        if day not in self._by_day:
            own = {
                kind: edition if day is None else edition_on(edition, day)
                for kind, edition in self._editions.items()
            }
            self.used |= dict.fromkeys(edition.about.name for edition in own.values())
            self._by_day[day] = EncounterChecks(own)
        return self._by_day[day]


def _gone(
    findings: Sequence[Finding], codes: Sequence[KindedCode], excludes1: bool
) -> dict[int, Finding]:
    """Return the places of codes that can be removed together, with the reasons; none: no more."""
    places: dict[str, list[int]] = {}
    for place, (code, _) in enumerate(codes):
        places.setdefault(code, []).append(place)
    hard: dict[int, Finding] = {}
    for one in findings:
        if one.kind in _REMOVED:
            hard.setdefault(places[one.codes[0]][-1], one)
    if single := {place: one for place, one in hard.items() if one.kind in _OF_ONE_CODE}:
        return single
    if hard:
        return dict([max(hard.items(), key=lambda item: item[0])])
    gone: dict[int, Finding] = {}
    pairs = [
        (max(both), min(both), one)
        for one in findings
        if excludes1 and one.kind == "excludes"
        for both in [[places[code][0] for code in one.codes]]
    ]
    for second, first, one in sorted(pairs, key=lambda pair: pair[:2]):
        if first not in gone:
            gone.setdefault(second, one)
    return gone
