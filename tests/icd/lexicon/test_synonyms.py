"""Codes of both editions have synonyms."""

import pytest

from icdcli.icd.lexicon.synonyms import synonyms, synonyms_of


@pytest.mark.parametrize(
    ("code", "system", "language", "term"),
    [
        ("I21.9", "icd10", "en", "heart attack"),
        ("R06.02", "icd10", "en", "short of breath"),
        ("I10", "icd10", "es", "hipertensión arterial"),
        ("J18.9", "icd10", "ko", "폐렴"),
        ("428.0", "icd9", "en", "cardiac failure"),
        ("401.9", "icd9", "es", "hipertensión arterial"),
        ("S72.009A", "icd10", "es", "fractura de cadera"),
        ("W54.0XXA", "icd10", "en", "dog bite"),
    ],
)
def test_a_code_has_the_words_of_notes(code: str, system: str, language: str, term: str) -> None:
    assert term in synonyms_of(code, "diagnosis", system, language)


def test_others_have_none() -> None:
    assert synonyms_of("I21.9", "procedure", "icd10", "en") == ()
    assert synonyms_of("I21.9", "diagnosis", "icd10", "fi") == ()
    assert synonyms_of("nonsense", "diagnosis", "icd9", "en") == ()
    # Several codes of ICD-10-CM stand for this one.
    assert synonyms_of("413.9", "diagnosis", "icd9", "en") == ()


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("divided", ["R05", "M54.5", "C50.9"])
def test_a_code_that_was_divided_has_the_words_of_its_parts(divided: str, language: str) -> None:
    parts = {
        term
        for code, terms in synonyms(language).items()
        if code.startswith(divided) and code != divided
        for term in terms
    }
    assert set(synonyms_of(divided, "diagnosis", "icd10", language)) == parts != set()


@pytest.mark.parametrize("language", ["en", "es", "ko"])
def test_a_code_with_words_of_its_own_has_no_others(language: str) -> None:
    for code, terms in synonyms(language).items():
        assert synonyms_of(code, "diagnosis", "icd10", language) == terms


def test_an_official_title_is_not_repeated() -> None:
    assert "Essential (primary) hypertension" not in synonyms("en")["I10"]


def test_the_words_of_the_unspecified_part_come_first() -> None:
    assert synonyms_of("R51", "diagnosis", "icd10", "en")[0] in synonyms("en")["R51.9"]
    assert "R51.0" in synonyms("en")
