"""Checks of the codes of one encounter against an edition.

The checks follow the conventions of the ICD-10-CM Official Guidelines for Coding and Reporting: a
code must be complete and assignable; codes with an Excludes1 note don't go together, unless the two
conditions are unrelated; a manifestation comes after its cause. An edition without notes
(ICD-9-CM, an imported list) gets the checks that need none.

A *hard* finding makes a claim invalid. A *soft* one is for a person to decide.

What an edition says about a code is read once (`icdcli.icd.rules.facts`), so that a review page can
check at every change, and an evaluation hundreds of thousands of sets.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from icdcli.icd.editions.edition import Edition
from icdcli.icd.rules.conventions import (
    MOTHER_AND_NEWBORN,
    is_maternal,
    is_newborn,
    never_principal,
    only_principal,
)
from icdcli.icd.rules.facts import CodeFacts, EditionFacts
from icdcli.icd.rules.findings import CodeSet, Finding, Severity, Span, hard_first


def check_codes(codes: CodeSet | Sequence[str], edition: Edition) -> list[Finding]:
    """Return what is wrong with the codes of an encounter, hard findings first.

    Args:
        codes: The codes, with their dots.
        edition: The edition that they are from.

    Example:
        >>> from icdcli.icd.editions.catalog import find_edition
        >>> found = check_codes(["E10.9", "E11.9"], find_edition("icd10cm"))
        >>> found[0].kind, found[0].words
        ('excludes', 'E10.9, Excludes1: type 2 diabetes mellitus (E11.-)')
    """
    return checker_of(edition).check(codes if isinstance(codes, CodeSet) else CodeSet(codes))


@lru_cache(8)
def checker_of(edition: Edition) -> "CodeChecker":
    """Return the checker of an edition, which remembers what it has read."""
    return CodeChecker(edition)


class CodeChecker:
    """The checks against one edition."""

    def __init__(self, edition: Edition) -> None:
        self.edition = edition
        self.facts = EditionFacts(edition)

    def check(self, codes: CodeSet) -> list[Finding]:
        """Return what is wrong with the codes of an encounter, hard findings first."""
        encounter = _Encounter(codes, [self.facts.of(code) for code in dict.fromkeys(codes.codes)])
        return hard_first(finding for check in _CHECKS for finding in check(encounter))


class _Encounter:
    """The codes of an encounter with their facts."""

    def __init__(self, codes: CodeSet, facts: list[CodeFacts]) -> None:
        self.codes, self.all = codes, facts
        self.known = [one for one in facts if one.is_known]
        self.distinct = {one.code for one in self.known}
        self.categories = {one.category for one in self.known}
        self.letters = {category[0] for category in self.categories}
        siblings: dict[str, list[CodeFacts]] = {}
        for one in self.known:
            siblings.setdefault(one.category, []).append(one)
        self.siblings = [several for several in siblings.values() if len(several) > 1]

    @property
    def pairs_of_siblings(self) -> Iterator[tuple[CodeFacts, CodeFacts]]:
        """Yield the ordered pairs of codes of the same category."""
        return (
            (one, other)
            for several in self.siblings
            for one in several
            for other in several
            if one is not other
        )

    def same_words(self, one: CodeFacts, other: CodeFacts) -> bool:
        """Return whether the same words of the note support two codes."""
        evidence = self.codes.evidence or {}
        spans: Sequence[Span] = evidence.get(other.code, ())
        return any(
            a.begin < b.end and b.begin < a.end for a in evidence.get(one.code, ()) for b in spans
        )


def _invalid(encounter: _Encounter) -> Iterator[Finding]:
    return (one.invalid for one in encounter.all if one.invalid is not None)


def _duplicate(encounter: _Encounter) -> Iterator[Finding]:
    codes = encounter.codes.codes
    if len(codes) == len(encounter.all):
        return
    for one in encounter.all:
        if codes.count(one.code) > 1:
            words = f"{one.code} occurs more than once."
            yield Finding("duplicate", "hard", (one.code,), words, "Keep one.")


def _with_category(encounter: _Encounter) -> Iterator[Finding]:
    below: dict[str, list[str]] = {}
    for one in encounter.known:
        if not one.above.isdisjoint(encounter.distinct):
            for code in one.above & encounter.distinct:
                below.setdefault(code, []).append(one.code)
    for code, others in below.items():
        words = f"{code} stands for {', '.join(others)}, too."
        yield Finding("with its category", "hard", (code, *others), words, f"Remove {code}.")


def _excludes(encounter: _Encounter) -> Iterator[Finding]:
    seen: set[frozenset[str]] = set()
    for one in encounter.known:
        for notes in one.excludes:
            if notes.categories.isdisjoint(encounter.categories):
                continue
            for other in encounter.known:
                if other.category not in notes.categories or other is one:
                    continue
                pair = frozenset((one.code, other.code))
                if pair in seen or not (note := notes.naming(other.code, one)):
                    continue
                seen.add(pair)
                yield Finding(
                    "excludes",
                    "soft",
                    (one.code, other.code),
                    f"{one.code}, Excludes1: {note.text}",
                    "Keep the one that the note supports; the same words support both."
                    if encounter.same_words(one, other)
                    else "Keep the one that the note supports, or both if the conditions are "
                    "unrelated.",
                )


def _code_first(encounter: _Encounter) -> Iterator[Finding]:
    order = {one.code: place for place, one in enumerate(encounter.known)}
    for one in encounter.known:
        if not one.words_first:
            continue
        causes = [
            other.code
            for other in encounter.known
            if other.category in one.categories_first and one.comes_after(other)
        ]
        severity: Severity = "hard" if one.is_manifestation else "soft"
        words, advice = one.words_first, "Add the code of the cause before it."
        if causes and encounter.codes.ordered:
            late = [cause for cause in causes if order[cause] > order[one.code]]
            if len(late) == len(causes):
                advice = f"Move {late[0]} before {one.code}."
                yield Finding("code first", severity, (one.code, *late), words, advice)
            continue
        unnamed = one.has_unnamed_causes and any(
            other is not one and other.is_disease for other in encounter.known
        )
        if not causes and one.is_manifestation:
            if not unnamed:
                yield Finding("manifestation", "hard", (one.code,), words, advice)
            elif one.code_first:
                advice = "Add the code of the cause before it, unless it is there."
                yield Finding("code first", "soft", (one.code,), words, advice)
        elif not causes and one.always_first and not unnamed:
            yield Finding("code first", "soft", (one.code,), words, advice)


def _additional(encounter: _Encounter) -> Iterator[Finding]:
    lacking: dict[int, list[CodeFacts]] = {}
    for one in encounter.known:
        for notes in one.additional:
            if not any(
                other.category in notes.categories and other is not one and notes.name(other.code)
                for other in encounter.known
            ):
                lacking.setdefault(notes.row, []).append(one)
    for row, several in lacking.items():
        words = (
            f"{several[0].edition.codes[row]}, use additional: {several[0].words_additional[row]}"
        )
        advice = "Add the code if the note supports it."
        codes = tuple(one.code for one in several)
        yield Finding("use additional", "soft", codes, words, advice)


def _side(encounter: _Encounter) -> Iterator[Finding]:
    for one, other in encounter.pairs_of_siblings:
        beside = one.parent == other.parent or _same_but_last(one.code, other.code)
        if beside and _names_side(one, other):
            words = f"{one.code}: {one.title}. {other.code}: {other.title}."
            advice = f"Remove {one.code} if both mean the same condition."
            yield Finding("unspecified side", "soft", (one.code, other.code), words, advice)


def _more_specific(encounter: _Encounter) -> Iterator[Finding]:
    for one, other in encounter.pairs_of_siblings if encounter.codes.evidence else ():
        if one.is_unspecified and not other.is_unspecified and encounter.same_words(one, other):
            words = f"The same words support {one.code} ({one.title}) and {other.code}."
            advice = f"Remove {one.code} if {other.code} is right."
            yield Finding("unspecified", "soft", (one.code, other.code), words, advice)


def _contradiction(encounter: _Encounter) -> Iterator[Finding]:
    for one, other in encounter.pairs_of_siblings:
        if one.lacks and other.title.lower().startswith(one.lacks):
            (_, own), (_, its) = one.sides, other.sides
            if own and its and own != its:
                continue
            words = f"{one.code}: {one.title}. {other.code}: {other.title}."
            advice = f"Remove {one.code} if both mean the same condition."
            yield Finding("contradiction", "soft", (one.code, other.code), words, advice)


def _combination(encounter: _Encounter) -> Iterator[Finding]:
    for one in encounter.known:
        for rule in one.combinations:
            for other in encounter.known:
                if rule.other.match(other.code):
                    yield _combined(one, other, rule.combined, rule.section)
                    break


def _combined(one: CodeFacts, other: CodeFacts, combined: str, section: str) -> Finding:
    edition = one.edition
    if combined == one.code:
        words = f"{other.code}: {other.title}. (Guidelines, section {section})"
        advice = f"Remove {one.code}: {other.code} has it."
    else:
        row = edition.row(combined)
        title = "" if row is None else edition.titles[row]
        includes = () if row is None else edition.notes(row, "includes")
        words = f"{combined} ({title}){': ' if includes else ''}{'; '.join(includes[:1])}. "
        words += f"(Guidelines, section {section})"
        advice = f"Take a code of {combined} for {one.code}, unless the note says otherwise."
    return Finding("combination", "soft", (one.code, other.code), words, advice)


def _mother_and_newborn(encounter: _Encounter) -> Iterator[Finding]:
    if not encounter.letters >= MOTHER_AND_NEWBORN:
        return
    known = [one.code for one in encounter.known if one.is_icd10cm]
    mother, newborn = list(filter(is_maternal, known)), list(filter(is_newborn, known))
    if mother and newborn:
        yield Finding(
            "mother and newborn",
            "soft",
            (*mother, *newborn),
            "Codes of chapter 15 are for use only on maternal records, codes of chapter 16 on "
            "newborn records only.",
            "Keep the codes of the record's own patient.",
        )


def _principal(encounter: _Encounter) -> Iterator[Finding]:
    if not encounter.codes.ordered or not encounter.all:
        return
    first, *others = encounter.all
    if not first.is_known or not first.is_icd10cm:
        return
    if (reason := never_principal(first.code, first.title)) is not None:
        words = (
            f"{first.code} ({first.title}) is {reason[1]}, and can't be the principal diagnosis."
        )
        advice = "Put the condition first that led to the admission."
        yield Finding("principal", reason[0], (first.code,), words, advice)
    mothers = [one.code for one in others if one.is_known and is_maternal(one.code)]
    if mothers and not is_maternal(first.code) and not only_principal(first.code):
        words = "Codes of chapter 15 come before codes of other chapters (guidelines, I.C.15.a.1)."
        yield Finding(
            "principal", "soft", (first.code, *mothers), words, f"Put {mothers[0]} first."
        )
    for one in others:
        if one.is_known and only_principal(one.code) and not only_principal(first.code):
            words = (
                f"{one.code} ({one.title}) may only be the principal diagnosis "
                "(guidelines, I.C.21.c.16)."
            )
            yield Finding("principal", "soft", (one.code,), words, "Put it first, or remove it.")


_CHECKS: tuple[Callable[[_Encounter], Iterator[Finding]], ...] = (
    *(_invalid, _duplicate, _with_category, _excludes, _code_first, _additional, _side),
    *(_more_specific, _contradiction, _combination, _mother_and_newborn, _principal),
)


def _names_side(one: CodeFacts, other: CodeFacts) -> bool:
    """Return if another title differs only by a side for which this one has "unspecified"."""
    (rest, own), (its_rest, its) = one.sides, other.sides
    if rest != its_rest or own == its:
        return False
    return all(mine in (yours, "unspecified") for mine, yours in zip(own, its, strict=True))


def _same_but_last(code: str, other: str) -> bool:
    """Return if two codes differ in the sixth character only, as those of sides with a seventh."""
    a, b = code.replace(".", ""), other.replace(".", "")
    return len(a) == len(b) == 7 and a[:5] == b[:5] and a[6] == b[6]
