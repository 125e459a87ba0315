"""One optimiser update.

Everything random in a step follows from (seed, step, rank), so that a run goes on exactly where a checkpoint left it without
any generator's state.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from icdcli.data.batches import Ids, collate, multi_hot
from icdcli.errors import ConfigError
from icdcli.evaluation.scoring import document_losses
from icdcli.training.events import StepDone
from icdcli.training.meter import Meter
from icdcli.training.schedule import learning_rate
from icdcli.training.state import Training


def optimiser_step(training: Training, rows: Ids, meter: Meter) -> StepDone:
    """One optimiser update: the mean loss of the step's documents, this process computing its share of them."""
    with _naming_the_key():
        return _update(training, rows, meter)


def _update(training: Training, rows: Ids, meter: Meter) -> StepDone:
    state, world, network = training.state, training.world, training.coder.network
    epoch = state.step // training.steps_per_epoch + 1
    meter.step_began = time.monotonic()
    lr = learning_rate(state.step + 1, training.config)
    for group in training.optimizer.param_groups:
        group["lr"] = lr * group["factor"]
    draws = np.random.SeedSequence([training.seed, state.step, world.rank])
    torch.manual_seed(int(draws.generate_state(1, np.uint64)[0] >> 1))
    training.optimizer.zero_grad(set_to_none=True)
    mine = rows[world.rank :: world.size]
    loss = torch.zeros((), device=world.device)
    if len(mine):
        batch = collate([training.train[row] for row in mine], training.train.frame.pad)
        targets_BL = torch.from_numpy(multi_hot([training.train.targets[row] for row in mine], len(training.coder.labels)))
        logits_BL = network(torch.from_numpy(batch.ids_BT).to(world.device), torch.from_numpy(batch.mask_BT).to(world.device))
        losses_B = document_losses(logits_BL, targets_BL.to(world.device), training.config.pos_weight)
        (losses_B.sum() / len(rows)).backward()
        loss = losses_B.detach().sum()
    weights = list(network.trainable().values())
    world.sum_gradients(weights)
    torch.nn.utils.clip_grad_norm_(weights, training.config.max_grad_norm)
    training.optimizer.step()
    state.step += 1
    meter.pending.append(loss)
    meter.documents += len(rows)
    meter.tokens += int(training.train.lengths[rows].sum())
    last = state.step == training.config.steps
    if state.step % training.log.log_every and not last:
        meter.in_steps += time.monotonic() - meter.step_began
        return StepDone(state.step, epoch, lr)
    mean_loss, speed = meter.read_window()
    return StepDone(state.step, epoch, lr, mean_loss, speed)


@contextmanager
def _naming_the_key() -> Iterator[None]:
    """Say which key to change where an algorithm has no form that gives the same result every time."""
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise ConfigError(f"deterministic: True: {str(error).splitlines()[0]} Train with deterministic=False") from error
