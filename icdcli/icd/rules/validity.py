"""Checks of single codes: whether an edition has a code, and whether it can be assigned."""

from bisect import bisect_left
from functools import lru_cache

from icdcli.icd.codes import without_placeholders
from icdcli.icd.editions.edition import Edition
from icdcli.icd.editions.succession import (
    first_with,
    nearest_above,
    other_system_with,
    validity_of,
)
from icdcli.icd.rules.findings import Finding

_SHOWN = 6  # codes below another one that a finding names
_ICD10CM = "icd10cm"
_COMPLETE = 8  # characters of a code with its dot and a seventh character
_TAKE_VALID = "Take a code that is valid on the day of the discharge."


def invalid(code: str, edition: Edition) -> Finding | None:
    """Return why a code can't be assigned; None: it can."""
    row = edition.row(code)
    if row is None and (bare := _row_without_placeholders(code, edition)) is not None:
        row = bare
    if row is None and (longer := _beginning_with(code, edition)):
        return _incomplete(code, longer, edition)
    if row is None:
        words, advice = _unknown(code, edition)
        return Finding("unknown", "hard", (code,), words, advice)
    if edition.assignable_R[row]:
        return None
    children = edition.children(row)
    seventh = next(iter(edition.notes_above(row, "seventh")), None)
    if seventh is not None and all(edition.assignable_R[children]):
        words = f"{code} needs a seventh character ({_listed(seventh[1], '; ')})."
        return Finding("seventh character", "hard", (code,), words, _take(row, edition))
    past = validity_of(code, edition)
    words = f"{code} ({edition.titles[row]}) can't be assigned; it stands for others."
    if past.retired_after is not None:
        words = (
            f"{code} ({edition.titles[row]}) can't be assigned any more: it has been divided since "
            f"{past.retired_after.title}."
        )
    return Finding("not assignable", "hard", (code,), words, _take(row, edition))


def _beginning_with(code: str, edition: Edition) -> list[str]:
    """Return the codes that begin with one that a plain list of codes doesn't have: S72.001."""
    if not edition.about.name.startswith(_ICD10CM) or validity_of(code, edition).retired_after:
        return []
    known = _assignable(edition)
    begin = bisect_left(known, code)
    return known[begin : bisect_left(known, f"{code}\uffff")]


@lru_cache(8)
def _assignable(edition: Edition) -> list[str]:
    return sorted(code for code, _ in edition.assignable())


def _incomplete(code: str, longer: list[str], edition: Edition) -> Finding:
    advice = f"Take one of {_listed(longer, ', ')}."
    if all(len(one) == _COMPLETE == len(code) + 1 for one in longer):
        words = f"{code} needs a seventh character in {edition.about.title}."
        return Finding("seventh character", "hard", (code,), words, advice)
    words = f"{code} can't be assigned in {edition.about.title}; it stands for others."
    return Finding("not assignable", "hard", (code,), words, advice)


def _row_without_placeholders(code: str, edition: Edition) -> int | None:
    """Return the row of a code that is complete but for its seventh character: S47.2XX."""
    row = edition.row(without_placeholders(code)) if code.endswith("X") else None
    return row if row is not None and not edition.assignable_R[row] else None


def _unknown(code: str, edition: Edition) -> tuple[str, str]:
    """Return why a code may be unknown, and what to do."""
    own, words = edition.about, f"{code} isn't in {edition.about.title}"
    if (newer := first_with(code, edition)) is not None:
        return (
            f"{words}: it is new in {newer.about.title}, valid from {newer.about.valid_from}.",
            _TAKE_VALID,
        )
    past, above = validity_of(code, edition), nearest_above(code, edition)
    advice = _TAKE_VALID if above is None else _take(above, edition)
    if past.retired_after is not None:
        now = [one for one, _ in past.became]
        if now:
            advice = f"Take {'' if len(now) == 1 else 'one of '}{_listed(now, ', ')}."
        return f"{words} any more; it was in {past.retired_after.title}: {past.title}.", advice
    if (other := other_system_with(code, edition)) is not None:
        return (
            f"{words}: it is a code of {other.about.title}.",
            f"Take a code of {own.name.partition('-')[0]}; `icdcode codes map` has equivalents.",
        )
    if above is not None:
        if code != edition.codes[above] and (longer := edition.row(f"{code}0")) is not None:
            return f"{words}; {edition.codes[longer]} is. It may have lost a zero.", advice
        title = f" ({edition.titles[above]})" if edition.titles[above] else ""
        return f"{words}; the nearest is {edition.codes[above]}{title}.", advice
    return f"{words}.", advice


def _take(row: int, edition: Edition) -> str:
    """Return the advice to take a code below a row, or the row's own."""
    if edition.assignable_R[row]:
        return f"Take {edition.codes[row]}, if it is right."
    return f"Take one of {_listed(edition.assignable_below(row), ', ')}."


def _listed(found: list[str] | tuple[str, ...], between: str) -> str:
    if len(found) <= _SHOWN + 1:
        return between.join(found)
    return f"{between.join(found[:_SHOWN])} and {len(found) - _SHOWN} others"
