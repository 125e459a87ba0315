"""Passages as notes have them, written before the cues that they measure were mended.

``passages_LANGUAGE.tsv`` has in each row a passage with marked words, as in `test_reader`, and its
half: the cues were mended by the passages of one half, and never by those of the other (unseen).
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from icdcli.icd.lexicon.synonyms import synonyms
from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.assertion.cues import built_in_cues
from icdcli.lexical.assertion.reader import reader_of

_HERE = Path(__file__).parent
# The marked words that are read rightly, of all, as measured.
_BOUNDS = {
    ("en", "mended"): (394, 408),
    ("en", "unseen"): (162, 180),
    ("es", "mended"): (388, 398),
    ("es", "unseen"): (212, 219),
    ("ko", "mended"): (241, 257),
    ("ko", "unseen"): (135, 139),
}


@pytest.mark.parametrize(("language", "half"), _BOUNDS)
def test_passages_are_read_as_well_as_measured(
    language: str, half: str, wrong: Callable[[str, str], list[str]]
) -> None:
    table = (_HERE / f"passages_{language}.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in table.splitlines()[1:]]
    passages = [passage.replace("\\n", "\n") for of, _, passage in rows if of == half]
    marked = sum(passage.count("{") for passage in passages)
    misread = [miss for passage in passages for miss in wrong(passage, language)]
    right, measured = _BOUNDS[language, half]
    assert marked == measured
    assert marked - len(misread) >= right, misread


# Reactions are named by the words of a cue, and "previous" is a cue in the name of a disease.
_HIDDEN = {
    "Parkinson disease without dyskinesia",
    "allergic to pollen",
    "bacteria in the urine without symptoms",
    "seeing things that are not there",
    "reacción adversa a medicamento",
    "reacción alérgica",
}


def _terms(language: str) -> list[str]:
    """Return names of diseases: the lexicon's; in Spanish those of a list that stays the same."""
    if language == "es":
        rows = (_HERE / "names_es.tsv").read_text(encoding="utf-8").splitlines()[1:]
        return [term for code, term in (row.split("\t") for row in rows) if code[0] not in "VWXYZ"]
    return _all_terms(language)


def _all_terms(language: str) -> list[str]:
    named = synonyms(language).items()
    return [term for code, terms in named if code[0] not in "VWXYZ" for term in terms]


@pytest.mark.parametrize("language", ["en", "es", "ko"])
def test_no_name_of_a_disease_has_a_cue_that_hides_it(language: str) -> None:
    reader, terms = reader_of(built_in_cues(language)), _terms(language)
    assert len(terms) > 500
    kept = {Assertion.AFFIRMED, Assertion.HISTORICAL}
    assert {term for term in terms if not kept.issuperset(reader.read(term).classes_S)} <= _HIDDEN


@pytest.mark.parametrize(
    ("language", "before", "after"),
    [("es", "Niega ", "."), ("es", "", ": no"), ("ko", "", " 없음")],
)
def test_few_names_of_diseases_end_a_denial(language: str, before: str, after: str) -> None:
    reader, begin = reader_of(built_in_cues(language)), len(before)
    affirmed = [
        term
        for term in _terms(language)
        if not reader.read(before + term + after).of_span(begin, begin + len(term))
    ]
    assert len(affirmed) <= 3, affirmed


@pytest.mark.slow
def test_no_more_names_of_the_complete_lexicon_are_misread_than_measured() -> None:
    """Of 39,021 Spanish names; half of the hidden ones are "reacción adversa a …"."""
    reader, terms = reader_of(built_in_cues("es")), _all_terms("es")
    kept = {Assertion.AFFIRMED, Assertion.HISTORICAL}
    assert len({term for term in terms if not kept.issuperset(reader.read(term).classes_S)}) <= 555
    for before, after, measured in (("Niega ", ".", 265), ("", ": no", 444)):
        affirmed = [
            term
            for term in terms
            if not reader.read(before + term + after).of_span(len(before), len(before) + len(term))
        ]
        assert len(affirmed) <= measured, affirmed
