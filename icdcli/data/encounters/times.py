"""Times in cells of tables, by which the notes of an encounter are ordered.

Only forms that begin with the year are read, as in `icdcli.icd.days`. Unlike the days of discharge,
times may be shifted to any year. A time with a zone is converted to UTC; a day is its first moment.
"""

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

from icdcli.icd.code_cells import MISSING, shown

_CLOCK = r"(?P<hour>\d\d?):?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,]\d+)?)?"
_ZONE = r" ?(?P<zone>Z|UTC|[-+]\d\d(?::?\d\d)?)?"
_TIME = re.compile(
    r"(?P<year>\d{4})(?:[-/.] ?|년 ?)(?P<month>\d\d?)(?:[-/.] ?|월 ?)(?P<day>\d\d?)[.일]?"
    rf"(?:[T ] ?{_CLOCK}{_ZONE})?"
)
_COMPACT = re.compile(
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
    rf"(?:T?(?P<hour>\d\d)(?P<minute>\d\d)(?:(?P<second>\d\d)(?:\.\d+)?)?{_ZONE})?"
)
_HOW = "Write times as 2026-05-31 08:00"


def read_time(value: Any, counted_from: date | None = None) -> datetime | None:
    """Return the time of a cell; None: it has none.

    Args:
        value: A date or time of Python or Arrow; a text that begins with year, month and day
            (``2026-05-31T08:00Z``, ``20260531080000``); or the number ``20260531``.
        counted_from: The day from which the numbers of a workbook count days; None: it isn't one.

    Raises:
        ValueError: If it can't be read in one way only; the message is the end of a sentence that
            names the row and the column.
    """
    if value is None or value != value:  # NaN, NaT
        return None
    if isinstance(value, datetime):  # pandas' own type counts nanoseconds, too
        clock = (value.hour, value.minute, value.second, value.microsecond)
        return _in_utc(datetime(value.year, value.month, value.day, *clock, tzinfo=value.tzinfo))
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if isinstance(value, float) and counted_from is None and value.is_integer():
        value = int(value)  # a column of whole numbers with an empty cell, in pandas
    if isinstance(value, int | float) and not isinstance(value, bool):
        if counted_from is not None and 0 <= value < 10**6:
            first = datetime(counted_from.year, counted_from.month, counted_from.day)
            return first + timedelta(seconds=round(value * 86_400))
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"is {type(value).__name__}, not a time. {_HOW}")
    text = value.strip().removesuffix(".0") if value.strip().isascii() else value.strip()
    if text.lower() in MISSING or not text:
        return None
    if text[4:5] == "-":
        with suppress(ValueError):  # as most programs write it, but not this one
            return _in_utc(datetime.fromisoformat(text))
    found = _COMPACT.fullmatch(text) or _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"has {shown(text)}, which isn't a time that begins with its year. {_HOW}")
    parts = found.groupdict()
    try:
        year, month, day, hour, minute, second = (
            int(parts[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")
        )
        time = datetime(year, month, day, hour, minute, second)
        return _in_utc(time, parts["zone"])
    except ValueError:
        raise ValueError(f"has {shown(text)}, and there is no such time. {_HOW}") from None


def _in_utc(time: datetime, zone: str | None = None) -> datetime:
    """Return a time without a zone: as it is, or in UTC if it has one.

    Raises:
        ValueError: If it is before the year 1 or after 9999 in UTC, as a "no date" of programs.
    """
    try:
        if zone is not None and zone[0] in "+-":
            digits = zone[1:].replace(":", "").ljust(4, "0")
            offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
            return time - offset if zone[0] == "+" else time + offset
        return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise ValueError(f"has a time before the year 1 or after 9999 in UTC. {_HOW}") from None
