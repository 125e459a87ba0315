"""Which codes can be assigned on a day, by the editions at hand."""

from datetime import date

import pytest

from icdcli.icd.code_system import open_code_system
from icdcli.icd.editions.catalog import VARIABLE, store_edition
from icdcli.icd.editions.edition import About, Edition, Entry
from icdcli.icd.validity import CodeValidity, outdated_entry

IN_2024, BETWEEN, IN_2026 = date(2024, 1, 1), date(2025, 1, 1), date(2026, 4, 1)
BEFORE, AFTER = date(2019, 1, 1), date(2031, 1, 1)


@pytest.fixture(scope="module")
def validity():
    return CodeValidity(open_code_system("icd10"))


@pytest.mark.parametrize(
    ("code", "day", "status"),
    [
        ("G35", None, "retired"),
        ("G35", IN_2024, "valid"),
        ("G35", BETWEEN, "valid"),  # either neighbor may be right
        ("G35", IN_2026, "retired"),
        ("G35", BEFORE, "valid"),
        ("G35", AFTER, "retired"),
        ("G35.A", None, "valid"),
        ("G35.A", IN_2024, "future"),
        ("G35.A", BETWEEN, "valid"),
        ("J45.909", IN_2024, "valid"),
        ("E11", None, "category"),
        ("E11", IN_2024, "category"),
        ("Q0X.1", IN_2026, "unknown"),
    ],
)
def test_a_day_decides_what_a_code_is(validity, code, day, status):
    assert validity.status(code, "diagnosis", day) == status


def test_procedures_have_editions_of_their_own(validity):
    assert validity.status("0BJ08ZZ", "procedure") == "valid"
    assert validity.status("0BJ08ZZ", "diagnosis") == "unknown"
    assert validity.has_edition("diagnosis", IN_2026)
    assert not validity.has_edition("procedure", IN_2026)
    assert not validity.has_edition("diagnosis", BETWEEN)


def test_a_retired_code_says_what_became_of_it(validity):
    found = validity.outdated("G35", "diagnosis", 7, "retired")
    assert (found.title, found.edition) == ("Multiple sclerosis", "icd10cm-2024")
    assert found.into[:2] == ("G35.A", "G35.B0")
    future = validity.outdated("G35.A", "diagnosis", 1, "future")
    assert (future.edition, future.into) == ("icd10cm-2026-04", ())
    entry = outdated_entry([future, found])
    assert (entry["codes"], entry["mentions"]) == (2, 8)
    assert [one["code"] for one in entry["first"]] == ["G35", "G35.A"]


def test_editions_of_other_systems_count_too(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    for name, codes in (("kcd-8", ("A00", "A01")), ("kcd-9", ("A01", "A02"))):
        about = About(name, name, valid_from=date(2020 + int(name[-1]), 1, 1))
        store_edition(Edition.of(about, [Entry(code, code) for code in codes]))
    validity = CodeValidity(open_code_system("kcd"))
    codes = ("A00", "A01", "A02", "A03")
    statuses = [validity.status(code, "diagnosis") for code in codes]
    assert statuses == ["retired", "valid", "valid", "unknown"]
    before = [validity.status(code, "diagnosis", date(2028, 12, 31)) for code in codes]
    assert before == ["valid", "valid", "future", "unknown"]
    assert validity.outdated("A00", "diagnosis", 1, "retired").into == ()
