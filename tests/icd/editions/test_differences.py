"""What changed between editions: small ones, and fiscal year 2024 to April 2026."""

import pytest

from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.differences import Renamed, Retired, compare_editions
from icdcli.icd.editions.edition import About, Edition, Entry
from icdcli.icd.editions.succession import validity_of


def edition(name, *entries):
    return Edition.of(About(name, name), entries)


def test_new_retired_divided_and_renamed_codes():
    older = edition("x-1", Entry("A", "one"), Entry("B", "two"), Entry("C", "three"))
    newer = edition(
        "x-2",
        Entry("A", "one", assignable=False),
        Entry("A.1", "one, mild", parent="A"),
        Entry("B", "TWO"),
        Entry("D", "four"),
    )
    found = compare_editions(older, newer)
    assert found.added == (("A.1", "one, mild"), ("D", "four"))
    assert found.retired == (Retired("A", "one", ("A.1",)), Retired("C", "three", ()))
    assert found.renamed == (Renamed("B", "two", "TWO"),)
    assert compare_editions(newer, newer).to_json() == {
        "older": "x-2",
        "newer": "x-2",
        "added": [],
        "retired": [],
        "renamed": [],
    }


def test_from_2024_to_april_2026():
    found = compare_editions(find_edition("icd10cm-2024"), find_edition("icd10cm-2026-04"))
    assert (len(found.added), len(found.retired)) == (739, 64)
    retired = {one.code: one.into for one in found.retired}
    assert retired["G35"] == ("G35.A", "G35.B0", "G35.B1", "G35.B2", *retired["G35"][4:])
    assert {"E66.8", "D71"} <= retired.keys()


@pytest.mark.slow
def test_retired_codes_became_what_is_shown_for_each_of_them():
    newer = find_edition("icd10cm-2026-04")
    found = compare_editions(find_edition("icd10cm-2024"), newer)
    for one in found.retired:
        became = tuple(code for code, _ in validity_of(one.code, newer).became)
        assert one.into == became != ()
