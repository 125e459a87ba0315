"""Scoring the validation split while training."""

from collections.abc import Generator, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from icdcli.config.metric_names import monitored
from icdcli.data.batching import micro_batches, multi_hot
from icdcli.evaluation.measure import tune_scores
from icdcli.evaluation.sample import SamplePrediction, sample_prediction, sample_rows
from icdcli.evaluation.score_split import unusable
from icdcli.model.batch import read_batch
from icdcli.model.fusion import NETWORK
from icdcli.model.scoring import BATCH_TOKENS, Scored, score_documents
from icdcli.training.collapse import SAMPLE, alarm
from icdcli.training.events import Evaluated, Evaluating
from icdcli.training.schedule import learning_rate
from icdcli.training.state import Training
from icdcli.training.step_metrics import DivergedError, Meter

_AT_ONCE = 1_000  # documents whose scores are summed over the ranks in one transfer


def validate(training: Training, meter: Meter) -> Generator[Evaluating, None, Evaluated]:
    """Score the validation split; a threshold that is to be tuned is tuned on it, anew every time.

    Raises:
        Diverged: When a score is no longer a finite number.
    """
    state, process_group, log = training.state, training.process_group, training.log
    labels = len(training.model.labels)
    meter.flush()
    scored = Scored.empty(len(training.validation), labels)
    share = (process_group.rank, process_group.size)
    # As configured, not as memory turned out: the batches that the ranks share must be the same in all of them.
    tokens = training.config.micro_batch_tokens or BATCH_TOKENS
    network, pos_weight = training.model.network, training.config.pos_weight
    total = len(training.validation)
    rounds = -(
        -len(micro_batches(np.arange(total), training.validation.lengths, tokens, network.padding))
        // process_group.size
    )
    for done in score_documents(network, training.validation, scored, pos_weight, tokens, share):
        rounds -= 1
        yield Evaluating(done, total)
    if rounds:  # the other processes have one batch more, and agree after each whether to go on
        if training.shards is not None:
            _go_along(training)
        yield Evaluating(total, total)
    for start in range(0, len(scored.logits_NL), _AT_ONCE):
        process_group.sum_array(scored.logits_NL[start : start + _AT_ONCE])
    process_group.sum_array(scored.losses_N)
    if wrong := unusable(scored.logits_NL, training.validation_ids):
        raise DivergedError(
            f"a score of validation document {wrong}", state.step, training.documents_of(state.step)
        )
    targets_NL = multi_hot(training.validation.targets, labels, np.bool_)
    validation_loss = float(scored.losses_N.mean())
    model, parts = training.model, {NETWORK: scored.logits_NL, **training.validation_words}
    network_logits_NL = scored.logits_NL[:SAMPLE].copy()  # the rest is overwritten
    tuned = tune_scores(
        parts,
        targets_NL,
        model.threshold,
        "validation",
        with_fusion=bool(training.validation_words),
    )
    model.fusion, model.threshold = tuned.fusion, tuned.threshold
    monitored_names, _ = monitored(training.config.monitor, log.metrics)
    names = [
        name
        for name in dict.fromkeys([*log.metrics, *monitored_names])
        if name != "validation_loss"
    ]
    metrics = tuned.metrics(names)
    values = metrics | {"validation_loss": validation_loss}
    value = float(np.mean([values[name] for name in monitored_names]))
    trouble = alarm(
        network_logits_NL,
        value,
        state.best_metric.value,
        state.best_metric.higher_is_better,
        training.config.lr0,
    )
    best_metric = state.best_metric.update(value)
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
        monitored=value,
        best_metric=best_metric,
        best_loss=best_loss,
        patience_left=state.best_metric.patience_left(training.config.patience),
        samples=tuple(_samples(training, tuned.scores_NL)),
        alarm=trouble,
        threshold=None if model.threshold.how == "fixed" else str(model.threshold),
    )


def _go_along(training: Training) -> None:
    """Make a forward pass for nothing, since the others make one, and weights are shared out."""
    network, device = training.model.network, training.process_group.device
    shortest = np.array([training.validation.lengths.argmin()])
    inputs, _ = read_batch(
        training.validation, shortest, len(training.model.labels), network.padding, device
    )
    network.eval()
    with torch.inference_mode():
        network(inputs.to(device))
    network.train()


def _samples(training: Training, scores_NL: NDArray[np.float32]) -> Iterator[SamplePrediction]:
    """The same few documents after every validation, so that one can watch them get better."""
    model, validation = training.model, training.validation
    threshold_L = model.threshold.values_L(len(model.labels))
    for row in sample_rows(len(validation), training.log.prediction_print_n, training.seed):
        name, targets = training.validation_ids[row], validation.targets[row]
        yield sample_prediction(name, model.labels.codes, scores_NL[row], targets, threshold_L)
