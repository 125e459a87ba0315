"""The words that annotators marked, found by the strings that they marked."""

import pytest

from icdcli.lexical.mentions.marked_words import marks_of, places_of_string

NOTE = "gout in both feet and old gout without tophi in feet".split()


@pytest.mark.parametrize(
    ("string", "expected"),
    [
        ("gout", [[0], [6]]),  # each time
        ("old gout", [[5, 6]]),
        ("gout feet", [[0, 3]]),  # fragments: the shortest stretch
        ("gout tophi feet", [[6, 8, 10]]),
        ("feet gout tophi", [[3, 6, 8]]),
        ("tophi gout", []),  # not in this order
        ("gout sepsis", []),
        ("", []),
    ],
)
def test_strings_are_found(string, expected):
    assert places_of_string(NOTE, string.split()) == expected


def test_fragments_are_near_each_other():
    apart = ["gout", *["and"] * 9, "tophi"]
    assert places_of_string(apart, ["gout", "tophi"]) == []
    assert places_of_string(apart[1:2] + apart[:1] + apart[2:], ["gout", "tophi"]) == [[1, 10]]


def test_marks_are_those_of_all_strings():
    marks = marks_of(NOTE, [(3, "Old gout"), (5, "tophi, feet"), (4, "sepsis")])
    assert marks.inside_W.nonzero()[0].tolist() == [5, 6, 8, 10]
    assert marks.begins_W.nonzero()[0].tolist() == [5, 8]
    assert marks.codes == [(3, [5, 6]), (5, [8, 10])]
