"""Micro-batches: a step's documents, split into forward and backward passes that fit in memory.

The gradient of a step is summed over its micro-batches, so it is the gradient of the mean loss of
all its documents, however they are split. If the device runs out of memory, micro-batches are
halved, and if that isn't enough, all layers are recomputed; the step then starts over.

Shapes: B documents of a micro-batch, L labels.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from icdcli.data.batching import Ids, micro_batches, rank_shares
from icdcli.distributed.gradient_sums import GradientSums
from icdcli.errors import ConfigError
from icdcli.io.prefetch import one_ahead
from icdcli.model.batch import Batch, read_batch
from icdcli.model.inference.passes import does_not_fit, is_out_of_memory, release_memory
from icdcli.training.losses import micro_batch_losses
from icdcli.training.memory.plan import MemoryPlan
from icdcli.training.memory.planning import needs_least, use_plan
from icdcli.training.state import Training
from icdcli.training.step_metrics import Meter


class MicroBatchReader:
    """Reads this process's micro-batches, each in another thread while the previous one is used.

    Iterating gives the steps; `micro_batches` gives the micro-batches of the step under way.

    Args:
        training: The run.
        steps: For each step, the positions of its documents in the training split; all steps are
            of the epoch under way.
    """

    def __init__(self, training: Training, steps: Sequence[Ids]) -> None:
        self._training, self._steps = training, steps
        self._documents = training.train_in(training.state.step // training.steps_per_epoch)
        self._place = 0
        self._batches = self._read_ahead()

    def __iter__(self) -> Iterator[Ids]:
        for place, rows in enumerate(self._steps):
            self._place = place
            yield rows

    def micro_batches(self, number: int) -> Iterator[tuple[Batch, Tensor]]:
        """Return the next micro-batches: the network's inputs and targets_BL, on the CPU."""
        return islice(self._batches, number)

    def start_step_over(self) -> None:
        """Read from the step under way again, in micro-batches of the current budget."""
        self.close()
        self._batches = self._read_ahead()

    def close(self) -> None:
        """Wait for the micro-batch being read, and read no more."""
        self._batches.close()

    def _read_ahead(self) -> Generator[tuple[Batch, Tensor], None, None]:
        training, budget = self._training, self._training.micro_batch_tokens
        read = partial(
            read_batch,
            self._documents,
            labels=len(training.model.labels),
            padding=training.model.network.padding,
            device=training.process_group.device,
        )
        steps = self._steps[self._place :]
        return one_ahead(
            read, (batch for rows in steps for batch in split_step(training, rows, budget)[0])
        )


def split_step(training: Training, rows: Ids, budget: int) -> tuple[list[Ids], int]:
    """Split a step into this process's micro-batches.

    With sharded weights a forward pass is a collective operation: all processes must make the same
    number. A process with fewer micro-batches repeats the step's first document with weight zero.

    Args:
        training: The run.
        rows: Positions of the step's documents, for all processes together.
        budget: Tokens of a micro-batch.

    Returns:
        The micro-batches, and how many of them count; the rest only match the other processes.
    """
    group, padding = training.process_group, training.model.network.padding
    lengths = training.train.lengths
    shares = rank_shares(rows, lengths, group.size)
    own = micro_batches(shares[group.rank], lengths, budget, padding)
    if training.shards is None:
        return own, len(own)
    most = max(len(micro_batches(share, lengths, budget, padding)) for share in shares)
    return own + [rows[:1]] * (most - len(own)), len(own)


def accumulate_gradients(
    training: Training,
    rows: Ids,
    reader: MicroBatchReader,
    meter: Meter,
    sums: GradientSums | None = None,
) -> Tensor | None:
    """Compute this process's part of the gradient of a step's mean loss.

    Args:
        training: The run.
        rows: Positions of the step's documents, for all processes together.
        reader: Yields this process's micro-batches of the step.
        meter: Counts losses, tokens and time.
        sums: Starts to sum each gradient over the processes once it is complete; None: not yet.

    Returns:
        The sum of the documents' losses, on the device; None if memory runs out.
    """
    device = training.process_group.device
    batches, own = split_step(training, rows, training.micro_batch_tokens)
    meter.step_began = time.monotonic()
    training.optimizer.zero_grad(set_to_none=True)
    loss = torch.zeros((), device=device)
    try:
        for number, (batch, targets_BL) in enumerate(reader.micro_batches(len(batches))):
            _seed(training, number)
            losses_B = micro_batch_losses(
                training, batch.to(device), targets_BL.to(device, non_blocking=True)
            )
            # Divided by the step's documents, not the micro-batch's: gradients are summed over
            # micro-batches and processes.
            part = losses_B.sum() / len(rows) if number < own else 0 * losses_B.sum()
            if sums is not None and number == len(batches) - 1:
                sums.listen()
            (part if training.scaler is None else training.scaler.scale(part)).backward()
            if number < own:
                loss += losses_B.detach().sum()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None  # the tensors that the error's frames hold are freed only after this
    return loss


def _seed(training: Training, number: int) -> None:
    """Seed dropout from (seed, step, micro-batch, rank), so that nothing needs saving."""
    draws = np.random.SeedSequence(
        [training.seed, training.state.step, number, training.process_group.rank]
    )
    torch.manual_seed(int(draws.generate_state(1, np.uint64)[0]) >> 1)


def halve_micro_batches(training: Training, rows: Ids, reader: MicroBatchReader) -> str:
    """Use less memory after a step that didn't fit.

    Micro-batches are made half as large as the largest of the step. If each had one document
    already, and the choice isn't the user's, all layers are recomputed.

    Returns:
        A note for the user.

    Raises:
        ConfigError: If not even one document fits in memory.
    """
    lengths, device = training.train.lengths, training.process_group.device
    before = training.micro_batch_tokens
    training.optimizer.zero_grad(set_to_none=True)
    release_memory(device)
    if training.shards is not None:
        raise sharded_error(training, before, int(lengths[rows].max()), "step")
    batches, _ = split_step(training, rows, before)
    if all(len(batch) == 1 for batch in batches):
        least = needs_least(training)
        if training.config.gradient_checkpointing != "auto" or training.recomputation == least:
            longest = int(lengths[batches[0][0]])
            raise does_not_fit(training.model.network, longest, _remedy(training))
        use_plan(training, MemoryPlan(least, before))
        reader.start_step_over()
        return f"{device} ran out of memory; from now on {least}"
    largest = max(int(lengths[batch].sum()) for batch in batches)
    training.micro_batch_tokens = max(min(before, largest) // 2, 1)
    reader.start_step_over()
    return (
        f"{device} ran out of memory; continuing with micro_batch_tokens: "
        f"{training.micro_batch_tokens} instead of {before}"
    )


def sharded_error(training: Training, tokens: int, longest: int, what: str) -> ConfigError:
    """Return the error that memory ran out with sharded weights.

    Every forward pass is a collective operation, so that one process can't divide its own.

    Args:
        training: The run.
        tokens: The size of micro-batches.
        longest: The tokens of the longest document; above ``tokens`` it had a pass of its own.
        what: What would have to be repeated.
    """
    device = training.process_group.device
    if tokens <= longest:
        return does_not_fit(training.model.network, longest, _remedy(training))
    return ConfigError(
        f"micro_batch_tokens: {tokens}: {device} ran out of memory, and with strategy: fsdp one "
        f"process can't repeat a {what} alone. Resume with "
        f"micro_batch_tokens={max(tokens // 2, 1)}"
    )


def _remedy(training: Training) -> str:
    """Return what the user can do if a document doesn't fit."""
    recomputed = training.recomputation == needs_least(training)
    return f"Lower max_len{'' if recomputed else ', set gradient_checkpointing: True,'} or bit"
