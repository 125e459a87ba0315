"""The counts of codes that can't be assigned, for the data card."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from itertools import repeat
from typing import Any

from icdcli.data.sources.admission import Admission, Code
from icdcli.icd.code_system import CodeSystem
from icdcli.icd.validity import CodeValidity, Outdated, Status, outdated_entry

VALIDITY = "code_validity"
"""The entry of ``card.json`` about them."""

_FIRST = 10  # unknown codes that are named


class ValidityCounter:
    """Counts codes by the day of their documents, and then asks what they are."""

    def __init__(self, system: CodeSystem | None) -> None:
        self._system = system
        self._counts: Counter[tuple[Code, date | None]] = Counter()
        self._days: Counter[date | None] = Counter()

    def count(self, documents: Iterable[tuple[Admission, str]]) -> Iterator[tuple[Admission, str]]:
        """Yield documents and their splits, and count their codes."""
        for admission, split in documents:
            self._counts.update(zip(admission.codes, repeat(admission.day)))
            self._days[admission.day] += 1
            yield admission, split

    def entry(self) -> dict[str, Any] | None:
        """Return the entry of ``card.json``; None: the coding system is unknown.

        It has the counts of codes that are ``retired`` or ``future`` (of a later edition), of
        categories (``category``) and of codes that no edition at hand has (``unknown``); and
        of dated documents the first and last day, how many have no date, and which are `outside`
        of all editions at hand.
        """
        if self._system is None:
            return None
        validity = CodeValidity(self._system)
        found: dict[Status, Counter[Code]] = {}
        for (code, day), documents in self._counts.items():
            status = validity.status(code.code, code.kind, day)
            found.setdefault(status, Counter())[code] += documents
        entry: dict[str, Any] = {"edition": self._edition()}
        days = [day for day in self._days if day is not None]
        if days:
            entry["days"] = {
                "first": min(days).isoformat(),
                "last": max(days).isoformat(),
                "without": self._days[None],
                "outside": self._outside(validity),
            }
        for status in ("retired", "future"):
            if codes := found.get(status):
                entry[status] = outdated_entry(_outdated(validity, codes, status))
        for status in ("category", "unknown"):
            if codes := found.get(status):
                first = [code.code for code, _ in codes.most_common(_FIRST)]
                entry[status] = {"codes": len(codes), "mentions": codes.total(), "first": first}
        return entry

    def _edition(self) -> str:
        """Return the names of the editions of the kinds of codes in use."""
        assert self._system is not None
        if self._system.shape is None:
            return self._system.name
        used = {code.kind for code, _ in self._counts}
        names = [one.about.name for kind, one in self._system.editions.items() if kind in used]
        return " and ".join(dict.fromkeys(names)) or self._system.name

    def _outside(self, validity: CodeValidity) -> dict[str, Any] | None:
        """Return the documents of days without an edition at hand; None: there are none."""
        kinds_on: dict[date, set[str]] = {}
        for code, day in self._counts:
            if day is not None:
                kinds_on.setdefault(day, set()).add(code.kind)
        outside = [
            day
            for day, kinds in kinds_on.items()
            if not all(validity.has_edition(kind, day) for kind in kinds)
        ]
        if not outside:
            return None
        return {
            "documents": sum(self._days[day] for day in outside),
            "first": min(outside).isoformat(),
            "last": max(outside).isoformat(),
        }


def _outdated(
    validity: CodeValidity, codes: Mapping[Code, int], status: Status
) -> Iterator[Outdated]:
    for code, documents in codes.items():
        yield validity.outdated(code.code, code.kind, documents, status)
