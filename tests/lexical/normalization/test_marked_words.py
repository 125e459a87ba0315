"""Words that a note doesn't affirm carry a mark, and keep their places."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from icdcli.lexical.ngram_features import counts
from icdcli.lexical.normalization.expansion import Expansion
from icdcli.lexical.normalization.marked_words import without_marks, word_begins
from icdcli.lexical.reading import NoteReading
from icdcli.lexical.views import Views
from icdcli.lexical.words import MARK, folded, placed_words, words

TEXT = "History of gout. Denies fièvre, HTN. His father had asthma.\nPneumonia, possible sepsis"
READING = NoteReading(Views.of("learned", "en"), Expansion.of("en"))


def test_words_that_are_not_affirmed_are_marked():
    affirmed, others = without_marks(words(READING.read(TEXT, "marked").text))
    assert {"gout", "history", "pneumonia"} <= set(affirmed)
    assert {"fievre", "htn", "hypertension", "asthma", "sepsis"} <= set(others)
    assert {*affirmed, *others} == set(words(READING.read(TEXT, "all").text))


@given(st.text(st.sampled_from("aZ9_-. \n")))
def test_words_begin_at_the_same_places_whatever_follows(text):
    begins = word_begins(text)
    assert begins.tolist() == [match.start() for match in re.finditer(r"[^\W_]+", text)]
    assert [*begins, len(text) + 1] == word_begins(f"{text} é").tolist()


def test_they_keep_their_places():
    read = READING.read(TEXT, "marked")
    document, places_W2 = placed_words(read.text)
    original = [TEXT[begin:end] for begin, end in read.original(places_W2)]
    bare = [word.lstrip(MARK) for word in document]
    same = [folded(there) == word for there, word in zip(original, bare, strict=True)]
    assert original.count("HTN") == 2  # as written, and in full
    # In full, words have the place of their abbreviation.
    assert [word for word, own in zip(bare, same, strict=True) if own] == words(TEXT)
    assert {there for there, own in zip(original, same, strict=True) if not own} == {"HTN"}


def test_the_mark_is_a_letter_that_folding_keeps():
    assert words(f"{MARK}fever {MARK}Été") == [f"{MARK}fever", f"{MARK}ete"]
    assert without_marks([MARK]) == ([], [])


def test_a_text_that_affirms_everything_is_not_changed():
    assert READING.read("Has gout.", "marked").text == "Has gout."


def test_features_of_marked_words_are_their_own():
    plain, denied, both = (
        set(counts([text]).indices) for text in ("fever", f"{MARK}fever", f"fever {MARK}fever")
    )
    assert len(plain) == len(denied)
    assert not plain & denied
    assert both == plain | denied


def test_counts_add_up_over_words():
    text = READING.read(TEXT, "marked").text
    each = counts(words(text))
    assert np.array_equal(counts([text]).toarray()[0], np.asarray(each.sum(axis=0))[0])
