"""Scoring the validation split while training."""

from collections.abc import Generator, Iterator

import numpy as np

from icdcli.data.batches import multi_hot
from icdcli.evaluation.metrics import evaluate
from icdcli.evaluation.sample import SamplePrediction, sample_prediction, sample_rows
from icdcli.evaluation.scoring import BATCH_TOKENS, Scores, score_documents
from icdcli.training.events import Evaluated, Evaluating
from icdcli.training.meter import Meter
from icdcli.training.schedule import learning_rate
from icdcli.training.state import Training

_AT_ONCE = 1_000  # documents whose scores are summed over the ranks in one transfer


def validate(training: Training, meter: Meter) -> Generator[Evaluating, None, Evaluated]:
    """Score the validation split."""
    state, world, log = training.state, training.world, training.log
    labels = len(training.coder.labels)
    meter.flush()
    scores = Scores.empty(len(training.validation), labels)
    share = (world.rank, world.size)
    # As configured, not as memory turned out: the batches that the ranks share must be the same in all of them.
    tokens = training.config.micro_batch_tokens or BATCH_TOKENS
    network, pos_weight = training.coder.network, training.config.pos_weight
    for done in score_documents(network, training.validation, scores, pos_weight, tokens, share):
        yield Evaluating(done, len(training.validation))
    for start in range(0, len(scores.scores_NL), _AT_ONCE):
        world.sum_array(scores.scores_NL[start : start + _AT_ONCE])
    world.sum_array(scores.losses_N)
    targets_NL = multi_hot(training.validation.targets, labels, np.bool_)
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
