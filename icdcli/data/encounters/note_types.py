"""The types of notes that are read, and those that there are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from icdcli.errors import DataError, nearest

_SHOWN = 30  # types that a message names


@dataclass
class NoteTypes:
    """A choice of types; blanks around them and upper and lower case don't matter.

    Attributes:
        wanted: The types to read; None: all.
        seen: Type to the number of notes of it, read or not, if there is a choice.
    """

    wanted: Sequence[str] | None = None
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._plain = None if self.wanted is None else {_plain(name) for name in self.wanted}

    def reads(self, type: str | None, notes: int = 1) -> bool:
        """Return whether notes of a type are read; if there is a choice, count the notes."""
        if self._plain is None:
            return True
        self.seen[(type or "").strip()] += notes
        return _plain(type or "") in self._plain

    def require_known(self, where: str, option: str = "note_types") -> None:
        """Raise an error if no note is of one of the types, once all notes are counted.

        Args:
            where: The table and the column, for the message.
            option: What the user calls the choice.

        Raises:
            DataError: If so; the message names the types that there are.
        """
        there = {_plain(name) for name in self.seen}
        unknown = [name for name in self.wanted or () if _plain(name) not in there]
        if not unknown:
            return
        names = [name for name, _ in self.seen.most_common() if name]
        counts = [f"{name} ({self.seen[name]:,})" for name in names[:_SHOWN]]
        more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
        raise DataError(
            f"{where}: no note has the type {unknown[0]!r}{nearest(unknown[0], names)}. The types "
            f"are: {', '.join(counts) or 'none'}{more}. Correct {option}."
        )


def _plain(name: str) -> str:
    return name.strip().casefold()
