import math

import numpy as np
import pytest
import torch

from icdcli.distributed.process_group import ProcessGroup
from icdcli.training.early_stopping import Best, collapse_warning
from icdcli.training.events import Evaluated
from icdcli.training.loop import train
from icdcli.training.setup import new_training

GOOD_NL = np.random.default_rng(0).normal(-3, 1, (40, 10)).astype(np.float32)
SAME_NL = np.tile(GOOD_NL[:1], (40, 1))


@pytest.mark.parametrize(
    ("logits_NL", "value", "best", "higher_is_better", "expected"),
    [
        (GOOD_NL, 0.5, 0.52, True, None),
        (GOOD_NL, 0.1, None, True, None),
        (GOOD_NL, 0.9, 0.2, False, None),  # a loss that rises is no collapse
        (GOOD_NL, 0.1, 0.52, True, "fell from 0.52 to 0.1"),
        (SAME_NL, 0.5, 0.52, True, "gives every document the same scores"),
        (SAME_NL[:1], 0.5, 0.52, True, None),
    ],
)
def test_a_collapse_is_reported_with_its_remedy(logits_NL, value, best, higher_is_better, expected):
    found = collapse_warning(logits_NL, value, best, higher_is_better, lr0=3e-3)
    assert (found is None) == (expected is None)
    if expected is not None:
        assert expected in found
        assert "--load metric lr0=0.001" in found


def test_a_run_that_has_collapsed_says_so_at_its_validation(config):
    training, _ = new_training(config(lr0=1e-12, steps=13), ProcessGroup(0, 1))
    with torch.no_grad():
        training.model.network.head.output.weight.zero_()
    [evaluated] = [event for event in train(training) if isinstance(event, Evaluated)]
    assert evaluated.alarm is not None
    assert "collapsed" in evaluated.alarm


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
    assert best.without_progress == 0  # nor is it worse


def test_an_undefined_metric_uses_up_no_patience():
    best = Best(higher_is_better=True)
    assert [best.update(value) for value in (0.5, 0.4, math.nan, math.nan)].count(True) == 1
    assert best.patience_left(2) == 1
