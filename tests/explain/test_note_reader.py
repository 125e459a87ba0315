from dataclasses import replace

import numpy as np
import pytest

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
