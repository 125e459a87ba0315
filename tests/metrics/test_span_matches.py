"""Measures of evidence against sets of characters, and Beckh's categories by example."""

import numpy as np
import pytest

from icdcli.metrics.span_matches import match_categories, match_category, span_metrics

TEXT = "Severe pneumonia of the left lung, no fever. Diabetes."


def test_exact_spans_and_characters() -> None:
    gold = {("d", "J18.9"): [((7, 16),)], ("d", "E11.9"): [((45, 53),)]}
    predicted = {("d", "J18.9"): ((7, 16), (24, 33)), ("d", "E11.9"): ((45, 49),), ("d", "I10"): ()}
    values = span_metrics(gold, predicted)
    assert (values["span_precision"], values["span_recall"]) == (1 / 3, 1 / 2)
    assert values["character_precision"] == 13 / 22
    assert values["character_recall"] == 13 / 17
    # J18.9 has the span itself; that of E11.9 ends 4 characters too early.
    assert (values["codiesp_x_precision"], values["codiesp_x_recall"]) == (1 / 3, 1 / 2)


def test_characters_are_those_of_sets() -> None:
    draw = np.random.default_rng(0)

    def spans() -> tuple[tuple[int, int], ...]:
        begins = draw.integers(0, 60, draw.integers(0, 5))
        return tuple((int(one), int(one + draw.integers(1, 12))) for one in begins)

    pairs = [(f"d{number % 7}", f"c{number}") for number in range(40)]
    gold = {pair: [spans(), spans()] for pair in pairs[:30]}
    predicted = {pair: spans() for pair in pairs[10:]}
    sets = [
        {(pair, at) for pair, one in own.items() for begin, end in one for at in range(begin, end)}
        for own in ({pair: (*a, *b) for pair, (a, b) in gold.items()}, predicted)
    ]
    values, common = span_metrics(gold, predicted), len(sets[0] & sets[1])
    assert values["character_precision"] == pytest.approx(common / len(sets[1]))
    assert values["character_recall"] == pytest.approx(common / len(sets[0]))
    assert values["character_f1"] == pytest.approx(2 * common / (len(sets[0]) + len(sets[1])))


@pytest.mark.parametrize(
    ("span", "right"),
    [((100, 120), 1), ((90, 130), 1), ((89, 120), 0), ((100, 131), 0), ((101, 120), 0)],
)
def test_codiesp_x_tolerates_ten_characters_outside(span: tuple[int, int], right: int) -> None:
    # The fragments of an annotation count from the first to the last character.
    values = span_metrics({("d", "c"): [((100, 105), (115, 120))]}, {("d", "c"): (span,)})
    assert values["codiesp_x_f1"] == right


@pytest.mark.parametrize(
    ("gold", "predicted", "category"),
    [
        ({1, 2}, set(), "empty"),
        ({1, 2}, {1, 2}, "exact"),
        ({1, 2}, {2}, "proximate"),
        ({1, 2}, {2, 12}, "proximate"),
        ({1, 2}, {2, 13}, "partial"),
        ({1, 2, 30}, {1, 2}, "partial"),
        ({1, 2, 30}, {1, 30, 33}, "proximate"),
        ({1, 2}, {3}, "none"),
    ],
)
def test_categories(gold: set[int], predicted: set[int], category: str) -> None:
    assert match_category(gold, predicted) == category


def test_categories_count_words_of_the_text() -> None:
    gold = {("d", "J18.9"): [((7, 16),)], ("d", "E11.9"): [((45, 53),)], ("x", "I10"): [((0, 3),)]}
    predicted = {
        ("d", "J18.9"): ((0, 16),),  # one word more
        ("d", "E11.9"): ((46, 50),),  # a part of the word counts as the word
        ("d", "I10"): ((0, 6),),  # no annotation
        ("x", "I10"): ((0, 3),),  # no text
    }
    assert match_categories(gold, predicted, {"d": TEXT}) == {
        "empty": 0,
        "exact": 1,
        "proximate": 1,
        "partial": 0,
        "none": 0,
    }
