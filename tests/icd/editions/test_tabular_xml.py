"""The tabular list: a small one, and NCHS's of April 2026 beside another reading of it."""

import re
from collections import Counter
from io import BytesIO
from xml.etree import ElementTree

import pytest

from icdcli.errors import DataError
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.edition import NOTE_KINDS
from icdcli.icd.editions.tabular_xml import read_tabular_xml

ELEMENTS = {
    "terms": "inclusionTerm",
    "includes": "includes",
    "excludes1": "excludes1",
    "excludes2": "excludes2",
    "code_first": "codeFirst",
    "use_additional": "useAdditionalCode",
    "code_also": "codeAlso",
}
# What FACTS counts in the file: elements, not notes.
COUNTS = {
    "excludes1": 2644,
    "excludes2": 1165,
    "includes": 415,
    "codeFirst": 363,
    "useAdditionalCode": 844,
    "codeAlso": 320,
    "sevenChrDef": 508,
}


def test_codes_are_below_their_sections_and_chapter(entries):
    parents = {entry.code: entry.parent for entry in entries}
    assert parents["Chapter S00-T88"] is None
    assert parents["S00-S69"] == "Chapter S00-T88"
    assert parents["S00-S09"] == parents["S50-S59"] == "S00-S69"
    assert parents["S06"] == "S00-S09"
    assert parents["S06.0"] == "S06"
    assert parents["T14"] == "Chapter S00-T88"  # its section is only a frame
    assert "T14" in parents and list(parents).count("T14") == 1


def test_seventh_characters_apply_to_the_last_codes_below_their_definition(entries):
    made = {entry.code: entry for entry in entries}
    assert made["S06.0XXA"].title == "Concussion, initial encounter"
    assert made["S06.0XXS"].parent == "S06.0"
    assert made["S06.307A"].assignable
    assert "S06.307S" not in made  # by the exception in the notes
    assert not made["S06.0"].assignable
    assert made["S50.0"].assignable
    assert made["T14"].assignable
    assert made["S06"].notes["seventh"] == ["A: initial encounter", "S: sequela"]


def test_notes_stay_where_they_are(entries):
    made = {entry.code: entry.notes for entry in entries}
    assert made["S06"]["excludes1"] == ["head injury NOS (S09.90)"]
    assert made["T14"]["excludes1"] == ["multiple injuries (T07)"]  # of the section around it
    assert made["S00-S09"]["excludes2"] == ["burns (T20-T32)"]
    assert made["S06.0"]["terms"] == ["Commotio cerebri"]
    assert made["Chapter S00-T88"]["use_additional"] == ["code from Chapter 20 (V00-Y99)"]


def test_a_list_that_is_cut_short_or_another_file_is_refused(tabular):
    with pytest.raises(DataError, match=r"list\.xml: the XML is damaged or cut short"):
        list(read_tabular_xml(BytesIO(tabular[:-200]), "list.xml"))
    with pytest.raises(
        DataError, match=r"expected <ICD10CM\.tabular>, but the file begins with <other>"
    ):
        list(read_tabular_xml(BytesIO(b"<other/>"), "list.xml"))
    nameless = tabular.replace(b"<name>S06.0</name>", b"")
    with pytest.raises(DataError, match="a <diag> has no <name>"):
        list(read_tabular_xml(BytesIO(nameless), "list.xml"))


@pytest.fixture(scope="module")
def april(april_2026) -> ElementTree.Element:
    """Return the tabular list of April 2026 as another reader sees it: as elements."""
    return ElementTree.parse(april_2026 / "icd10c-tabular-April-1-2026.xml").getroot()


def test_every_note_of_april_2026_is_in_the_edition(april):
    assert {name: len(list(april.iter(name))) for name in COUNTS} == COUNTS
    found = find_edition("icd10cm-2026-04")
    for kind, element in ELEMENTS.items():
        theirs = Counter(
            " ".join("".join(note.itertext()).split())
            for one in april.iter(element)
            for note in one.findall("note")
        )
        ours = Counter(note for _, notes in found.noted(kind) for note in notes)
        if kind == "terms":  # plus the terms of seventh characters
            assert not theirs - ours
        else:
            assert ours == theirs, kind
    assert set(NOTE_KINDS) >= ELEMENTS.keys()


def test_every_code_of_the_official_list_is_in_the_edition(april_2026):
    listed = april_2026 / "code-list-April-2026.txt"
    theirs = {code for code in listed.read_text().split() if re.fullmatch(r"[A-Z]\w{2,6}", code)}
    found = find_edition("icd10cm-2026-04")
    ours = {
        code.replace(".", "")
        for row, code in enumerate(found.codes)
        if found.level(row) in ("category", "code")
    }
    assert ours == theirs
    assert sum(found.assignable_R) == 74_719


def test_titles_are_those_of_the_official_list_but_for_what_has_changed():
    """Titles of codes with a seventh character are made, so they are compared with CMS's own."""
    old, new = find_edition("icd10cm-2024"), find_edition("icd10cm-2026-04")
    both = [(code, title) for code, title in old.assignable() if new.row(code) is not None]
    other = [code for code, title in both if new.title(code) != title]
    assert len(both) > 73_900
    assert len(other) < 200
