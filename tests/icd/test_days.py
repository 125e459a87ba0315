"""Days in cells of tables."""

from datetime import UTC, date, datetime

import pandas
import pytest

from icdcli.icd.days import EXCEL_BEGINS, read_day

DAY = date(2026, 5, 31)


@pytest.mark.parametrize(
    "value",
    [
        *(DAY, datetime(2026, 5, 31, 23, 59, tzinfo=UTC), pandas.Timestamp("2026-05-31 08:00")),
        *("2026-05-31", " 2026-05-31 ", "2026/05/31", "2026.05.31", "2026. 5. 31.", "2026-5-31"),
        *("2026-05-31T08:00:00Z", "2026-05-31 08:00:00.000", "2026-05-31 23:59:59.5+09:00"),
        *("20260531", 20260531, 20260531.0, "20260531.0", "20260531083000", "202605310830"),
        "2026년 5월 31일",
    ],
)
def test_days_that_begin_with_the_year_are_read(value):
    assert read_day(value) == DAY


@pytest.mark.parametrize("value", [46173, 46173.75])
def test_the_days_of_a_workbook_are_numbers(value):
    assert read_day(value, EXCEL_BEGINS) == DAY
    assert read_day(20260531, EXCEL_BEGINS) == DAY
    with pytest.raises(ValueError, match="isn't a day"):
        read_day(value)


@pytest.mark.parametrize("value", [None, float("nan"), pandas.NaT, "", "  ", "NaT", "null", r"\N"])
def test_no_day(value):
    assert read_day(value) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("05/31/2026", "isn't a day that begins with its year. Write days as 2026-05-31"),
        ("31.05.2026", "isn't a day"),
        ("31MAY2026", "isn't a day"),
        ("2026", "isn't a day"),
        ("2026531", "isn't a day"),
        ("2026-02-30", "no such day"),
        ("20261331", "no such day"),
        ("2026-05-31 and more", "isn't a day"),
        ("2026-05-31 08:00 and more", "isn't a day"),
        ("2151-07-12", "as in MIMIC"),
        (date(2151, 7, 12), "as in MIMIC"),
        ("0001-01-01", "leave unknown ones empty"),
        (True, "is bool"),
        (["2026-05-31"], "is list"),
    ],
)
def test_other_days_are_refused(value, message):
    with pytest.raises(ValueError, match=message):
        read_day(value)


def test_words_of_a_cell_are_never_quoted():
    with pytest.raises(ValueError, match="a value of 17 characters"):
        read_day("Jane Doe 1950-1-1")
