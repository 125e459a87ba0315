"""Optimiser updates: the mean loss of a step's documents, computed in micro-batches, its gradient summed over the ranks.

Everything random in a step follows from (seed, step, micro-batch, rank), so that a run goes on exactly where a checkpoint left
it without any generator's state. Nothing in a step waits for the device.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from icdcli.data.batching import Ids, micro_batches, rank_shares
from icdcli.errors import ConfigError
from icdcli.io.prefetch import one_ahead
from icdcli.model.batch import Batch, read_batch
from icdcli.training.events import StepDone
from icdcli.training.losses import disagreement, training_losses
from icdcli.training.schedule import learning_rate
from icdcli.training.stages import learning_rate_factor
from icdcli.training.state import Training
from icdcli.training.step_metrics import Meter


def optimizer_steps(training: Training, steps: Sequence[Ids], meter: Meter) -> Iterator[StepDone]:
    """One optimiser update after the other; each micro-batch is read while the one before it is computed.

    Where the device runs out of memory, the micro-batches are halved, and the step is done again.

    Args:
        training: The run; its ``micro_batch_tokens`` are lowered where they turn out to be too many.
        steps: The positions of each step's documents in the training split.
        meter: Told of every step.

    Yields:
        An event after each update, with a note where micro-batches became smaller.

    Raises:
        ConfigError: When not even one document fits the memory, or an algorithm has no deterministic form.
    """
    lengths = training.train.lengths
    place, note = 0, None
    while place < len(steps):
        mine = partial(_micro_batches, training, lengths, training.micro_batch_tokens)
        read = partial(
            read_batch,
            training.train,
            labels=len(training.model.labels),
            padding=training.model.network.padding,
            device=training.process_group.device,
        )
        with closing(
            one_ahead(read, (rows for step in steps[place:] for rows in mine(step)))
        ) as batches:
            for rows in steps[place:]:
                with _naming_the_key():
                    own = len(_share(training, lengths, training.micro_batch_tokens, rows)[0])
                    loss = _accumulate(
                        training, len(rows), own, islice(batches, len(mine(rows))), meter
                    )
                    if loss is None:
                        note = _halve(training, mine(rows), lengths)
                        break
                    done = _update(training, loss, len(rows), int(lengths[rows].sum()), meter, note)
                place, note = place + 1, None
                yield done


def optimizer_step(training: Training, rows: Ids, meter: Meter) -> StepDone:
    """One optimiser update; see `optimizer_steps`."""
    [done] = optimizer_steps(training, [rows], meter)
    return done


def _micro_batches(training: Training, lengths: Ids, budget: int, rows: Ids) -> list[Ids]:
    """This process's forward passes of a step: those of its share, then those that it only makes along with the others."""
    own, along = _share(training, lengths, budget, rows)
    return own + [rows[:1]] * along


def _share(training: Training, lengths: Ids, budget: int, rows: Ids) -> tuple[list[Ids], int]:
    """This process's share of a step, and how many forward passes more another makes, where weights are shared out."""
    process_group, padding = training.process_group, training.model.network.padding
    shares = rank_shares(rows, lengths, process_group.size)
    own = micro_batches(shares[process_group.rank], lengths, budget, padding)
    if training.shards is None:
        return own, 0
    return own, max(len(micro_batches(share, lengths, budget, padding)) for share in shares) - len(
        own
    )


def _accumulate(
    training: Training,
    documents: int,
    own: int,
    batches: Iterable[tuple[Batch, Tensor]],
    meter: Meter,
) -> Tensor | None:
    """The gradient of a step's mean loss, as far as this process's micro-batches go; those after its own count nothing.

    Returns:
        The sum of their documents' losses; None where the memory doesn't do.
    """
    device = training.process_group.device
    meter.step_began = time.monotonic()
    training.optimizer.zero_grad(set_to_none=True)
    loss = torch.zeros((), device=device)
    try:
        for number, (inputs, targets_BL) in enumerate(batches):
            _seed(training, number)
            losses_B = _losses(
                training, inputs.to(device), targets_BL.to(device, non_blocking=True)
            )
            (losses_B.sum() / documents if number < own else 0 * losses_B.sum()).backward()
            if number < own:
                loss += losses_B.detach().sum()
    except torch.OutOfMemoryError:
        return None  # what the error's frames hold is free only after this
    return loss


def _losses(training: Training, inputs: Batch, targets_BL: Tensor) -> Tensor:
    """A micro-batch's losses_B; with ``rdrop_alpha`` of two forward passes."""
    network, config, learned = training.model.network, training.config, training.learned
    if learned is not None:
        targets_BL = targets_BL[:, learned]
    logits_BL = network(inputs, learned)
    losses_B = training_losses(logits_BL, targets_BL, config)
    if not config.rdrop_alpha:
        return losses_B
    again_BL = network(inputs, learned)
    both_B = (losses_B + training_losses(again_BL, targets_BL, config)) / 2
    return both_B + config.rdrop_alpha * disagreement(logits_BL, again_BL)


def _seed(training: Training, number: int) -> None:
    draws = np.random.SeedSequence(
        [training.seed, training.state.step, number, training.process_group.rank]
    )
    torch.manual_seed(int(draws.generate_state(1, np.uint64)[0]) >> 1)


def _halve(training: Training, batches: list[Ids], lengths: Ids) -> str:
    """Make micro-batches half as large as the largest of a step that didn't fit, and say so."""
    training.optimizer.zero_grad(set_to_none=True)
    torch.cuda.empty_cache()
    if training.shards is not None:
        raise ConfigError(
            f"micro_batch_tokens: {training.micro_batch_tokens}: {training.process_group.device} ran out of memory, and with strategy: "
            f"fsdp no process can go back alone; go on with micro_batch_tokens={max(training.micro_batch_tokens // 2, 1)}"
        )
    if all(len(rows) == 1 for rows in batches):
        raise ConfigError(
            f"max_len: a document of {lengths[batches[0][0]]} tokens is more than the memory of {training.process_group.device} holds, "
            "even alone. Lower max_len, set gradient_checkpointing: True, or a lower bit"
        )
    before = training.micro_batch_tokens
    largest = max(int(lengths[rows].sum()) for rows in batches)
    training.micro_batch_tokens = max(min(before, largest) // 2, 1)
    return (
        f"{training.process_group.device} ran out of memory; going on with micro_batch_tokens: {training.micro_batch_tokens} "
        f"in place of {before}"
    )


def _update(
    training: Training, loss: Tensor, documents: int, tokens: int, meter: Meter, note: str | None
) -> StepDone:
    """Sum the gradients over the ranks and let the optimiser take its step."""
    state, config = training.state, training.config
    epoch = state.step // training.steps_per_epoch + 1
    lr = learning_rate(state.step + 1, config)
    for group in training.optimizer.param_groups:
        group["lr"] = lr * learning_rate_factor(group, state.step, config)
    weights = list(training.model.network.trainable().values())
    training.process_group.sum_gradients(weights)
    norm = torch.nn.utils.clip_grad_norm_(weights, config.max_grad_norm)
    meter.norms.append(norm if training.shards is None else training.shards.total(norm))
    training.optimizer.step()
    state.step += 1
    meter.pending.append(loss)
    meter.documents += documents
    meter.tokens += tokens
    last = state.step == config.steps
    if state.step % training.log.log_every and not last:
        meter.in_steps += time.monotonic() - meter.step_began
        return StepDone(state.step, epoch, lr, note=note)
    mean_loss, speed = meter.read_window()
    notes, meter.notes = [*([note] if note else []), *meter.notes], []
    return StepDone(state.step, epoch, lr, mean_loss, speed, "; ".join(notes) or None)


@contextmanager
def _naming_the_key() -> Iterator[None]:
    """Say which key to change where a model can't be compiled, or an algorithm has no form that gives the same every time."""
    try:
        yield
    except RuntimeError as error:
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(
                f"torch_compile: True: this model can't be compiled: {reason}. Leave it out"
            ) from error
        if "deterministic" not in str(error):
            raise
        raise ConfigError(
            f"deterministic: True: {str(error).splitlines()[0]} Train with deterministic=False"
        ) from error
