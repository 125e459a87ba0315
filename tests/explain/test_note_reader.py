import re
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icdcli.data.corpus.cleaning import CLEANERS
from icdcli.explain.evidence import select_words
from icdcli.explain.note_reader import Part, Window, Words, words_of

TOKENS = np.array([[0, 4], [4, 5], [5, 7], [7, 9], [10, 12]])


def window_of(head_KT, added, *others):
    read = np.array([[0, 4], [5, 9], [10, 12]])
    parts = (Part(np.array(added, np.float32), np.array(head_KT, np.float32), TOKENS), *others)
    return Window((0,), None, parts, Words(read, read))


def test_parts_count_by_what_they_add_to_the_logit():
    head_KT, nearest_KT = [[4, 2, 1, 1, 0]], np.array([[0, 0, 0, 0, 1.0]])
    window = window_of(head_KT, [3.0], Part(np.array([1.0]), nearest_KT, TOKENS))
    np.testing.assert_allclose(window.weights_KW, [[0.75 * 4 / 6, 0.75 * 2 / 6, 0.25]])
    against = window_of(head_KT, [3.0], Part(np.array([-1.0]), nearest_KT, TOKENS))
    np.testing.assert_allclose(against.weights_KW, window_of(head_KT, [3.0]).weights_KW)
    alone = window_of(head_KT, [-3.0], Part(np.array([1.0]), nearest_KT, TOKENS))
    np.testing.assert_allclose(alone.weights_KW, [[0, 0, 1]])


def test_without_a_contribution_the_only_part_shows_its_attention():
    window = window_of([[4, 2, 1, 1, 0]], [-3.0])
    np.testing.assert_allclose(window.weights_KW, [[4 / 6, 2 / 6, 0]])
    np.testing.assert_array_equal(replace(window, fused=True).weights_KW, np.zeros((1, 3)))


def test_lexical_parts_have_their_own_pieces():
    pieces = np.array(
        [[5, 6], [7, 9], [10, 12]]
    )  # as 3.5 is two words, and a word that the note has as one
    window = window_of(
        [[0, 0, 0, 0, 1]], [1.0], Part(np.array([1.0]), np.array([[1.0, 2.0, 1.0]]), pieces)
    )
    np.testing.assert_allclose(window.weights_KW, [[0, 0.5 * 3 / 4, 0.5 * 1 / 4 + 0.5]])


def test_a_word_has_the_sum_of_its_tokens_and_punctuation_has_no_part():
    window = window_of([[4, 2, 1, 1, 0]], [1.0])
    np.testing.assert_allclose(window.weights_KW, [[4 / 6, 2 / 6, 0]])
    np.testing.assert_array_equal(window.by_word(np.zeros((1, 5))), np.zeros((1, 3)))


def test_a_token_of_several_words_is_shared_among_them():
    read = np.array([[0, 4], [5, 9]])
    part = Part(np.ones(1), np.ones((1, 1)), np.array([[0, 9]]))
    np.testing.assert_allclose(
        Window((0,), None, (part,), Words(read, read)).weights_KW, [[0.5, 0.5]]
    )


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([0.5, 0.3, 0.1, 0.06, 0.04], "11100"),
        ([0.05, 0.06, 0.05], "010"),
        ([0.0, 0.0], "00"),
        ([], ""),
    ],
)
def test_words_from_a_tenth_on_are_evidence_and_the_best_always_is(weights, expected):
    assert "".join(map(str, select_words(np.array(weights)).astype(int))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("COVID-19, 3.5 mg/dl", ["COVID-19", "3.5", "mg", "dl"]),
        ("L'eau. Fin", ["L'eau", "Fin"]),
        ("na\u0301useas, año 😷", ["na\u0301useas", "año"]),
        ("dolor- (fiebre)", ["dolor", "fiebre"]),
        (
            "hyper\u00adtension, \u0301acute 1\ufe0f\u20e3",
            ["hyper\u00adtension", "acute", "1\ufe0f\u20e3"],
        ),
        ("", []),
    ],
)
def test_words(text, expected):
    read, found = words_of(text)
    assert read == text
    assert [text[begin:end] for begin, end in found.in_note.tolist()] == expected


def test_a_word_with_marks_stays_one_word():
    text = "रोगी को मधुमेह, السُّكَّري"
    _, words = words_of(text)
    assert [text[begin:end] for begin, end in words.in_note.tolist()] == [
        *("रोगी", "को", "मधुमेह", "السُّكَّري")
    ]


@pytest.mark.parametrize(
    ("text", "cleaning", "expected"),
    [
        ("Diabe\u0300te, fie\u0301vre", "caml", ["Diabe\u0300te", "fie\u0301vre"]),
        ("Diabe\u0300te, fie\u0301vre", "edin", ["Diabe\u0300te", "fie\u0301vre"]),
        ("Diabète à 5 jours, café", "edin", ["Diabète", "jours", "café"]),
        ("Diabète à 5 jours, cafe\u0301", "caml", ["Diabète", "à", "jours", "cafe\u0301"]),
        ("COVID-19 in hyper\u00adtension", "caml", ["COVID", "in", "hyper\u00adtension"]),
        ("COVID-19 x_y", "edin", ["COVID", "x_y"]),
        ("ﬁbrose \u2126 İstanbul", "edin", ["ﬁbrose", "İstanbul"]),
        ("50 12", "caml", []),
    ],
)
def test_words_are_complete_whatever_the_cleaning_keeps_of_them(text, cleaning, expected):
    read, words = words_of(text, cleaning)
    assert read == CLEANERS[cleaning](text)
    assert [text[begin:end] for begin, end in words.in_note.tolist()] == expected


LETTERS = "é e\u0301 a\u0323\u0302 ñ ﬁ ß İ Σ ½ ™ K मधु क्\u200dष ؤ \U0001d518 5 12 a Bc".split(" ")
OTHERS = "😀👩🏽\u200d⚕️ \u0301 \u20d0 \ufe0f \U00011001 \u00ad \u200b \ufeff \r\n \t - ' . _".split(
    " "
)
BLANKS = [" ", "\u00a0", "\u2028", "\x85"]
PIECES = st.one_of(
    st.sampled_from([*LETTERS, *OTHERS, *BLANKS]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    st.lists(PIECES, max_size=25).map("".join),
    st.sampled_from([*CLEANERS]),
    st.sampled_from(["NFC", "NFD", "NFKC", "NFKD", None]),
)
def test_positions_of_words_are_exact_in_any_text(text, cleaning, form):
    text = text if form is None else unicodedata.normalize(form, text)
    read, words = words_of(text, cleaning)
    assert read == CLEANERS[cleaning](text)
    borders = words.in_note.ravel().tolist()
    assert borders == sorted(borders) and all(0 <= border <= len(text) for border in borders)
    pieces = []
    for (begin, end), (first, last) in zip(
        words.in_note.tolist(), words.in_input.tolist(), strict=True
    ):
        assert begin < end and first < last
        # Nothing of a letter with its marks is cut off, and no letter of the same word.
        assert re.match(r"\w", text[begin])
        assert not re.match(r"\w", text[begin - 1 : begin] or " ")
        assert not re.match(r"\w", text[end : end + 1] or " ")
        assert not unicodedata.category(text[end : end + 1] or " ").startswith("M")
        if cleaning == "none":
            assert (begin, end) == (first, last)
            continue
        pieces.append(read[first:last])
        # The word read is what the cleaning makes of the word in the note, but for lone numbers.
        own = CLEANERS[cleaning](text[begin:end]).split()
        assert [part for part in own if not part.isdigit()] == [
            part for part in read[first:last].split() if not part.isdigit()
        ]
    if cleaning != "none":
        assert " ".join(pieces) == read
