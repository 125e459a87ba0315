import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icdcli.data.corpus.cleaning import CLEANERS, kept_words

TEXT = "Admission Date:  [**2151-7-16**]\n\nMr. O'Neil's BP 120/80, T2DM; 2nd day, café x_1 ½"


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("none", TEXT),
        ("caml", "admission date mr o neil s bp t2dm 2nd day café x_1"),
        ("edin", "admission date mr o neil s bp t2dm 2nd day caf x"),
    ],
)
def test_a_text_is_cleaned_as_its_paper_does(name, cleaned):
    assert CLEANERS[name](TEXT) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("12 mg daily 5", "12 mg daily 5"),
        ("12 34 mg daily 5 6", "12 mg daily 6"),
        ("\n12 mg daily 5.", "mg daily"),
        ("7", "7"),
        ("(7)", ""),
    ],
)
def test_edin_keeps_a_lone_number_at_the_texts_very_start_and_end(text, cleaned):
    assert CLEANERS["edin"](text) == cleaned
    assert " ".join(word for word, _, _ in kept_words(text, "edin")) == cleaned


@given(st.text(alphabet="a1 .,é"))
def test_edin_is_three_substitutions(text):
    letters = re.sub("[^A-Za-z0-9]+", " ", text.lower())
    expected = re.sub(r"\s+", " ", re.sub(r"(\s\d+)+\s", " ", letters)).strip()
    assert CLEANERS["edin"](text) == expected


@given(st.text(alphabet=st.one_of(st.sampled_from("aZ9 ½_.,\nİßΣéǅ²"), st.characters())))
def test_kept_words_are_those_of_the_cleaned_text_at_their_original_positions(text):
    for cleaning in ("caml", "edin"):
        kept = [*kept_words(text, cleaning)]
        assert " ".join(word for word, _, _ in kept) == CLEANERS[cleaning](text)
        assert all(word in text[begin:end].lower() for word, begin, end in kept)
        assert all(before[2] <= after[1] or cleaning == "edin" for before, after in pairwise(kept))
