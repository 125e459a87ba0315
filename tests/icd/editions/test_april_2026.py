"""The edition of April 2026 beside an independent reading of NCHS's file: another package's.

simple-icd-10-cm parses the same XML with code of its own. What both say must be the same, for each
of the 98,186 categories and codes.
"""

import warnings
from collections import Counter
from importlib import import_module
from xml.etree import ElementTree

import pytest

from icdcli.icd.editions.catalog import find_edition

# Whatever the project changes, the published file stays as it is, and so does the edition.
pytestmark = pytest.mark.slow

# Every element of the file. Those that are read, and those that aren't: the introduction, the index
# of each chapter, and the table of visual acuities in H54.
READ = {
    "ICD10CM.tabular": 1,
    "chapter": 22,
    "section": 297,
    "diag": 46881,
    "desc": 47200,
    "name": 46903,
    "note": 25178,
    "notes": 86,
    "inclusionTerm": 6809,
    "includes": 415,
    "excludes1": 2644,
    "excludes2": 1165,
    "codeFirst": 363,
    "useAdditionalCode": 844,
    "codeAlso": 320,
    "sevenChrNote": 508,
    "sevenChrDef": 508,
    "extension": 1790,
}
NOT_READ = {
    **{"version": 1, "introduction": 1, "introSection": 9, "instruction": 7, "title": 9},
    **{"sectionIndex": 22, "sectionRef": 289},
    **{"visualImpairment": 1, "visCategory": 7, "visRange": 15, "visMax": 15, "visMin": 11},
    **{"heading": 4, "value": 30},
}
LISTS = {
    "excludes1": "get_excludes1",
    "excludes2": "get_excludes2",
    "includes": "get_includes",
    "terms": "get_inclusion_term",
}
TEXTS = {
    "use_additional": "get_use_additional_code",
    "code_first": "get_code_first",
    "code_also": "get_code_also",
}


def plain(text):
    return " ".join(text.split())


@pytest.fixture(scope="module")
def edition():
    return find_edition("icd10cm-2026-04")


@pytest.fixture(scope="module")
def other():
    """Return the other package, which reads its files in a way that Python deprecates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return import_module("simple_icd_10_cm")


@pytest.fixture(scope="module")
def codes(other):
    """Return the categories and codes as the other package lists them."""
    found = [
        code for code in other.get_all_codes(True) if "-" not in code and not other.is_chapter(code)
    ]
    return list(dict.fromkeys(found))  # blocks of one category are listed twice there


@pytest.fixture(scope="module")
def rows(edition, codes):
    """Return each of the codes with its row."""
    return [(code, edition.row(code)) for code in codes]


def differing(rows, ours, theirs):
    return [code for code, row in rows if ours(row) != theirs(code)]


def test_every_kind_of_element_is_read_or_known_not_to_be(april_2026):
    root = ElementTree.parse(april_2026 / "icd10c-tabular-April-1-2026.xml").getroot()
    assert Counter(element.tag for element in root.iter()) == READ | NOT_READ


def test_the_codes_are_the_same(edition, codes):
    ours = [
        code for row, code in enumerate(edition.codes) if edition.level(row) in ("category", "code")
    ]
    assert len(codes) == 98_186
    assert ours == codes  # in the same order


def test_each_code_is_in_the_same_place(other, edition, rows):
    def children(row):
        return [edition.codes[below] for below in edition.children(row)]

    assert differing(rows, children, other.get_children) == []
    above = [code for code, row in rows if edition.level(row) == "code"]
    assert len(above) == 98_186 - 1_918
    assert [
        code
        for code in above
        if edition.codes[edition.parents_R[edition.row(code)]] != other.get_parent(code)
    ] == []
    assert differing(rows, lambda row: bool(edition.assignable_R[row]), other.is_leaf) == []


def test_each_code_has_the_same_title(other, edition, rows):
    """A seventh character may have terms (stable, old); the other joins them by a slash."""
    apart = differing(
        rows, lambda row: edition.titles[row], lambda code: plain(other.get_description(code))
    )
    assert len(apart) == 527
    for code in apart:
        row = edition.row(code)
        parts = [edition.titles[row], *edition.notes(row, "terms")]
        assert "/".join(parts) == plain(other.get_description(code).replace("/\t", "/"))
        assert len(parts) > 1


@pytest.mark.parametrize("kind", [*LISTS, *TEXTS])
def test_each_code_has_the_same_notes(other, edition, rows, kind):
    if kind in TEXTS:
        apart = differing(
            rows,
            lambda row: " ".join(edition.notes(row, kind)),
            lambda code: plain(getattr(other, TEXTS[kind])(code)),
        )
    else:
        apart = differing(
            rows,
            lambda row: list(edition.notes(row, kind)),
            lambda code: [plain(text) for text in getattr(other, LISTS[kind])(code)],
        )
    if kind == "terms":  # of seventh characters; the other has them in the titles
        assert len(apart) == 527
        assert all(edition.notes(edition.row(code), kind) for code in apart)
    elif kind == "excludes1":  # the notes of the block T07, which is one category, are with it
        both = [*other.get_excludes1("T07", True), *other.get_excludes1("T07")]
        assert (apart, list(edition.notes(edition.row("T07"), kind))) == (["T07"], both)
    else:
        assert apart == []


def test_each_code_has_the_same_seventh_characters(other, edition, rows):
    apart, defined = [], 0
    for code, row in rows:
        theirs = {
            character: plain(words).partition("/")[0]
            for character, words in other.get_seven_chr_def(code).items()
        }
        ours = dict(one.split(": ", 1) for one in edition.notes(row, "seventh"))
        defined += bool(ours)
        if ours != {character: words.strip() for character, words in theirs.items()}:
            apart.append(code)
    assert (apart, defined) == ([], 508)


def test_each_code_has_the_same_other_notes(other, edition, rows):
    def theirs(code):
        parts = (other.get_seven_chr_note(code), other.get_notes(code))
        return Counter(plain(" ".join(parts)).split())

    def ours(row):
        return Counter(" ".join(edition.notes(row, "notes")).split())

    assert differing(rows, ours, theirs) == []


def test_placeholders_are_codes_that_need_more(april_2026, edition):
    """246 codes have an X in place of a character, so that a seventh can follow."""
    root = ElementTree.parse(april_2026 / "icd10c-tabular-April-1-2026.xml").getroot()
    marked = [one.findtext("name") for one in root.iter("diag") if one.get("placeholder") == "true"]
    assert len(marked) == 246
    for code in marked:
        row = edition.row(code)
        assert not edition.assignable_R[row], code
        below = [edition.codes[place] for place in range(row + 1, edition.ends_R[row])]
        assert below, code
        assert all("X" in one for one in below if edition.assignable_R[edition.row(one)]), code


def test_chapters_and_blocks_have_the_same_notes(other, edition):
    """Of two blocks of one category each, the notes are with the category."""
    blocks = [code for code in other.get_all_codes(True) if other.is_block(code) and "-" in code]
    assert sorted(blocks) == sorted(
        code for row, code in enumerate(edition.codes) if edition.level(row) == "block"
    )
    chapters = [code for code in other.get_all_codes(True) if other.is_chapter(code)]
    ours = [
        row for row in range(len(edition)) if edition.level(row) == "chapter"
    ]  # both are in order
    pairs = [*zip(chapters, ours, strict=True), *((code, edition.row(code)) for code in blocks)]
    for code, row in pairs:
        for kind, theirs in LISTS.items():
            found = [plain(text) for text in getattr(other, theirs)(code)]
            assert list(edition.notes(row, kind)) == found, (code, kind)
