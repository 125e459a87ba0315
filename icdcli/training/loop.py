"""The training loop: a generator of typed events. It prints nothing and touches no file.

Everything random in a step follows from (seed, step, rank), and the documents of a step from the batch plan, so that a run goes
on exactly where a checkpoint left it without any generator's state.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from icdcli.config import LogConfig, TrainConfig
from icdcli.data.batches import Ids, collate, epoch_plan, multi_hot, steps_per_epoch
from icdcli.data.tokens import EncodedDocuments
from icdcli.errors import ConfigError
from icdcli.evaluation.metrics import evaluate
from icdcli.evaluation.sample import SamplePrediction, sample_prediction, sample_rows
from icdcli.evaluation.scoring import Scores, document_losses, score_documents
from icdcli.model.saved import Coder
from icdcli.training.distributed import World
from icdcli.training.events import Evaluated, Evaluating, Event, Started, StepDone, Stopped
from icdcli.training.schedule import learning_rate
from icdcli.training.stopping import Best


@dataclass
class RunState:
    """What a run has come to; with the weights and the optimiser, all that going on needs.

    Attributes:
        step: Optimiser steps done.
        seconds: Wall time spent, earlier sessions included.
        epoch_loss: Sum of the documents' losses in the epoch under way.
        epoch_documents: How many documents that is.
        window_loss: The same since the last logged step.
        window_documents: The same since the last logged step.
        validated: The step of the last validation.
        best_metric: The monitored value.
        best_loss: The validation loss.
    """

    best_metric: Best
    best_loss: Best = field(default_factory=lambda: Best(higher_is_better=False))
    step: int = 0
    seconds: float = 0.0
    epoch_loss: float = 0.0
    epoch_documents: int = 0
    window_loss: float = 0.0
    window_documents: int = 0
    validated: int = 0


@dataclass
class Training:
    """A run, set up.

    Attributes:
        coder: What is trained.
        optimizer: Over the trainable weights only.
        train: The training split.
        validation: The validation split.
        validation_ids: The ids of its documents, for sample predictions.
        config: How to train.
        log: What to log.
        seed: What every random draw follows from.
        world: This process among its fellows.
        state: Where the run stands.
        stop_requested: Asked after each step; a signal's name ends the run there.
    """

    coder: Coder
    optimizer: torch.optim.Optimizer
    train: EncodedDocuments
    validation: EncodedDocuments
    validation_ids: list[str]
    config: TrainConfig
    log: LogConfig
    seed: int
    world: World
    state: RunState
    stop_requested: Callable[[], str | None] = lambda: None

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass over the training split."""
        return steps_per_epoch(len(self.train), self.config.batch_size)


def train(training: Training) -> Iterator[Event]:
    """Train until the steps, the patience or the user says stop.

    Yields:
        `Started`, then `StepDone` after every step, `Evaluating` and `Evaluated` after every epoch and after the last step,
        `Stopped` at the end.

    Raises:
        ConfigError: When the loss is no longer a finite number, with the step.
    """
    state, config = training.state, training.config
    per_epoch = training.steps_per_epoch
    meter = _Meter(training)
    training.coder.network.train()
    yield Started(state.step, config.steps, per_epoch)
    while True:
        at_a_mark = state.step % per_epoch == 0 or state.step == config.steps
        # Also the validation that an interruption came before.
        if at_a_mark and state.step > state.validated:
            evaluated = yield from _validate(training, meter)
            yield evaluated
        if config.patience and state.best_metric.patience_left(config.patience) == 0:
            yield Stopped(f"no progress in {config.patience} validations", state.step, finished=True)
            return
        if state.step >= config.steps:
            yield Stopped(f"all {config.steps} steps are done", state.step, finished=True)
            return
        plan = epoch_plan(training.train.lengths, config.batch_size, training.seed, state.step // per_epoch)
        for rows in plan[state.step % per_epoch :]:
            with _naming_the_key():
                done = _step(training, rows, meter)
            yield done
            signal = training.world.broadcast(training.stop_requested())
            if signal is not None:
                meter.flush()
                yield Stopped(f"interrupted by {signal}", state.step, finished=False)
                return
            if state.step == config.steps:
                break


@contextmanager
def _naming_the_key() -> Iterator[None]:
    """Say which key to change where an algorithm has no form that gives the same result every time."""
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise ConfigError(f"deterministic: True: {str(error).splitlines()[0]} Train with deterministic=False") from error


class _Meter:
    """Loss, tokens and time since the last logged step; the device is waited for only when they are read."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.started = self.step_began = time.monotonic()
        self.in_steps = 0.0  # seconds since the last logged step, without validation, saving and whoever watches
        self.seconds_before = training.state.seconds
        self.tokens = 0
        self.pending: list[torch.Tensor] = []
        self.documents = 0

    def flush(self) -> None:
        """Bring the progress up to date."""
        state = self.training.state
        state.seconds = self.seconds_before + time.monotonic() - self.started
        if not self.pending:
            return
        losses = np.array(torch.stack(self.pending).tolist())
        self.training.world.sum_array(losses)
        if not np.isfinite(losses).all():
            raise ConfigError(
                f"step {state.step - len(losses) + 1 + int(np.argmin(np.isfinite(losses)))}: the training loss is not a finite "
                "number. The last checkpoint is still good: resume it with a lower lr0, or train anew with bit: 32"
            )
        # One after the other: the sum is the same however often it was read in between, as it is before an interruption.
        for loss in losses.tolist():
            state.epoch_loss += loss
            state.window_loss += loss
        state.epoch_documents += self.documents
        state.window_documents += self.documents
        self.pending, self.documents = [], 0

    def read_window(self) -> tuple[float, float]:
        """Mean loss and tokens a second since this was last read."""
        self.flush()
        state, now = self.training.state, time.monotonic()
        loss = state.window_loss / state.window_documents
        speed = self.tokens / max(self.in_steps + now - self.step_began, 1e-9)
        self.step_began, self.in_steps, self.tokens = now, 0.0, 0
        state.window_loss, state.window_documents = 0.0, 0
        return loss, speed


def _step(training: Training, rows: Ids, meter: _Meter) -> StepDone:
    """One optimiser update: the mean loss of the step's documents, this process computing its share of them."""
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


def _validate(training: Training, meter: _Meter) -> Generator[Evaluating, None, Evaluated]:
    """Score the validation split."""
    state, world, log = training.state, training.world, training.log
    labels = len(training.coder.labels)
    meter.flush()
    scores = Scores.empty(len(training.validation), labels)
    share = (world.rank, world.size)
    for done in score_documents(training.coder.network, training.validation, scores, training.config.pos_weight, share=share):
        yield Evaluating(done, len(training.validation))
    world.sum_array(scores.scores_NL)
    world.sum_array(scores.losses_N)
    targets_NL = multi_hot(training.validation.targets, labels).astype(bool)
    validation_loss = float(scores.losses_N.mean())
    monitor = training.config.monitor
    names = list(dict.fromkeys([*log.metrics, *([monitor] if monitor and monitor != "validation_loss" else [])]))
    metrics = evaluate(scores.scores_NL, targets_NL, training.coder.threshold, names=names)
    if monitor == "validation_loss":
        monitored = validation_loss
    else:
        monitored = metrics[monitor] if monitor else float(np.mean([metrics[name] for name in log.metrics]))
    best_metric = state.best_metric.update(monitored)
    best_loss = state.best_loss.update(validation_loss)
    train_loss = state.epoch_loss / max(state.epoch_documents, 1)
    if state.step % training.steps_per_epoch == 0:
        state.epoch_loss, state.epoch_documents = 0.0, 0
    state.validated = state.step
    meter.flush()
    return Evaluated(
        epoch=-(-state.step // training.steps_per_epoch),
        step=state.step,
        seconds=state.seconds,
        train_loss=train_loss,
        validation_loss=validation_loss,
        lr=learning_rate(state.step, training.config),
        metrics={name: metrics[name] for name in log.metrics},
        monitored=monitored,
        best_metric=best_metric,
        best_loss=best_loss,
        patience_left=state.best_metric.patience_left(training.config.patience),
        samples=tuple(_samples(training, scores)),
    )


def _samples(training: Training, scores: Scores) -> Iterator[SamplePrediction]:
    """The same few documents after every validation, so that one can watch them get better."""
    coder, validation = training.coder, training.validation
    for row in sample_rows(len(validation), training.log.prediction_print_n, training.seed):
        name, targets = training.validation_ids[row], validation.targets[row]
        yield sample_prediction(name, coder.labels.codes, scores.scores_NL[row], targets, coder.threshold)
