"""Days in cells of tables, as people and programs write them: the days on which codes are valid.

Only forms that begin with the year are read. ``03/04/2026`` is the third of April or the fourth of
March, and nothing in a table says which.
"""

import re
from datetime import date, datetime, timedelta
from typing import Any

from icdcli.icd.code_cells import MISSING, shown

EXCEL_BEGINS = date(1899, 12, 30)
"""The day that Excel counts as 0, for days after February 1900."""

_EARLIEST, _LATEST = 1900, 2099  # MIMIC's dates are shifted to 2100 and later
_PARTS = re.compile(
    r"(?P<year>\d{4})(?P<mark>[-/.]|\. |)(?P<month>\d\d?)(?P=mark)(?P<day>\d\d?)\.?"
    r"(?:[T ]\d\d:?\d\d[\d:.,]*(?: ?Z| ?[-+]\d\d(?::?\d\d)?)?)?"
)
_KOREAN = re.compile(r"(?P<year>\d{4})년 ?(?P<month>\d\d?)월 ?(?P<day>\d\d?)일")
_COMPACT = re.compile(r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)(?:\d{4}(?:\d\d)?(?:\.\d+)?)?")
_HOW = "Write days as 2026-05-31"


def read_day(value: Any, counted_from: date | None = None) -> date | None:
    """Return the day of a cell; None: it has none.

    Args:
        value: A date or time of Python, Arrow or pandas; a text that begins with year, month and
            day (``2026-05-31T08:00``, ``20260531``); or the number ``20260531``.
        counted_from: The day from which the numbers of a workbook count days, as Excel stores
            dates; None: it isn't a workbook.

    Raises:
        ValueError: If it can't be read in one way only, or isn't within 1900 to 2099; the message
            is the end of a sentence that names the row and the column.
    """
    if value is None or value != value:  # NaN, NaT
        return None
    if isinstance(value, datetime):
        return _plausible(value.date())
    if isinstance(value, date):
        return _plausible(value)
    if isinstance(value, float) and counted_from is None and value.is_integer():
        value = int(value)  # a column of whole numbers with an empty cell, in pandas
    if isinstance(value, int | float) and not isinstance(value, bool):
        if counted_from is not None and value < 10**6:
            return _plausible(counted_from + timedelta(days=int(value)))
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"is {type(value).__name__}, not a day. {_HOW}")
    text = value.strip()
    if text.lower() in MISSING or not text:
        return None
    text = text.removesuffix(".0")
    found = _COMPACT.fullmatch(text) or _KOREAN.fullmatch(text) or _PARTS.fullmatch(text)
    if found is None or (found.re is _PARTS and not found["mark"]):
        raise ValueError(f"has {shown(text)}, which isn't a day that begins with its year. {_HOW}")
    try:
        day = date(int(found["year"]), int(found["month"]), int(found["day"]))
    except ValueError:
        raise ValueError(f"has {shown(text)}, and there is no such day. {_HOW}") from None
    return _plausible(day)


def _plausible(day: date) -> date:
    if day.year > _LATEST:
        raise ValueError(
            f"has the year {day.year}. If days are shifted, as in MIMIC, no edition can be chosen "
            "by them: leave date_column out"
        )
    if day.year < _EARLIEST:
        raise ValueError(f"has the year {day.year}. {_HOW}, and leave unknown ones empty")
    return day
