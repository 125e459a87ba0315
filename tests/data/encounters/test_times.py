from datetime import UTC, date, datetime, timedelta, timezone

import pandas
import pytest

from icdcli.data.encounters.times import read_time
from icdcli.icd.days import EXCEL_BEGINS

EIGHT = datetime(2150, 5, 31, 8)


@pytest.mark.parametrize(("written", "read"), [
    ("2150-05-31 08:00", EIGHT), ("2150-05-31T08:00:00", EIGHT), ("21500531080000", EIGHT),
    ("215005310800", EIGHT), ("2150/5/31 8:00", EIGHT), ("2150년 5월 31일 08:00", EIGHT),
    ("2150-05-31T10:00:00+02:00", EIGHT), ("20260531100000-0500", datetime(2026, 5, 31, 15)),
    ("2150-05-31T08:00:00.123", EIGHT.replace(microsecond=123_000)),
    ("2150-05-31T08:00Z", EIGHT), ("2150-05-31", datetime(2150, 5, 31)),
    ("20260531", datetime(2026, 5, 31)), (20260531.0, datetime(2026, 5, 31)),
    (EIGHT, EIGHT), (date(2026, 5, 31), datetime(2026, 5, 31)), (EIGHT.replace(tzinfo=UTC), EIGHT),
    (datetime(2150, 5, 31, 10, tzinfo=timezone(timedelta(hours=2))), EIGHT),
    ("", None), (" ", None), (None, None), (float("nan"), None), ("NULL", None),
])  # fmt: skip
def test_times_are_read_as_programs_write_them(written, read):
    assert read_time(written) == read


def test_times_of_pandas_become_those_of_python():
    found = read_time(pandas.Timestamp("2150-05-31 10:00:00.000000001", tz="Europe/Berlin"))
    assert found == EIGHT
    assert type(found) is datetime
    assert read_time(pandas.NaT) is None


def test_the_numbers_of_a_workbook_count_days():
    assert read_time(46173.25, EXCEL_BEGINS) == datetime(2026, 5, 31, 6)


@pytest.mark.parametrize("written", [
    "31.05.2026", "2026-13-01", "2026-05-31 25:00", "yesterday", True, ["2026"], 12, "0000-01-01",
    "0001-01-01T00:00:00+09:00", "00010101000000+0900", "9999-12-31T23:59:59-05:00",
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=9))),
])  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(written):
    with pytest.raises(ValueError, match="Write times as 2026-05-31 08:00"):
        read_time(written)
