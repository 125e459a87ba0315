"""Which codes can be assigned on a day, by the editions at hand."""

from collections.abc import Iterable
from datetime import date
from typing import Any, Literal, NamedTuple

from icdcli.icd.code_system import CodeSystem
from icdcli.icd.editions.edition import Edition
from icdcli.icd.editions.succession import series_of, validity_of
from icdcli.icd.titles import is_known

Status = Literal["valid", "retired", "future", "category", "unknown"]
"""``valid``: can be assigned. ``retired``, ``future``: only an earlier or a later edition at hand
has the code. ``category``: stands for the codes below it or that begin with it, and always did.
``unknown``: no edition at hand has it."""

_FIRST = 10  # codes that are named


class Outdated(NamedTuple):
    """A code of notes that its edition lacks, but another edition has.

    Attributes:
        code: The code.
        title: Its title in the edition that has it.
        documents: The documents that have the code on a day on which it isn't valid.
        edition: The name of the edition that has it: the last one before, or the first one after.
        into: The codes that took its place; empty: there are none.
    """

    code: str
    title: str
    documents: int
    edition: str
    into: tuple[str, ...]


class CodeValidity:
    """The editions at hand of a coding system, asked about the codes of notes.

    On a day without an edition at hand, the nearest one before and the nearest one after are asked,
    so that a code counts as outdated only if neither has it.
    """

    def __init__(self, system: CodeSystem) -> None:
        self._system = system

    def status(self, code: str, kind: str, day: date | None = None) -> Status:
        """Return what a code is.

        Args:
            code: The code, as its system writes it.
            kind: ``diagnosis`` or ``procedure``.
            day: The day; None: the edition of the coding system is asked.
        """
        own = self._system.edition(kind)
        if own is None:
            return "unknown"
        asked = _editions_on(own, day)
        if any(edition.assigns(code) for edition in asked):
            return "valid"
        family = series_of(own)
        first, last = family.index(asked[0]), family.index(asked[-1])
        if any(edition.assigns(code) for edition in family[:first]):
            return "retired"
        if any(edition.assigns(code) for edition in family[last + 1 :]):
            return "future"
        if any(code in edition for edition in family):
            return "category"
        shape = self._system.shape  # of beginnings of codes, only those of categories are rows
        return "category" if shape is not None and is_known(code, kind, shape) else "unknown"

    def has_edition(self, kind: str, day: date) -> bool:
        """Return whether an edition at hand that has a kind of code is valid on a day."""
        own = self._system.edition(kind)
        return own is not None and any(_is_valid_on(one, day) for one in series_of(own))

    def outdated(self, code: str, kind: str, documents: int, status: Status) -> Outdated:
        """Return what is known about a code whose status is ``retired`` or ``future``."""
        current = self._system.edition(kind)
        assert current is not None, kind
        having = [one for one in series_of(current) if one.assigns(code)]
        edition = having[-1] if status == "retired" else having[0]
        into = [one for one, _ in validity_of(code, current).became] if status == "retired" else []
        title = edition.title(code) or ""
        return Outdated(code, title, documents, edition.about.name, tuple(into))


def outdated_entry(codes: Iterable[Outdated]) -> dict[str, Any]:
    """Return the entry of a card about outdated codes, the most frequent first."""
    ordered = sorted(codes, key=lambda one: (-one.documents, one.code))
    return {
        "codes": len(ordered),
        "mentions": sum(one.documents for one in ordered),
        "first": [{**one._asdict(), "into": list(one.into)} for one in ordered[:_FIRST]],
    }


def _editions_on(own: Edition, day: date | None) -> tuple[Edition, ...]:
    """Return the editions to ask about a day: that of the day, or the nearest ones."""
    if day is None:
        return (own,)
    family = series_of(own)
    before = [one for one in family if (one.about.valid_from or date.min) <= day]
    if before and (before[-1].about.valid_to or date.max) >= day:
        return (before[-1],)
    return (*before[-1:], *family[len(before) : len(before) + 1])


def _is_valid_on(edition: Edition, day: date) -> bool:
    return (edition.about.valid_from or date.min) <= day <= (edition.about.valid_to or date.max)
