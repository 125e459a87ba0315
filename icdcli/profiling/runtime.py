"""The time of a run, from a few of its own steps or, if nothing may run, from its operations."""

import time
from contextlib import closing

import torch

from icdcli.config.schema import Config
from icdcli.model.precision import half_precision
from icdcli.profiling.memory import MemoryEstimate
from icdcli.training.loop import train_step
from icdcli.training.micro_batches import MicroBatchReader
from icdcli.training.state import Training
from icdcli.training.step_metrics import Meter

_UTILIZATION = 0.5
"""The approximate share that training reaches of the device's speed in large matrix products."""


def time_by_running(training: Training, estimate: MemoryEstimate, at_most: float = 20.0) -> float:
    """Estimate the seconds that the rest of a run takes, validations included, by timing steps.

    The steps change the training, which can't be used afterwards. The time of a step is
    proportional to its tokens, and that of a validation to its share of the operations.

    Args:
        training: A run that is set up; all ranks take part.
        estimate: Its estimate, which includes the operations per token.
        at_most: Seconds after which no further step starts; one step to warm up and one that counts
            are always taken.
    """
    config, state, process_group = training.config, training.state, training.process_group
    lengths, left = training.train.lengths, training.config.last_step - training.state.step
    epoch, place = divmod(state.step, training.steps_per_epoch)
    steps = training.plan(epoch)[place:][:left]
    training.model.network.train()
    began, tokens, taken = _now(process_group.device), 0, 0.0
    meter = Meter(training)
    with closing(MicroBatchReader(training, steps)) as reader:
        for number, rows in enumerate(reader):
            train_step(training, rows, reader, meter)
            taken = _now(process_group.device) - began
            if number == 0 and len(steps) > 1:
                # The first step is slower: it chooses kernels and allocates memory.
                began = _now(process_group.device)
                continue
            tokens += int(lengths[rows].sum())
            if process_group.broadcast(taken >= at_most):
                break
    if not tokens:
        return 0.0
    training_tokens = left * config.batch_size * float(lengths.mean())
    validations = -(-left // training.steps_per_epoch)
    scored = (
        validations
        * int(training.validation.lengths.sum())
        * estimate.scoring
        / estimate.operations
    )
    return taken / tokens * (training_tokens + scored)


def time_by_operations(
    config: Config,
    estimate: MemoryEstimate,
    tokens_per_document: float,
    rate: float,
    ranks: int = 1,
    documents: int = 0,
) -> float:
    """Estimate the seconds of a run's steps from their operations, within about a factor of two.

    Args:
        config: The run's configuration.
        estimate: Its estimate, which includes the operations per token.
        tokens_per_document: Mean number of tokens per document.
        rate: The result of `operations_per_second`.
        ranks: Number of processes that share the work.
        documents: Number of documents that the backbone reads before training, if it does.
    """
    steps = config.train.steps * config.train.batch_size * estimate.operations / ranks
    return tokens_per_document * (steps + documents * estimate.reading) / (_UTILIZATION * rate)


def operations_per_second(device: torch.device, bit: int, seconds: float = 0.3) -> float:
    """Measure the floating-point operations per second of large matrix products."""
    dtype = torch.float32 if bit == 32 else half_precision(device)
    # CPUs without units for half precision need seconds for a larger matrix.
    size = 8192 if device.type != "cpu" else 1024 if bit == 32 else 512
    matrix = torch.ones(size, size, device=device, dtype=dtype)
    torch.mm(matrix, matrix)
    began, products, taken = _now(device), 0, 0.0
    while taken < seconds:
        torch.mm(matrix, matrix)
        products += 1
        taken = _now(device) - began
    return products * 2 * size**3 / taken


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic()
