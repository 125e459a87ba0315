from icdcli.icd.hierarchy import chapter_of
from icdcli.icd.terms import inclusion_terms, tabular_titles
from icdcli.icd.titles import title_of, titles


def test_inclusion_terms_say_what_notes_say():
    assert "Non-Q wave myocardial infarction" in inclusion_terms("I21.4")
    assert inclusion_terms("J00")[:2] == ("Acute rhinitis", "Coryza (acute)")
    assert "high blood pressure" in inclusion_terms("I10")
    assert inclusion_terms("no code") == ()


def test_a_term_is_not_just_the_title_again():
    for code, title in list(titles("icd10", "diagnosis").items())[::50]:
        assert title.lower() not in (term.lower() for term in inclusion_terms(code))


def test_categories_have_titles_too():
    assert title_of("I21", "diagnosis", "icd10") == "Acute myocardial infarction"
    assert title_of("M54.5", "diagnosis", "icd10") == "Low back pain"
    assert not tabular_titles().keys() & titles("icd10", "diagnosis").keys()


def test_every_line_is_of_a_code_that_has_a_chapter():
    assert all(chapter_of(code, "diagnosis", "icd10") for code in tabular_titles())
