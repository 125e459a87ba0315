import numpy as np
import pytest
import torch

from icdcli.distributed.process_group import ProcessGroup
from icdcli.training.collapse import alarm
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
        (SAME_NL, 0.5, 0.52, True, "the same of every document"),
        (SAME_NL[:1], 0.5, 0.52, True, None),
    ],
)
def test_a_collapse_is_told_with_its_remedy(logits_NL, value, best, higher_is_better, expected):
    found = alarm(logits_NL, value, best, higher_is_better, lr0=3e-3)
    assert (found is None) == (expected is None)
    if expected is not None:
        assert expected in found
        assert "--load metric lr0=0.001" in found


def test_a_run_that_has_collapsed_says_so_at_its_validation(config):
    training, _ = new_training(config(lr0=1e-12, steps=13), ProcessGroup(0, 1, torch.device("cpu")))
    with torch.no_grad():
        training.model.network.head.output.weight.zero_()
    [evaluated] = [event for event in train(training) if isinstance(event, Evaluated)]
    assert evaluated.alarm is not None
    assert "collapsed" in evaluated.alarm
