"""Similarities of strings."""

import numpy as np
import pytest

from icdcli.lexical.mentions.string_vectors import string_frequencies, string_vectors

STRINGS = [
    string.split()
    for string in (
        "acute pyelonephritis",
        "chronic gout",
        "acute gout",
        "fracture of the wrist",
        "heart failure",
    )
]
IDF_H = string_frequencies(STRINGS)


def similarity(first, second):
    vectors = string_vectors([first.split(), second.split()], IDF_H)
    return (vectors @ vectors.T).toarray()[0, 1]


def test_words_in_any_order_and_their_cognates_are_the_same():
    assert similarity("acute gout", "gout acute") == pytest.approx(1)
    assert similarity("acute pyelonephritis", "acute pielonefritis") == pytest.approx(1)


def test_similar_words_are_similar_and_frequent_ones_count_less():
    assert 0.3 < similarity("pyelonephritis", "pyelonephritic") < 0.999
    assert similarity("acute gout", "chronic gout") > similarity("acute gout", "acute sepsis") > 0
    assert similarity("sepsis", "gout") == 0


def test_vectors_have_length_one_but_those_of_no_words():
    vectors = string_vectors([*STRINGS, []], IDF_H)
    lengths = np.linalg.norm(vectors.toarray(), axis=1)
    assert lengths == pytest.approx([1] * len(STRINGS) + [0])
