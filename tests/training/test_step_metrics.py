import math

import pytest
import torch

from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ConfigError
from icdcli.training.setup import new_training
from icdcli.training.step_metrics import DivergedError, Meter


@pytest.fixture
def meter(config):
    training, _ = new_training(config(), ProcessGroup(0, 1))
    training.train_ids = [f"note-{row}" for row in range(len(training.train))]
    return Meter(training)


def after(meter, losses, norms=()):
    """Steps as an optimizer step leaves them behind."""
    meter.pending = [torch.tensor(loss) for loss in losses]
    meter.norms = [torch.tensor(norm) for norm in norms]
    meter.documents = 8 * len(losses)
    meter.training.state.step += len(losses)
    return meter


def test_the_sums_do_not_depend_on_when_they_are_read(meter):
    losses = [0.1, 0.7, 1e-9, 3.3]
    after(meter, losses, [1.0, 2.0, 3.0, 4.0]).flush()
    together = meter.training.state.epoch_loss
    meter.training.state.epoch_loss = 0.0
    for loss in losses:
        after(meter, [loss]).flush()
    assert meter.training.state.epoch_loss == together
    assert meter.training.state.epoch_documents == 64
    assert meter.pending == meter.norms == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("losses", "norms", "step", "what"),
    [
        ("1 x 1", "", 2, "the training loss"),
        ("1 x x", "1 x x", 2, "the training loss"),
        ("1 1 1", "1 1 x", 3, "the gradient"),
        ("1 1 x", "1 x x", 2, "the gradient"),
    ],
)
def test_the_first_step_that_went_wrong_is_named_with_its_documents(
    meter, bad, losses, norms, step, what
):
    values = [
        [bad if word == "x" else float(word) for word in words.split()] for words in (losses, norms)
    ]
    with pytest.raises(DivergedError) as caught:
        after(meter, *values).flush()
    names = ", ".join(meter.training.documents_of(step))
    assert str(caught.value).startswith(
        f"step {step}: {what} is not a finite number. The documents of this step are {names}. "
    )
    assert isinstance(caught.value, ConfigError)
    assert meter.training.state.epoch_loss == 0
