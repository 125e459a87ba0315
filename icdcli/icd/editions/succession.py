"""A code in the other editions at hand: since when it is valid, and what became of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from icdcli.icd.editions.catalog import editions, open_edition
from icdcli.icd.editions.edition import About, Edition
from icdcli.icd.editions.successors import Successors


@dataclass(frozen=True)
class Validity:
    """When a code can be assigned, as far as the editions at hand show.

    Attributes:
        valid_from: The first day on which an edition could assign it; None: unknown.
        new_after: The last edition before that couldn't; None: there is none.
        retired_after: The last edition that could assign it, if a later one can't.
        retired_by: The first day on which the later edition is valid.
        title: Its title in the last edition that could assign it.
        became: The codes that took its place, with their titles.
    """

    valid_from: date | None = None
    new_after: About | None = None
    retired_after: About | None = None
    retired_by: date | None = None
    title: str = ""
    became: tuple[tuple[str, str], ...] = ()


def validity_of(code: str, edition: Edition) -> Validity:
    """Return when a code can be assigned, as seen from an edition of its system."""
    series = series_of(edition)
    has = [one.assigns(code) for one in series]
    here = series.index(edition)
    last = next((place for place in range(here, -1, -1) if has[place]), None)
    if last is None:  # it is new in a later edition, or never assigned
        last = next((place for place in range(here, len(series)) if has[place]), None)
    if last is None:
        return Validity()
    first = last
    while first and has[first - 1]:
        first -= 1
    while last + 1 < len(series) and has[last + 1]:
        last += 1
    since = series[first].about.valid_from
    before = series[first - 1].about if first else None
    if last + 1 == len(series):
        return Validity(since, before)
    # Seen from a later edition, what counts is what that one has.
    later = series[max(last + 1, here)]
    became = _successors(series[last], later).of(code) or _ending_alike(code, later)
    named = tuple((one, later.title(one) or "") for one in became)
    retired_by = series[last + 1].about.valid_from
    title = series[last].title(code) or ""
    return Validity(since, before, series[last].about, retired_by, title, named)


@lru_cache(8)
def _successors(older: Edition, newer: Edition) -> Successors:
    """Return the successors between two editions, whose tables are then made once."""
    return Successors(older, newer)


@lru_cache(8)
def series_of(edition: Edition) -> tuple[Edition, ...]:
    """Return the editions of the system of an edition, itself included, the oldest first."""
    found = list(_of_system(edition))
    return tuple(found) if edition in found else (edition,)


def edition_on(edition: Edition, day: date) -> Edition:
    """Return the edition of the same system that was valid on a day, or else the first one."""
    series = series_of(edition)
    before = [one for one in series if (one.about.valid_from or date.min) <= day]
    return before[-1] if before else series[0]


def first_with(code: str, edition: Edition) -> Edition | None:
    """Return the first edition after a given one in which a code can be assigned."""
    series = series_of(edition)
    after = series[series.index(edition) + 1 :]
    return next((one for one in after if one.assigns(code)), None)


def other_system_with(code: str, edition: Edition) -> Edition | None:
    """Return the newest edition of another coding system that has a code."""
    own = edition.about.system
    newest = {one.about.system: one for one in _all()}
    return next(
        (one for name, one in newest.items() if name != own and one.row(code) is not None), None
    )


def nearest_above(code: str, edition: Edition) -> int | None:
    """Return the row of the longest beginning of a code that is a category or code."""
    for length in range(len(code) - 1, 2, -1):
        row = edition.row(code[:length].rstrip("."))
        if row is not None and edition.level(row) in ("category", "code"):
            return row
    return None


def _ending_alike(code: str, edition: Edition) -> tuple[str, ...]:
    """Return the codes near a retired one that have its last character: its kind of encounter."""
    above = nearest_above(code, edition)
    if above is None:
        return ()
    return tuple(one for one in edition.assignable_below(above) if one[-1] == code[-1])


def _of_system(edition: Edition) -> Iterator[Edition]:
    system = edition.about.system
    return (open_edition(one.path) for one in editions() if one.about.system == system)


def _all() -> Iterator[Edition]:
    return (open_edition(one.path) for one in editions())
