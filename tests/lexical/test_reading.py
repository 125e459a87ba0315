"""A reading gives what a model sees, and the places and classes of it in the note."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.normalization.expansion import Expansion
from icdcli.lexical.reading import UNCHANGED, NoteReading
from icdcli.lexical.views import Views
from icdcli.lexical.words import placed_words

EXPANSION = Expansion.of("en")
LEARNED, FACTS = Views.of("learned", "en"), Views.of("facts", "en")


def test_a_reading_that_changes_nothing_has_no_key() -> None:
    assert UNCHANGED.key == NoteReading(LEARNED).key == ""
    read = NoteReading(LEARNED).read("No fever")
    assert read.text == read.kept == "No fever"
    assert read.original(np.array([[3, 8]])).tolist() == [[3, 8]]


def test_the_key_changes_with_what_is_read() -> None:
    fewer = Expansion({"HTN": EXPANSION.senses["HTN"]})
    keys = {
        NoteReading(views, expansion=expansion, network_expands=True).key
        for views in (LEARNED, FACTS)
        for expansion in (EXPANSION, fewer)
    }
    assert len(keys | {NoteReading(FACTS).key, ""}) == 6
    assert NoteReading(FACTS).key == FACTS.key
    assert NoteReading(FACTS, expansion=EXPANSION).key == FACTS.key


def test_the_network_reads_abbreviations_in_full_only_if_it_should() -> None:
    reading = NoteReading(LEARNED, expansion=EXPANSION)
    assert reading.read("HTN").text == "HTN"
    assert reading.read("HTN", "all").text.split() == ["HTN", "hypertension"]
    switched = replace(reading, network_expands=True)
    assert switched.read("HTN").text == reading.read("HTN", "all").text


def test_what_the_view_leaves_out_is_not_expanded() -> None:
    text = "No HTN. COPD."
    read = NoteReading(FACTS, expansion=EXPANSION, network_expands=True).read(text)
    assert read.text.split() == "No . COPD chronic obstructive pulmonary disease .".split()
    assert len(read.kept) == len(text)
    both = NoteReading(LEARNED, expansion=EXPANSION, network_expands=True)
    assert "hypertension" in both.read(text).text
    assert both.read(text, "affirmed").text == read.text


def test_classes_are_those_of_the_places_in_the_note() -> None:
    text = "Known HTN, denies CHF. Father had COPD."
    read = NoteReading(LEARNED, expansion=EXPANSION, network_expands=True).read(text)
    classes = {
        word: Assertion(int(read.classes(np.array([read.text.index(word)]))[0]))
        for word in ("hypertension", "congestive", "CHF", "obstructive", "COPD")
    }
    assert classes == {
        "hypertension": Assertion.AFFIRMED,
        "congestive": Assertion.NEGATED,
        "CHF": Assertion.NEGATED,
        "obstructive": Assertion.FAMILY,
        "COPD": Assertion.FAMILY,
    }
    assert read.classes(np.zeros(0, np.int64)).dtype == np.uint8


def test_without_cues_everything_is_affirmed() -> None:
    read = replace(UNCHANGED, views=Views.of("learned", "fi")).read("ei kuumetta, no fever")
    assert read.classes(np.arange(10)).tolist() == [0] * 10


@given(st.text())
def test_the_words_of_any_text_keep_their_places(text: str) -> None:
    read = NoteReading(FACTS, expansion=EXPANSION, network_expands=True).read(text)
    assert len(read.kept) == len(text)
    document, places_W2 = placed_words(read.text)
    original_W2 = read.original(places_W2)
    assert len(original_W2) == len(document)
    assert ((original_W2[:, 0] < original_W2[:, 1]) & (original_W2[:, 1] <= len(text))).all()
    assert len(read.classes(places_W2[:, 0])) == len(document)


@pytest.mark.parametrize(
    "views",
    [("all", "affirmed", "marked", "family", "personal"), ("affirmed",), ("marked", "family"), ()],
)
def test_views_read_together_are_as_read_alone(views) -> None:
    reading = NoteReading(LEARNED, expansion=EXPANSION, network_expands=True)
    text = "Known HTN, denies CHF. Father had COPD, no DM. History of MI. Gout in 2010, resolved."
    alone = [reading.read(text, view).text for view in views]
    assert reading.read_together(views, text) == alone
    assert len(set(alone)) == len(views)
