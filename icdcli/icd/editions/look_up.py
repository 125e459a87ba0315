"""All that an edition says about one code."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from icdcli.errors import ConfigError
from icdcli.icd.code_cells import cell_codes
from icdcli.icd.code_system import edition_of, shape_of
from icdcli.icd.editions.edition import NOTE_KINDS, About, Edition, NoteKind
from icdcli.icd.editions.succession import Validity, other_system_with, series_of, validity_of
from icdcli.icd.lexicon.synonyms import synonyms
from icdcli.icd.lexicon.tables import LANGUAGES
from icdcli.icd.listed_cells import ListedCodes

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
        valid_from: The first day on which an edition at hand could assign the code; None: none can,
            or the day is unknown.
        new_after: The name of the last edition before that couldn't; None: there is none at hand.
        retired_after: The name of the last edition that could assign it, if a later one can't.
        retired_by: The first day on which the later edition is valid.
        became: Code and title of what took its place.
    """

    edition: About
    code: str
    title: str
    assignable: bool
    above: tuple[tuple[str, str], ...]
    below: tuple[tuple[str, str], ...]
    notes: Mapping[NoteKind, tuple[tuple[str, tuple[str, ...]], ...]]
    synonyms: tuple[str, ...]
    valid_from: date | None = None
    new_after: str | None = None
    retired_after: str | None = None
    retired_by: date | None = None
    became: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        days = {"valid_from": self.valid_from, "retired_by": self.retired_by}
        return {
            **asdict(self),
            **{name: day.isoformat() if day else None for name, day in days.items()},
            "edition": self.edition.to_json(),
        }


def look_up(code: str, name: str, language: str = "en") -> CodeDetails:
    """Return what an edition says about a code.

    A code that the edition lacks, but another one of the same system has, is shown as that one has
    it.

    Args:
        code: The code, with or without its dot.
        name: The edition, as `find_edition` takes it.
        language: The language of the synonyms.

    Raises:
        ConfigError: There is no such edition, or no edition of the system has the code.
        DataError: The edition can't be read.
    """
    edition = edition_of(name)
    code = _one_code(code, edition)
    row = edition.spelled(code)
    if row is not None:
        return _details(row, edition, language)
    for older in reversed(series_of(edition)):
        if (row := older.spelled(code)) is not None:
            found = _details(row, older, language)
            past = _past(validity_of(found.code, edition))
            return replace(found, edition=edition.about, assignable=False, **past)
    raise ConfigError(f"{code!r} isn't in {edition.about.title}{_where(code, edition)}")


def _one_code(written: str, edition: Edition) -> str:
    """Return the code of an argument, which may have the system's name or a title with it.

    Raises:
        ConfigError: If it has none or several, or can't be read.
    """
    system = shape_of(edition.about.name)
    try:
        codes = cell_codes(written, system, ListedCodes(edition) if system is None else None)
    except ValueError as error:
        if edition.spelled(written) is None and not written.isalnum():
            named = "" if str(error).startswith("'") else f"{written!r} "
            raise ConfigError(f"{named}{error}. Give one code.") from error
        return written
    if len(codes) != 1 and edition.spelled(written) is None:
        found = f"are {len(codes)} codes" if codes else "is no code"
        raise ConfigError(f"{written!r} {found}. Give one code.")
    return codes[0] if codes else written


def _where(code: str, edition: Edition) -> str:
    """Return the end of a message about an unknown code: where it is, or what is near."""
    if (other := other_system_with(code.strip().upper(), edition)) is not None:
        return f". It is a code of {other.about.title}: pass --edition {other.about.name}."
    if (longer := edition.spelled(f"{code}0")) is not None:
        return f"; {edition.codes[longer]} is. It may have lost a zero."
    return ". `icdcode codes search WORDS` finds codes."


def _past(validity: Validity) -> dict[str, Any]:
    new_after, retired_after = (
        about.name if about else None for about in (validity.new_after, validity.retired_after)
    )
    return {
        "valid_from": validity.valid_from,
        "new_after": new_after,
        "retired_after": retired_after,
        "retired_by": validity.retired_by,
        "became": validity.became,
    }


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
        **_past(validity_of(code, edition)),
    )
