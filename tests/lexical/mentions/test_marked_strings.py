"""How often annotators marked strings and words, counted by hashes."""

import numpy as np
import pytest

from icdcli.lexical.mentions.context_features import context_features
from icdcli.lexical.mentions.marked_strings import MarkedStrings
from icdcli.lexical.mentions.marked_words import marks_of
from icdcli.lexical.mentions.word_features import stem_hashes


def document(note, *marked):
    words = note.split()
    return words, marks_of(words, [(0, string) for string in marked])


DOCUMENTS = [
    document("renal colic and fever", "renal colic", "colic"),
    document("no renal colic today", "colic"),
    document("fever today"),
]


@pytest.fixture(scope="module")
def strings():
    return MarkedStrings.of(DOCUMENTS)


def found_in(strings, note):
    hash_W = stem_hashes(note.split())
    matches = strings.matches(hash_W)
    return {
        " ".join(note.split()[begin : begin + length]): (
            int(strings.contain_S[string]),
            int(strings.marked_S[string]),
        )
        for begin, length, string in zip(*matches, strict=True)
    }


def test_strings_are_found_with_their_counts(strings):
    assert found_in(strings, "renal colic again") == {"renal colic": (2, 1), "colic": (2, 2)}
    assert found_in(strings, "fever") == {}
    assert found_in(strings, "") == {}


def test_a_string_matches_in_other_numbers_and_genders(strings):
    assert found_in(strings, "renales colics") == {"renales colics": (2, 1), "colics": (2, 2)}


def test_words_are_counted_inside_mentions(strings):
    place_W, known_W = strings.words(stem_hashes("colic today never".split()))
    assert known_W.tolist() == [True, True, False]
    assert strings.words_V[place_W[:2]].tolist() == [2, 2]
    assert strings.inside_V[place_W[:2]].tolist() == [2, 0]


def test_strings_in_fragments_and_long_ones_are_left_out():
    words = [f"word{number}" for number in range(20)]
    marked = [(0, " ".join(words[:10])), (0, " ".join(words[:11])), (0, "word2 word5")]
    strings = MarkedStrings.of([(words, marks_of(words, marked))])
    assert strings.length_S.tolist() == [10]


def test_what_a_document_adds_is_left_out(strings):
    words, marks = DOCUMENTS[0]
    own = strings.own_counts(stem_hashes(words), marks)
    without = MarkedStrings.of(DOCUMENTS[1:])
    likely_W2 = np.full((len(words), 2), 0.25)
    assert np.array_equal(
        context_features(words, likely_W2, strings, own),
        context_features(words, likely_W2, without),
    )


def test_features_are_those_of_the_likeliest_and_the_longest_string(strings):
    words = "renal colic".split()
    features_WX = context_features(words, np.full((2, 2), 0.5), strings)
    of_strings_WX = features_WX[:, 14:21]
    one_of_three, two_of_three = 1 / 3, 2 / 3
    assert of_strings_WX == pytest.approx(
        np.array(
            [
                [one_of_three, 2, np.log(2), one_of_three, 2, 1, one_of_three],
                [two_of_three, 1, np.log(3), one_of_three, 2, 2, two_of_three],
            ]
        )
    )


def test_no_documents_have_no_strings():
    strings = MarkedStrings.of([])
    assert found_in(strings, "renal colic") == {}
    assert np.isfinite(context_features(["colic"], np.full((1, 2), 0.5), strings)).all()


def test_strings_that_do_not_belong_together_are_refused(strings):
    with pytest.raises(ValueError, match="don't fit together"):
        MarkedStrings.from_arrays(strings.arrays() | {"marked_S": strings.marked_S[1:]})
