import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from icdcli.lexical.tfidf import _TOKEN
from icdcli.lexical.words import MARK, folded, placed_words, spelling, stem, words


def test_folding_removes_case_and_accents():
    assert folded("Ménière, NIÑO, e\u0301, ﬁbrosis") == "meniere, nino, e, fibrosis"


def test_words_are_runs_of_letters_and_digits():
    assert words("T4-N0_M1: 40,2 °C/día; ¿COVID-19?") == [
        "t4",
        "n0",
        "m1",
        "40",
        "2",
        "c",
        "dia",
        "covid",
        "19",
    ]


@pytest.mark.parametrize(
    ("word", "read"),
    [
        ("मधुमेह", None),  # Hindi
        ("দিল", None),  # Bengali
        ("நீரிழிவு", None),  # Tamil
        ("โรคเบาหวาน", None),  # Thai
        ("السُّكَّري", "السكري"),  # Arabic, vocalized
        ("שָׁלוֹם", "שלום"),  # Hebrew, vocalized
        ("ガン", None),  # voiced kana
    ],
)
def test_a_word_with_marks_stays_one_word(word, read):
    expected = unicodedata.normalize("NFKD", word) if read is None else read
    assert words(f"a {word}, b") == ["a", expected, "b"]
    found, places = placed_words(f"a {word}, b")
    assert found == ["a", expected, "b"]
    assert places[1].tolist() == [2, 2 + len(word)]


def test_words_of_one_skeleton_differ():
    assert words("दिल") != words("दाल")


@given(st.text(st.sampled_from(f"aZ9_é-. \n\0{MARK}")))
def test_a_mark_is_a_letter_of_a_word(text):
    assert words(text) == re.findall(r"[^\W_]+", folded(text))


@given(st.text(st.characters(max_codepoint=0x36F) | st.sampled_from("-’…℃™ﬁΣς1️⃣❤️")))
def test_latin_and_greek_words_are_as_before(text):
    assert words(text) == re.findall(r"[^\W_]+", folded(text))
    assert re.findall(_TOKEN, text) == re.findall(r"(?u)\b\w\w+\b", text)


def test_number_and_gender_make_no_difference_to_a_stem():
    assert stem("edemas") == stem("edema")
    assert stem("renales") == stem("renal")
    assert stem("derecho") == stem("derecha")


def test_short_words_are_their_own_stems():
    assert [stem(word) for word in ("tos", "pie", "a", "")] == ["tos", "pie", "a", ""]


@pytest.mark.parametrize(
    ("english", "spanish"),
    [
        ("pyelonephritis", "pielonefritis"),
        ("stenosis", "estenosis"),
        ("diarrhea", "diarrea"),
        ("cholecystitis", "colecistitis"),
    ],
)
def test_cognates_have_the_same_spelling(english, spanish):
    assert spelling(english) == spelling(spanish)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Niño, na\u0301usea.", {"nino": "Niño", "nausea": "na\u0301usea"}),
        ("ﬁbrosis x² İstanbul", {"fibrosis": "ﬁbrosis", "x2": "x²", "istanbul": "İstanbul"}),
        ("½ 😷 °C", {"1": "½", "2": "½", "c": "C"}),
        ("", {}),
    ],
)
def test_words_have_their_spans_in_the_text(text, expected):
    found, places = placed_words(text)
    assert found == words(text)
    assert places.shape == (len(found), 2)
    assert (
        dict(zip(found, (text[begin:end] for begin, end in places.tolist()), strict=True))
        == expected
    )


@given(st.text())
@example("ΚΑΡΚΙΝΟΣ ΤΟΥ ΣΤΟΜΑΧΟΥ")
@example("37℃, Aspirin™, №5")
def test_placed_words_are_the_words(text):
    found, places = placed_words(text)
    assert found == words(text)
    assert all(0 <= begin < end <= len(text) for begin, end in places.tolist())
    assert words(" ".join(found)) == found
