import math

from icdcli.training.early_stopping import Best


def test_the_first_comparison_is_no_lack_of_progress():
    best = Best(higher_is_better=True)
    assert best.update(0.5)
    assert best.patience_left(2) == 2


def test_patience_counts_validations_in_a_row():
    best = Best(higher_is_better=True)
    assert [best.update(value) for value in (0.5, 0.4, 0.6, 0.6, 0.5)] == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert (best.value, best.without_progress, best.patience_left(2)) == (0.6, 2, 0)


def test_a_loss_gets_better_downwards():
    best = Best(higher_is_better=False)
    assert [best.update(value) for value in (0.5, 0.6, 0.4)] == [True, False, True]


def test_an_undefined_metric_is_never_better_than_a_number():
    best = Best(higher_is_better=True)
    assert [best.update(value) for value in (math.nan, math.nan, 0.1, math.nan)] == [
        True,
        False,
        True,
        False,
    ]
    assert best.value == 0.1
