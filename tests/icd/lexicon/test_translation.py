"""English titles in Spanish."""

from collections import Counter

import pytest

from icdcli.icd.lexicon.tables import rows
from icdcli.icd.lexicon.translation import TRANSLATED, translations


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Acute sinusitis, unspecified", ("sinusitis aguda",)),
        ("Malignant neoplasm of bladder", ("carcinoma de vejiga", "cáncer de vesical")),
        ("Hodgkin's lymphoma", ("linfoma de hodgkin", "enfermedad de hodgkin")),
        # The longest phrase counts: not "heart" and "failure".
        ("Heart failure", ("insuficiencia cardiaca", "fallo cardiaco")),
        # Words that aren't in the table have the endings of Spanish.
        ("Hepatic nephrosclerotic obstruction", ("hepático nefrosclerotico obstrucción",)),
        ("Fracture [any type] (old)", ("fractura",)),
    ],
)
def test_a_title_is_translated_phrase_by_phrase(title: str, expected: tuple[str, ...]) -> None:
    assert translations(title, "es") == expected


def test_a_text_without_a_phrase_of_the_table_stays_as_it_is() -> None:
    assert translations("disnea de esfuerzo intensa", "es") == ("disnea de esfuerzo intensa",)
    assert translations("", "es") == ("",)


def test_nothing_is_left_of_what_notes_leave_out() -> None:
    assert translations("Other specified", "es") == ()


def test_a_language_without_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="no translations for 'ko'"):
        translations("Heart failure", "ko")


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_table_is_whole(language: str) -> None:
    table = list(rows("translations", language))
    assert len(table) > 1_500
    assert [row for row in table if len(row) != 2 or row != [cell.strip() for cell in row]] == []
    assert [row for row in table if not all(row)] == []
    assert [row for row, count in Counter(map(tuple, table)).items() if count > 1] == []
    phrases = [phrase for phrase, _ in table]
    assert phrases == sorted(phrases)
    assert [phrase for phrase in phrases if phrase != phrase.lower()] == []
