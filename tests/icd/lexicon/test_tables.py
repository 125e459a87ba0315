"""The lexicon's tables are whole, and their codes exist."""

import re
from collections import Counter

import numpy as np
import pytest

from icdcli.icd.lexicon.abbreviations import abbreviations
from icdcli.icd.lexicon.synonyms import synonyms
from icdcli.icd.lexicon.tables import LANGUAGES, rows
from icdcli.icd.terms import inclusion_terms, tabular_list
from icdcli.icd.titles import title_of
from icdcli.lexical.words import words


@pytest.mark.parametrize(("language", "codes"), [("en", 10_000), ("es", 10_000), ("ko", 4_000)])
def test_enough_codes_have_synonyms(language: str, codes: int) -> None:
    assert len(synonyms(language)) >= codes


@pytest.mark.parametrize(("language", "count"), [("en", 800), ("es", 150), ("ko", 60)])
def test_there_are_enough_abbreviations(language: str, count: int) -> None:
    assert len(abbreviations(language)) >= count


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_of_a_synonym_exists(language: str) -> None:
    assert [code for code in synonyms(language) if not title_of(code, "diagnosis", "icd10")] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_code_that_only_lacks_the_encounter_leaves_its_synonyms_to_the_first(
    language: str,
) -> None:
    edition = tabular_list()
    codes = frozenset(edition.codes)
    assignable = {edition.codes[row] for row in np.flatnonzero(edition.assignable_R)}
    unreached = [
        code
        for code in synonyms(language)
        if code not in assignable and code.count(".") and f"{code:X<7}A" in codes
    ]
    assert unreached == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_synonyms_have_two_cells_and_no_repetition(language: str) -> None:
    table = list(rows("synonyms", language))
    assert [row for row in table if len(row) != 2 or row != [cell.strip() for cell in row]] == []
    keys = Counter((code, tuple(words(term))) for code, term in table)
    assert [key for key, count in keys.items() if count > 1] == []
    assert [row for row in table if not words(row[1])] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_synonyms_are_sorted_by_code(language: str) -> None:
    codes = [code for code, _ in rows("synonyms", language)]
    assert codes == sorted(codes)


def test_a_synonym_is_no_official_wording() -> None:
    repeated = [
        (code, term)
        for code, terms in synonyms("en").items()
        for term in terms
        if words(term) == words(title_of(code, "diagnosis", "icd10") or "")
        or term.lower() in [official.lower() for official in inclusion_terms(code)]
    ]
    assert repeated == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_term_has_one_code_or_a_category_and_its_code(language: str) -> None:
    codes: dict[tuple[str, ...], list[str]] = {}
    for code, terms in synonyms(language).items():
        for term in terms:
            codes.setdefault(tuple(words(term)), []).append(code)
    apart = {
        " ".join(term): found
        for term, found in codes.items()
        if len(found) > 1 and not all(code.startswith(min(found, key=len)) for code in found)
    }
    assert apart == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_abbreviations_have_a_usual_sense_and_codes_that_exist(language: str) -> None:
    assert [row for row in rows("abbreviations", language) if len(row) != 4] == []
    for short, senses in abbreviations(language).items():
        assert not short.isspace()
        assert sum(not sense.context for sense in senses) == 1, short
        for sense in senses:
            assert sense.expansion
            assert not sense.code or title_of(sense.code, "diagnosis", "icd10"), (short, sense)
            assert all(re.fullmatch(r"[^A-Z\t]+", word) for word in sense.context), (short, sense)
