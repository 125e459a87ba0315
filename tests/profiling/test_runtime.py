import pytest
import torch

from icdcli.config.loading import load_config
from icdcli.distributed.process_group import ProcessGroup
from icdcli.profiling import runtime
from icdcli.profiling.memory import MemoryEstimate
from icdcli.profiling.runtime import operations_per_second, time_by_operations, time_by_running
from icdcli.training.setup import new_training

CPU = torch.device("cpu")


def estimate(operations=6.0, scoring=2.0, reading=0.0):
    return MemoryEstimate("cpu", {}, 1, 1, False, operations, scoring, reading)


@pytest.fixture
def training(config):
    training, _ = new_training(config(steps=30), ProcessGroup(0, 1))
    return training


@pytest.fixture
def clock(monkeypatch):
    """A clock that each step advances by a second."""
    seconds, train_step = [0.0], runtime.train_step

    def updating(*arguments):
        seconds[0] += 1
        return train_step(*arguments)

    monkeypatch.setattr(runtime, "train_step", updating)
    monkeypatch.setattr(runtime, "_now", lambda device: seconds[0])
    return seconds


def test_the_time_is_proportional_to_tokens_and_operations(training, clock):
    steps, lengths = training.plan(0), training.train.lengths
    # Four steps of a second each, after one to warm up.
    tokens = sum(int(lengths[rows].sum()) for rows in steps[1:5])
    epochs = 30 / training.steps_per_epoch
    validations = -(-30 // training.steps_per_epoch)
    scored = validations * int(training.validation.lengths.sum()) / 3
    assert epochs < validations
    expected = 4 / tokens * (30 * 8 * float(lengths.mean()) + scored)
    assert time_by_running(training, estimate(), at_most=4) == pytest.approx(expected)


def test_no_step_starts_after_the_time_limit(training, clock):
    time_by_running(training, estimate(), at_most=0)
    assert clock[0] == 2 == training.state.step  # one to warm up and one that counts


def test_a_run_of_one_step_is_measured_by_it(config, clock):
    training, _ = new_training(config(steps=1, warmup_steps=0), ProcessGroup(0, 1))
    assert time_by_running(training, estimate()) > 0.9


def test_a_finished_run_takes_no_time(training):
    training.state.step = training.config.steps
    assert time_by_running(training, estimate()) == 0


def test_time_is_operations_over_speed():
    config = load_config(None, ["steps=100", "warmup_steps=0", "batch_size=4"])
    alone = time_by_operations(config, estimate(), 50, rate=1000)
    assert alone == 100 * 4 * 50 * 6 / (runtime._UTILIZATION * 1000)
    assert time_by_operations(config, estimate(), 50, rate=1000, ranks=4) == alone / 4
    read_before = time_by_operations(config, estimate(reading=5.0), 50, rate=1000, documents=10)
    assert read_before - alone == pytest.approx(10 * 50 * 5 / (runtime._UTILIZATION * 1000))


@pytest.mark.parametrize("bit", [32, 16])
def test_speed_is_measured(bit):
    assert operations_per_second(CPU, bit, seconds=0.01) > 10**6


def test_a_busy_machine_has_a_speed_too(monkeypatch):
    # A process that waits for its turn may find that the time is over before the first product.
    times = iter([0.0, 0.5, 1.0])
    monkeypatch.setattr(runtime, "_now", lambda device: next(times))
    assert operations_per_second(CPU, 32) == 2 * 1024**3 / 0.5
