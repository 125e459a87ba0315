"""A code in the other editions at hand: those before and after an edition, and other systems."""

from collections.abc import Iterator
from functools import lru_cache

from icdcli.icd.editions.catalog import editions, open_edition
from icdcli.icd.editions.edition import Edition


def system_of_edition(edition: Edition) -> str:
    """Return the coding system that the name of an edition begins with."""
    return edition.about.name.partition("-")[0]


def last_with(code: str, edition: Edition) -> Edition | None:
    """Return the last edition before a given one in which a code could be assigned."""
    return next((one for one in reversed(_before(edition)) if _assigns(one, code)), None)


def first_with(code: str, edition: Edition) -> Edition | None:
    """Return the first edition after a given one in which a code can be assigned."""
    return next((one for one in _after(edition) if _assigns(one, code)), None)


def other_system_with(code: str, edition: Edition) -> Edition | None:
    """Return the newest edition of another coding system that has a code."""
    own = system_of_edition(edition)
    newest = {system_of_edition(one): one for one in _all()}
    return next(
        (one for name, one in newest.items() if name != own and one.row(code) is not None), None
    )


def _assigns(edition: Edition, code: str) -> bool:
    row = edition.row(code)
    return row is not None and bool(edition.assignable_R[row])


@lru_cache(8)
def _before(edition: Edition) -> tuple[Edition, ...]:
    day = edition.about.valid_from
    return tuple(
        one
        for one in _of_system(edition)
        if day is not None and one.about.valid_from is not None and one.about.valid_from < day
    )


@lru_cache(8)
def _after(edition: Edition) -> tuple[Edition, ...]:
    day = edition.about.valid_from
    return tuple(
        one
        for one in _of_system(edition)
        if day is not None and one.about.valid_from is not None and one.about.valid_from > day
    )


def _of_system(edition: Edition) -> Iterator[Edition]:
    return (one for one in _all() if system_of_edition(one) == system_of_edition(edition))


def _all() -> Iterator[Edition]:
    return (open_edition(one.path) for one in editions())
