"""Mentions of codes in notes, counted in the other notes."""

from icdcli.audit.documents import AuditDocument
from icdcli.audit.mentions import PhraseTable
from icdcli.data.corpus.annotations import AnnotatedFragment
from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.views import Views

FEVER, PNEUMONIA, SEPSIS = range(3)
DESCRIPTIONS = [("Fever, unspecified",), ("Pneumonia",), ()]


def note(text: str, *labels: int, marked: tuple[str, int] | None = None) -> AuditDocument:
    fragments = ()
    if marked is not None:
        begin = text.index(marked[0])
        fragments = (AnnotatedFragment(marked[1], begin, begin + len(marked[0]), 0),)
    return AuditDocument(text, None, "train", text, frozenset(labels), fragments)


def test_a_term_is_found_wherever_it_is() -> None:
    table = PhraseTable([note("High fever. Pneumonias, then fever again.", FEVER)], DESCRIPTIONS)
    found = table.mentions(0, None)
    assert [(one.begin, one.end) for one in found[FEVER]] == [(5, 10), (29, 34)]
    assert [(one.begin, one.end) for one in found[PNEUMONIA]] == [(12, 22)]


def test_a_note_does_not_count_for_itself() -> None:
    others = [note("fever one", FEVER), note("fever two", FEVER), note("fever three")]
    with_code = PhraseTable([note("fever", FEVER), *others], DESCRIPTIONS)
    without = PhraseTable([note("fever"), *others], DESCRIPTIONS)
    (phrase,) = {one.phrase for one in with_code.mentions(0, None)[FEVER]}
    assert with_code.counts(0, phrase, FEVER) == without.counts(0, phrase, FEVER) == (2, 3)


def test_annotated_words_mean_the_code_in_other_notes_only() -> None:
    marked = note("went septic quickly", SEPSIS, marked=("septic", SEPSIS))
    alone = PhraseTable([marked, note("she was septic")], DESCRIPTIONS)
    assert SEPSIS not in alone.mentions(0, None)
    assert alone.mentions(1, None)[SEPSIS]
    again = note("was septic", SEPSIS, marked=("septic", SEPSIS))
    assert PhraseTable([marked, again], DESCRIPTIONS).mentions(0, None)[SEPSIS]


def test_a_swapped_annotation_means_what_other_notes_mean_by_it() -> None:
    wrong = note("septic", PNEUMONIA, marked=("septic", PNEUMONIA))
    others = [note(f"septic {n}", SEPSIS, marked=("septic", SEPSIS)) for n in range(3)]
    table = PhraseTable([wrong, *others], DESCRIPTIONS)
    phrase = table.number("septic")
    assert phrase is not None
    assert list(table.meanings(0, phrase)) == [SEPSIS]
    assert table.meanings(1, phrase)[SEPSIS] > table.meanings(1, phrase)[PNEUMONIA]


def test_the_assertion_is_that_of_the_place() -> None:
    table = PhraseTable([note("Fever at night. Denies pneumonia.", FEVER)], DESCRIPTIONS)
    found = table.mentions(0, Views.of("learned", "en").reader)
    assert found[FEVER][0].assertion is Assertion.AFFIRMED
    assert found[PNEUMONIA][0].assertion is Assertion.NEGATED
    assert not found[PNEUMONIA][0].affirmed
