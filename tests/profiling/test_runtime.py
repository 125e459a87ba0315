import pytest
import torch

from icdcli.config.loading import load_config
from icdcli.distributed.process_group import ProcessGroup
from icdcli.profiling import runtime as duration
from icdcli.profiling.memory import Estimate
from icdcli.profiling.runtime import operations_a_second, time_by_counting, time_by_trying
from icdcli.training.setup import new_training

CPU = torch.device("cpu")


def estimate(operations=6.0, scoring=2.0, reading=0.0):
    return Estimate("cpu", {}, 1, 1, False, operations, scoring, reading)


@pytest.fixture
def training(config):
    training, _ = new_training(config(steps=30), ProcessGroup(0, 1, CPU))
    return training


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by a second whenever a step is done."""
    from icdcli.training import step

    seconds, update = [0.0], step._update

    def updating(*arguments):
        seconds[0] += 1
        return update(*arguments)

    monkeypatch.setattr(step, "_update", updating)
    monkeypatch.setattr(duration, "_now", lambda device: seconds[0])
    return seconds


def test_the_time_goes_by_tokens_and_by_the_share_of_a_forward_pass(training, clock):
    steps, lengths = training.plan(0), training.train.lengths
    tokens = sum(
        int(lengths[rows].sum()) for rows in steps[1:5]
    )  # four steps of a second each, behind one to warm up
    epochs = 30 / training.steps_per_epoch
    validations = -(-30 // training.steps_per_epoch)
    scored = validations * int(training.validation.lengths.sum()) / 3
    assert epochs < validations
    expected = 4 / tokens * (30 * 8 * float(lengths.mean()) + scored)
    assert time_by_trying(training, estimate(), at_most=4) == pytest.approx(expected)


def test_no_step_is_begun_once_the_time_is_up(training, clock):
    time_by_trying(training, estimate(), at_most=0)
    assert clock[0] == 2 == training.state.step  # one to warm up and one that counts


def test_a_run_of_one_step_is_measured_by_it(config, clock):
    training, _ = new_training(config(steps=1, warmup_steps=0), ProcessGroup(0, 1, CPU))
    assert time_by_trying(training, estimate()) > 0.9


def test_a_run_that_is_done_takes_no_time(training):
    training.state.step = training.config.steps
    assert time_by_trying(training, estimate()) == 0


def test_counted_time_is_operations_by_speed():
    config = load_config(None, ["steps=100", "warmup_steps=0", "batch_size=4"])
    alone = time_by_counting(config, estimate(), 50, rate=1000)
    assert alone == 100 * 4 * 50 * 6 / (duration._REACHED * 1000)
    assert time_by_counting(config, estimate(), 50, rate=1000, ranks=4) == alone / 4
    read_before = time_by_counting(config, estimate(reading=5.0), 50, rate=1000, documents=10)
    assert read_before - alone == pytest.approx(10 * 50 * 5 / (duration._REACHED * 1000))


@pytest.mark.parametrize("bit", [32, 16])
def test_speed_is_measured(bit):
    assert operations_a_second(CPU, bit, seconds=0.01) > 10**6
