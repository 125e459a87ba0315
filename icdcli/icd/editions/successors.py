"""What became of the codes that an edition can't assign any more."""

import re
from collections.abc import Iterator
from functools import cached_property

from icdcli.icd.editions.edition import Edition

_PLACEHOLDERS = re.compile(r"([A-Z]\d[0-9A-Z]\.[0-9A-WYZ]*)X+([0-9A-Z])")


class Successors:
    """The codes of a newer edition that took the place of those that it retired.

    Args:
        older: The older edition; None: unknown, so that every code could be assigned.
        newer: The newer edition.
    """

    def __init__(self, older: Edition | None, newer: Edition) -> None:
        self._older, self._newer = older, newer

    def is_retired(self, code: str) -> bool:
        """Return whether a code could be assigned, and can't any more.

        A code that neither edition can assign hasn't changed.
        """
        return not self._newer.assigns(code) and (self._older is None or self._older.assigns(code))

    def of(self, code: str) -> tuple[str, ...]:
        """Return what a retired code became; nothing if it was deleted.

        These are the first that there are: the codes below it; those that begin with it, if the
        newer edition lacks the code itself; a new code with the same title; those that have
        characters for its placeholders (``T78.070A`` for ``T78.07XA``); a code above it that can
        now be assigned.
        """
        found = tuple(self._below(code))
        if not found and code not in self._newer:
            found = tuple(self._beginning_with(code))
        if not found:
            found = tuple(self._with_its_title(code))
        if not found:
            found = tuple(self._without_placeholders(code))
        return found or tuple(self._above(code))

    def _below(self, code: str) -> list[str]:
        row = self._newer.row(code)
        return [] if row is None else self._newer.assignable_below(row)

    def _beginning_with(self, code: str) -> Iterator[str]:
        beginning = _bare(code)
        if self._is_nested_by_prefix and beginning:
            for other, _ in self._newer.assignable():
                if _bare(other).startswith(beginning):
                    yield other

    def _with_its_title(self, code: str) -> Iterator[str]:
        title = None if self._older is None else self._older.title(code)
        same = self._new_titles.get(title.casefold(), []) if title else []
        if len(same) == 1:
            yield same[0]

    def _without_placeholders(self, code: str) -> Iterator[str]:
        written = _PLACEHOLDERS.fullmatch(code)
        if written is not None:
            for other in self._below(written[1].rstrip(".")):
                if len(other) == len(code) and other.endswith(written[2]):
                    yield other

    def _above(self, code: str) -> Iterator[str]:
        row = None if self._older is None else self._older.row(code)
        if self._older is None or row is None:
            return
        for above in self._older.above(row):
            other = self._older.codes[above]
            if self._newer.assigns(other) and not self._older.assignable_R[above]:
                yield other
                return

    @cached_property
    def _is_nested_by_prefix(self) -> bool:
        """Return whether codes of the newer edition begin with the codes above them."""
        codes, parents = self._newer.codes, self._newer.parents_R.tolist()
        of_codes = [self._newer.level(row) in ("code", "category") for row in range(len(codes))]
        return all(
            _bare(codes[row]).startswith(_bare(codes[above]))
            for row, above in enumerate(parents)
            if above >= 0 and of_codes[above]
        )

    @cached_property
    def _new_titles(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for code, title in self._newer.assignable():
            if self._older is None or code not in self._older:
                found.setdefault(title.casefold(), []).append(code)
        return found


def _bare(code: str) -> str:
    return "".join(filter(str.isalnum, code))
