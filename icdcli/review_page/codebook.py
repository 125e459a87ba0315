"""The codes that reviewers may choose from: search, titles, and what an edition says of a code."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from icdcli.errors import IcdcodeError
from icdcli.icd.codes import Kind
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.edition import Edition, NoteKind
from icdcli.icd.rules.encounters import EncounterChecks
from icdcli.icd.rules.findings import CodeSet, Span
from icdcli.icd.search import search_codes
from icdcli.review.schema import ModelRow
from icdcli.review.state import ReviewState
from icdcli.review.store import Store

SHORTEST_QUERY = 2
_OWN_NOTES: tuple[NoteKind, ...] = ("includes",)
_INHERITED_NOTES: tuple[NoteKind, ...] = (
    *("excludes1", "excludes2", "code_first", "use_additional", "code_also"),
)


@dataclass(frozen=True)
class Codebook:
    """The editions of a model's codes.

    Attributes:
        editions: The edition of each kind of code.
        of_model: The codes that the model can suggest; None: unknown.
    """

    editions: Mapping[Kind, Edition] = field(default_factory=dict)
    of_model: Collection[str] | None = None

    def search(self, query: str, most: int) -> list[dict[str, Any]]:
        """Return the codes that match a query best, diagnoses before procedures.

        Args:
            query: Words, or the beginning of a code; two characters or more.
            most: The most codes.
        """
        if len(query.strip()) < SHORTEST_QUERY:
            return []
        return [
            {
                "code": hit.code,
                "title": hit.title,
                "term": hit.term,
                "assignable": hit.assignable,
                "edition": edition.about.name,
                "in_model": None if self.of_model is None else hit.code in self.of_model,
            }
            for edition in self._distinct()
            for hit in search_codes(query, edition, most)
        ][:most]

    def about(self, code: str) -> dict[str, Any] | None:
        """Return what the edition says of a code; None: no edition has it."""
        for edition in self._distinct():
            if (row := edition.spelled(code)) is not None:
                return _details(edition, row)
        return None

    def title(self, code: str) -> str | None:
        """Return the title of a code; None: no edition has it."""
        found = (edition.title(code) for edition in self._distinct())
        return next((title for title in found if title), None)

    def titles(self, codes: Iterable[str]) -> dict[str, str]:
        """Return code to title, of codes that have one."""
        return {code: title for code in codes if (title := self.title(code))}

    def findings(self, state: ReviewState) -> list[dict[str, Any]]:
        """Return what is wrong with the codes of a state, hard findings first."""
        evidence = {
            code: [Span(*span) for span in one.evidence or ()]
            for code, one in state.decisions.items()
        }
        codes = CodeSet(state.codes, ordered=bool(state.order), evidence=evidence)
        found = EncounterChecks(self.editions).check_set(codes)
        return [{"key": f"{one.kind}: {', '.join(one.codes)}", **one.to_json()} for one in found]

    def hard_findings(self, state: ReviewState) -> list[str]:
        """Return the keys of the findings that keep a reading from being submitted."""
        return [one["key"] for one in self.findings(state) if one["severity"] == "hard"]

    def _distinct(self) -> list[Edition]:
        """Return the editions, each once: one may have the codes of several kinds."""
        return list({edition.sha256: edition for edition in self.editions.values()}.values())


def codebook_of(store: Store) -> Codebook:
    """Return the editions of the newest model of a store, as far as they are at hand."""
    with store.reading() as connection:
        query = select(ModelRow.editions).order_by(ModelRow.number.desc()).limit(1)
        recorded = connection.scalar(query) or {}
    found: dict[Kind, Edition] = {}
    for kind, edition in recorded.items():
        try:
            found[kind] = find_edition(edition["name"])
        except IcdcodeError:
            continue  # an edition of the user's own, on another computer
    return Codebook(found)


def _details(edition: Edition, row: int) -> dict[str, Any]:
    def named(place: int) -> dict[str, Any]:
        return {
            "code": edition.codes[place],
            "title": edition.titles[place],
            "assignable": bool(edition.assignable_R[place]),
        }

    above = list(edition.above(row))
    beside = edition.children(above[0]) if above else []
    own = {
        kind: [{"code": edition.codes[row], "texts": list(texts)}]
        for kind in _OWN_NOTES
        if (texts := edition.notes(row, kind))
    }
    inherited = {
        kind: [
            {"code": edition.codes[place], "texts": list(texts)}
            for place, texts in edition.notes_above(row, kind)
        ]
        for kind in _INHERITED_NOTES
    }
    return {
        **named(row),
        "edition": edition.about.name,
        "notes": {
            kind: {**own, **inherited}.get(kind, []) for kind in (*_OWN_NOTES, *_INHERITED_NOTES)
        },
        "parents": [named(place) for place in reversed(above)],
        "siblings": [named(place) for place in beside if place != row],
        "children": [named(place) for place in edition.children(row)],
    }
