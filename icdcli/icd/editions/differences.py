"""What changed between two editions of a coding system."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from icdcli.errors import ConfigError
from icdcli.icd.editions.edition import Edition
from icdcli.icd.editions.successors import Successors


class Retired(NamedTuple):
    """A code that could be assigned, and can't any more.

    Attributes:
        code: The code.
        title: Its title in the older edition.
        into: The codes of the newer edition that took its place; empty: it was deleted.
    """

    code: str
    title: str
    into: tuple[str, ...]


class Renamed(NamedTuple):
    """A code with another title."""

    code: str
    before: str
    after: str


@dataclass(frozen=True)
class Differences:
    """The differences between two editions, of the codes that can be assigned.

    Attributes:
        older: The name of the older edition.
        newer: The name of the newer edition.
        added: The new codes, with their titles.
        retired: The codes that can't be assigned any more.
        renamed: The codes with another title.
    """

    older: str
    newer: str
    added: tuple[tuple[str, str], ...]
    retired: tuple[Retired, ...]
    renamed: tuple[Renamed, ...]

    def to_json(self) -> dict[str, Any]:
        """Return them as plain values."""
        return {
            "older": self.older,
            "newer": self.newer,
            "added": [{"code": code, "title": title} for code, title in self.added],
            "retired": [one._asdict() for one in self.retired],
            "renamed": [one._asdict() for one in self.renamed],
        }


def compare_editions(older: Edition, newer: Edition) -> Differences:
    """Return what changed from one edition to another.

    Raises:
        ConfigError: If they are of different coding systems.
    """
    if older.about.system != newer.about.system:
        raise ConfigError(
            f"{older.about.name} and {newer.about.name} are of different coding systems. "
            "`icdcode codes map` shows the equivalents of a code."
        )
    before, after = dict(older.assignable()), dict(newer.assignable())
    successors = Successors(older, newer)
    return Differences(
        older.about.name,
        newer.about.name,
        tuple((code, title) for code, title in after.items() if code not in before),
        tuple(
            Retired(code, title, successors.of(code))
            for code, title in before.items()
            if code not in after
        ),
        tuple(
            Renamed(code, title, after[code])
            for code, title in before.items()
            if after.get(code, title) != title
        ),
    )
