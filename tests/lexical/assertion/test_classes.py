"""The class of a place and of a span."""

import numpy as np
import pytest

from icdcli.lexical.assertion.classes import Assertion, Assertions

READ = Assertions(np.array([0, 5, 10]), np.array([0, 2, 5], np.uint8))


def test_the_class_of_a_place_is_that_of_its_stretch() -> None:
    assert READ.at([0, 4, 5, 9, 10, 99]).tolist() == [0, 0, 2, 2, 5, 5]


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (0, 5, Assertion.AFFIRMED),
        (4, 7, Assertion.NEGATED),
        (3, 7, Assertion.NEGATED),
        (8, 12, Assertion.FAMILY),
        (0, 12, Assertion.NEGATED),
        (11, 30, Assertion.FAMILY),
    ],
)
def test_the_class_of_a_span_is_that_of_most_characters(
    begin: int, end: int, expected: Assertion
) -> None:
    assert READ.of_span(begin, end) is expected


def test_of_two_classes_as_frequent_the_higher_rank_counts() -> None:
    read = Assertions(np.array([0, 5, 10, 15]), np.array([6, 2, 6, 1], np.uint8))
    assert read.of_span(0, 10) is Assertion.NEGATED
    assert read.of_span(10, 20) is Assertion.RESOLVED


def test_every_class_has_a_rank_of_its_own() -> None:
    assert sorted(assertion.rank for assertion in Assertion) == list(range(len(Assertion)))


@pytest.mark.parametrize(("begin", "end"), [(3, 3), (-1, 2), (5, 4)])
def test_an_empty_span_has_no_class(begin: int, end: int) -> None:
    with pytest.raises(ValueError, match="needs a character"):
        READ.of_span(begin, end)
