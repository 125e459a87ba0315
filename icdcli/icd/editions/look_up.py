"""All that an edition says about one code."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from icdcli.errors import ConfigError
from icdcli.icd.editions.catalog import editions, find_edition, open_edition
from icdcli.icd.editions.edition import NOTE_KINDS, About, Edition, NoteKind
from icdcli.icd.lexicon.synonyms import synonyms
from icdcli.icd.lexicon.tables import LANGUAGES

_FROM_ABOVE: tuple[NoteKind, ...] = (
    *("excludes1", "excludes2", "code_first", "use_additional", "code_also", "seventh"),
)
"""The notes of rows above a code that apply to it."""


@dataclass(frozen=True)
class CodeDetails:
    """What an edition says about a code.

    Attributes:
        edition: What is known about the edition.
        code: The code.
        title: Its title; empty: it has none there.
        assignable: Whether it can be assigned.
        above: Code and title of what is above it, the chapter first.
        below: Code and title of what is directly below it.
        notes: Kind of note to the rows and notes: those of the code itself, then those of the rows
            above it that apply to it.
        synonyms: The synonyms of the clinical lexicon.
        retired_after: The name of the edition that had the code last; None: the code is in this
            edition.
    """

    edition: About
    code: str
    title: str
    assignable: bool
    above: tuple[tuple[str, str], ...]
    below: tuple[tuple[str, str], ...]
    notes: Mapping[NoteKind, tuple[tuple[str, tuple[str, ...]], ...]]
    synonyms: tuple[str, ...]
    retired_after: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "edition": self.edition.to_json()}


def look_up(code: str, name: str, language: str = "en") -> CodeDetails:
    """Return what an edition says about a code.

    A code that the edition lacks, but an older one of the same system has, is a retired one.

    Args:
        code: The code, with or without its dot.
        name: The edition, as `find_edition` takes it.
        language: The language of the synonyms.

    Raises:
        ConfigError: There is no such edition, or no edition of the system has the code.
        DataError: The edition can't be read.
    """
    edition = find_edition(name)
    row = edition.spelled(code)
    if row is not None:
        return _details(row, edition, language)
    system = edition.about.name.partition("-")[0]
    for one in reversed(editions()):
        if one.about.name.partition("-")[0] != system:
            continue
        older = open_edition(one.path)
        if (row := older.spelled(code)) is not None:
            found = _details(row, older, language)
            return CodeDetails(
                **{
                    **{name: getattr(found, name) for name in found.__dataclass_fields__},
                    "edition": edition.about,
                    "assignable": False,
                    "retired_after": one.about.name,
                }
            )
    raise ConfigError(
        f"{code!r} isn't in {edition.about.title}. `icdcode codes search WORDS` finds codes."
    )


def _details(row: int, edition: Edition, language: str) -> CodeDetails:
    code = edition.codes[row]

    def named(place: int) -> tuple[str, str]:
        return edition.codes[place], edition.titles[place]

    notes = {}
    for kind in NOTE_KINDS:
        places = edition.notes_above(row, kind) if kind in _FROM_ABOVE else ()
        own = edition.notes(row, kind)
        found = [(edition.codes[place], texts) for place, texts in places] or (
            [(code, own)] if own else []
        )
        if found:
            notes[kind] = tuple(found)
    known = language in LANGUAGES and edition.about.name.startswith("icd10cm")
    return CodeDetails(
        edition.about,
        code,
        edition.titles[row],
        bool(edition.assignable_R[row]),
        tuple(named(place) for place in reversed(list(edition.above(row)))),
        tuple(named(place) for place in edition.children(row)),
        notes,
        synonyms(language).get(code, ()) if known else (),
    )
