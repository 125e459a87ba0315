"""What took the place of retired codes: below, by prefix, by title, above, or nothing."""

import pytest

from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.edition import About, Edition, Entry
from icdcli.icd.editions.successors import Successors


def edition(*entries):
    return Edition.of(About("kcd-1", "KCD"), [Entry(*entry) for entry in entries])


def code(name, title, parent=None, assignable=True):
    return (name, title, "code", parent, assignable)


OLDER = edition(
    code("A", "Group", None, False),
    code("A1", "Kept", "A"),
    code("A2", "Divided", "A"),
    code("A3", "Below nothing", "A"),
    code("A4", "Same title", "A"),
    code("A5", "Deleted", "A"),
    code("B", "Merged", None, False),
    code("B1", "First", "B"),
    code("B2", "Second", "B"),
    code("C", "Never assignable", None, False),
)
NEWER = edition(
    code("A", "Group", None, False),
    code("A1", "Kept", "A"),
    code("A2", "Divided", "A", False),
    code("A2.1", "Divided, left", "A2"),
    code("A2.2", "Divided, other", "A2", False),
    code("A2.21", "Divided, other, right", "A2.2"),
    code("A3-1", "Its row is gone, left", "A"),
    code("A3-2", "Its row is gone, right", "A"),
    code("A9", "SAME TITLE", "A"),
    code("B", "Merged"),
    code("C", "Never assignable", None, False),
)


@pytest.mark.parametrize(
    ("code", "into"),
    [
        ("A2", ("A2.1", "A2.21")),
        ("A3", ("A3-1", "A3-2")),
        ("A4", ("A9",)),
        ("A5", ()),
        ("B1", ("B",)),
        ("B2", ("B",)),
    ],
)
def test_a_retired_code_became(code, into):
    successors = Successors(OLDER, NEWER)
    assert successors.is_retired(code)
    assert successors.of(code) == into


@pytest.mark.parametrize("code", ["A1", "C", "unheard of"])
def test_other_codes_are_not_retired(code):
    assert not Successors(OLDER, NEWER).is_retired(code)


def test_of_an_unknown_edition_every_code_could_be_assigned():
    successors = Successors(None, NEWER)
    assert successors.is_retired("A2")
    assert successors.is_retired("unheard of")
    assert not successors.is_retired("A1")
    assert successors.of("A2") == ("A2.1", "A2.21")
    assert successors.of("A5") == ()


def test_codes_below_others_by_a_column_are_not_found_by_their_beginning():
    newer = edition(code("X", "Top", None, False), code("Q7", "Below X", "X"), code("A51", "Other"))
    assert Successors(OLDER, newer).of("A5") == ()


@pytest.mark.slow
def test_icd_10_cm_between_2024_and_april_2026():
    older, newer = find_edition("icd10cm-2024"), find_edition("icd10cm-2026-04")
    successors = Successors(older, newer)
    retired = [code for code, _ in older.assignable() if successors.is_retired(code)]
    assert len(retired) == 64
    assert len(successors.of("G35")) == 8
    assert successors.of("E66.8") == ("E66.811", "E66.812", "E66.813", "E66.89")
    assert successors.of("S30.1XXA") == ("S30.11XA",)  # of the same title
    assert successors.of("T78.07XD") == ("T78.070D", "T78.071D", "T78.079D")
    assert all(successors.of(code) for code in retired)
