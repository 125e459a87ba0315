import hashlib
import json

from icdcli.icd.code_system import open_code_system
from icdcli.icd.hierarchy import chapter_of
from icdcli.icd.terms import inclusion_terms, tabular_list
from icdcli.icd.titles import tabular_titles, title_of, titles


def test_inclusion_terms_say_what_notes_say():
    assert "Non-Q wave myocardial infarction" in inclusion_terms("I21.4")
    assert inclusion_terms("J00")[:2] == ("Acute rhinitis", "Coryza (acute)")
    assert "high blood pressure" in inclusion_terms("I10")
    assert inclusion_terms("no code") == ()


def test_the_terms_are_those_of_version_0_1_0():
    """Its runs are resumed with the descriptions that they were trained with."""
    edition = tabular_list()
    found = {code: terms for code in edition.codes if (terms := inclusion_terms(code))}
    assert len(found) == 7175
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    assert digest == "57d22a740d5eb3e1ef332c49b37ac3dddd70609837c5c6a7c23f9875f370a525"


def test_what_a_category_includes_are_terms_and_seventh_characters_are_none():
    assert inclusion_terms("B02") == ("shingles", "zona")
    assert edition_terms("S52.366B") and inclusion_terms("S52.366B") == ()
    assert inclusion_terms("G71.0340") == ("Sarcoglycanopathy",)
    for name in ("icd10cm-2024", "icd10cm-2026-04"):
        assert open_code_system(name).terms("B02", "diagnosis") == inclusion_terms("B02")


def edition_terms(code):
    edition = tabular_list()
    return edition.notes(edition.row(code), "terms")


def test_a_term_is_not_just_the_title_again():
    for code, title in list(titles("icd10", "diagnosis").items())[::50]:
        assert title.lower() not in (term.lower() for term in inclusion_terms(code))


def test_categories_have_titles_too():
    assert title_of("I21", "diagnosis", "icd10") == "Acute myocardial infarction"
    assert title_of("M54.5", "diagnosis", "icd10") == "Low back pain"
    # A code that is newer than the table of 2024, and has a seventh character.
    found = title_of("S30.11XA", "diagnosis", "icd10")
    assert found == "Contusion of abdominal wall, initial encounter"
    assert not tabular_titles().keys() & titles("icd10", "diagnosis").keys()


def test_every_title_is_of_a_code_that_has_a_chapter():
    assert all(chapter_of(code, "diagnosis", "icd10") for code in tabular_titles())
