"""How long a run will take: from a few of its own steps or, where nothing may run, from what it computes."""

import time

import torch

from icdcli.config.schema import Config
from icdcli.profiling.memory import Estimate
from icdcli.training.state import Training
from icdcli.training.step import optimizer_steps
from icdcli.training.step_metrics import Meter

_REACHED = 0.5
"""The share of the matrix products a second that training reaches of what the device does of large ones alone, about."""


def time_by_trying(training: Training, estimate: Estimate, at_most: float = 20.0) -> float:
    """Seconds that the rest of a run will take, validations included, from its next steps.

    The steps are taken: the training is of no use afterwards. The time of a step goes by its tokens, that of a validation by
    the share of the work that the forward pass is.

    Args:
        training: A run that is set up; all its processes take part.
        estimate: What its memory was estimated as; knows the operations a token.
        at_most: Seconds after which no further step is begun; one step and one to warm up are always taken.
    """
    config, state, process_group = training.config, training.state, training.process_group
    lengths, left = training.train.lengths, training.config.steps - training.state.step
    epoch, place = divmod(state.step, training.steps_per_epoch)
    steps = training.plan(epoch)[place:][:left]
    training.model.network.train()
    began, tokens, taken = _now(process_group.device), 0, 0.0
    for number, (rows, _) in enumerate(
        zip(steps, optimizer_steps(training, steps, Meter(training)), strict=True)
    ):
        taken = _now(process_group.device) - began
        if number == 0 and len(steps) > 1:
            began = _now(
                process_group.device
            )  # the first is slower: kernels are chosen, memory is asked for
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


def time_by_counting(
    config: Config,
    estimate: Estimate,
    tokens_a_document: float,
    rate: float,
    ranks: int = 1,
    documents: int = 0,
) -> float:
    """Seconds that a run's steps will take, from the operations that they need; it may well be half or twice that.

    Args:
        config: The run's configuration.
        estimate: What its memory was estimated as; knows the operations a token.
        tokens_a_document: Mean tokens of a document.
        rate: What `operations_a_second` measured.
        ranks: Processes that share the work.
        documents: How many the backbone reads before training, where it does.
    """
    steps = config.train.steps * config.train.batch_size * estimate.operations / ranks
    return tokens_a_document * (steps + documents * estimate.reading) / (_REACHED * rate)


def operations_a_second(device: torch.device, bit: int, seconds: float = 0.3) -> float:
    """Floating-point operations a second in large matrix products, measured."""
    size = 1024 if device.type == "cpu" else 8192
    dtype = torch.float32 if bit == 32 else torch.bfloat16
    matrix = torch.ones(size, size, device=device, dtype=dtype)
    torch.mm(matrix, matrix)
    began, products = _now(device), 0
    while (taken := _now(device) - began) < seconds:
        torch.mm(matrix, matrix)
        products += 1
    return products * 2 * size**3 / taken


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic()
