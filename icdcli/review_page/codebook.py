"""The codes that reviewers may choose from: search, titles, and what an edition says of a code."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import select

from icdcli.errors import IcdcodeError
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.edition import Edition, NoteKind
from icdcli.icd.editions.records import Editions
from icdcli.icd.search import search_codes
from icdcli.review.schema import ModelRow
from icdcli.review.store import Store

SHORTEST_QUERY = 2
_DEFAULT = "icd10cm"  # before a model has suggested anything
_OWN_NOTES: tuple[NoteKind, ...] = ("includes",)
_INHERITED_NOTES: tuple[NoteKind, ...] = (
    *("excludes1", "excludes2", "code_first", "use_additional", "code_also"),
)


class Codebook:
    """The editions of the codes in a store: those of its newest model.

    Attributes:
        of_model: The codes that the model can suggest; None: unknown.
    """

    def __init__(self, store: Store, of_model: Collection[str] | None = None) -> None:
        self._store, self.of_model = store, of_model
        self._model: int | None = None
        self._opened: tuple[Edition, ...] = ()

    def search(self, query: str, most: int) -> list[dict[str, Any]]:
        """Return the codes that match a query best, diagnoses before procedures.

        If there are too many, each edition keeps its share: diagnoses hide no procedures.

        Args:
            query: Words, or the beginning of a code; two characters or more.
            most: The most codes.
        """
        if len(query.strip()) < SHORTEST_QUERY:
            return []
        editions = self._editions()
        found = [search_codes(query, edition, most) for edition in editions]
        kept = [len(hits) for hits in found]
        while sum(kept) > most:
            longest = max(range(len(kept)), key=lambda place: (kept[place], place))
            kept[longest] -= 1
        return [
            {
                "code": hit.code,
                "title": hit.title,
                "term": hit.term,
                "assignable": hit.assignable,
                "edition": edition.about.name,
                "in_model": None if self.of_model is None else hit.code in self.of_model,
            }
            for edition, hits, number in zip(editions, found, kept, strict=True)
            for hit in hits[:number]
        ]

    def about(self, code: str) -> dict[str, Any] | None:
        """Return what the edition says of a code; None: no edition has it."""
        for edition in self._editions():
            if (row := edition.spelled(code)) is not None:
                return _details(edition, row)
        return None

    def title(self, code: str) -> str | None:
        """Return the title of a code; None: no edition has it."""
        found = (edition.title(code) for edition in self._editions())
        return next((title for title in found if title), None)

    def titles(self, codes: Iterable[str]) -> dict[str, str]:
        """Return code to title, of codes that have one."""
        return {code: title for code in codes if (title := self.title(code))}

    def _editions(self) -> tuple[Edition, ...]:
        """Return the editions, each once: one may have the codes of several kinds."""
        with self._store.reading() as connection:
            query = select(ModelRow.number).order_by(ModelRow.number.desc()).limit(1)
            newest = connection.scalar(query) or 0
            if newest != self._model:
                query = select(ModelRow.editions).where(ModelRow.number == newest)
                self._opened = _open(connection.scalar(query) or {})
                self._model = newest
        return self._opened


def _open(recorded: Editions) -> tuple[Edition, ...]:
    """Return the editions that a model names, as far as they are at hand."""
    found: dict[str, Edition] = {}
    for name in [one["name"] for one in recorded.values()] or [_DEFAULT]:
        try:
            edition = find_edition(name)
        except IcdcodeError:
            continue  # an edition of the user's own, on another computer
        found[edition.sha256] = edition
    return tuple(found.values())


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
        kind: [{"code": edition.codes[row], "texts": _legible(texts)}]
        for kind in _OWN_NOTES
        if (texts := edition.notes(row, kind))
    }
    inherited = {
        kind: [
            {"code": edition.codes[place], "texts": _legible(texts)}
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


def _legible(texts: Iterable[str]) -> list[str]:
    """Return notes as they read below a heading: ``Code first, if applicable`` lost two words."""
    return [text.lstrip(",;: ") for text in texts]
