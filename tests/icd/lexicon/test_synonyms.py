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
    ],
)
def test_a_code_has_the_words_of_notes(code: str, system: str, language: str, term: str) -> None:
    assert term in synonyms_of(code, "diagnosis", system, language)


def test_others_have_none() -> None:
    assert synonyms_of("I21.9", "procedure", "icd10", "en") == ()
    assert synonyms_of("I21.9", "diagnosis", "icd10", "fi") == ()
    assert synonyms_of("nonsense", "diagnosis", "icd9", "en") == ()
    # Several codes of ICD-10-CM stand for this one.
    assert synonyms_of("V45.89", "diagnosis", "icd9", "en") == ()


def test_an_official_title_is_not_repeated() -> None:
    assert "Essential (primary) hypertension" not in synonyms("en")["I10"]
