"""Scoring the validation split while training, by all processes together.

Shapes: N documents, L labels.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from icdcli.config.metric_names import PRINCIPAL_METRICS, VALIDATION_LOSS, monitored
from icdcli.config.schema import Config
from icdcli.data.batching import micro_batches
from icdcli.evaluation.measure import FusedScores
from icdcli.evaluation.reference.scores import summarize_scores
from icdcli.evaluation.sample import SamplePrediction, sample_prediction, sample_rows
from icdcli.metrics.acceptance import AcceptanceTable, PredictedPairs, fit_acceptance
from icdcli.metrics.confidence import Confidence, fit_confidence, suggested_pairs
from icdcli.model.batch import read_batch
from icdcli.model.coding_model import CodingModel
from icdcli.model.inference.passes import is_out_of_memory, tokens_per_pass
from icdcli.model.inference.scored import Scored
from icdcli.model.inference.scoring import score_documents
from icdcli.training.events import Evaluated
from icdcli.training.micro_batches import sharded_error
from icdcli.training.schedule import learning_rate
from icdcli.training.setting_up.final_fit import FinalFit
from icdcli.training.state import Training

_SPLIT = "validation"
_AT_THRESHOLD = ("precision_micro", "recall_micro")
_DOCUMENTS_PER_TRANSFER = 1_000
"""Documents whose scores are summed over the processes at once."""


def score_validation(training: Training, scored: Scored) -> Iterator[int]:
    """Score the validation split, each process its share of the batches, and exchange the scores.

    Args:
        training: The run.
        scored: Filled in; complete in all processes when the iterator ends.

    Yields:
        The number of documents scored, equally often in all processes, which agree after each batch
        whether to stop.

    Raises:
        ConfigError: If a single document doesn't fit in memory, or a batch with sharded weights.
    """
    group, network, split = training.process_group, training.model.network, training.validation
    # As configured, not as lowered when memory ran out: all processes must make the same batches.
    # A process that runs out of memory divides its batch, which the others needn't know.
    tokens = training.config.micro_batch_tokens or tokens_per_pass(network)
    batches = micro_batches(np.arange(len(split)), split.lengths, tokens, network.padding)
    rounds = -(-len(batches) // group.size)
    weight, shard, halve = training.config.pos_weight, (group.rank, group.size), not training.shards
    try:
        for done in score_documents(network, split, scored, weight, tokens, shard, halve):
            rounds -= 1
            yield done
    except RuntimeError as error:
        if halve or not is_out_of_memory(error):
            raise
        longest = int(split.lengths.max())
        raise sharded_error(training, tokens, longest, "forward pass") from error
    if rounds:  # other processes have one batch more
        if training.shards is not None:
            _forward_along(training)
        yield len(split)
    # Each process filled in its own rows; the others are zero.
    for start in range(0, len(scored.logits_NL), _DOCUMENTS_PER_TRANSFER):
        group.sum_array(scored.logits_NL[start : start + _DOCUMENTS_PER_TRANSFER])
        if scored.principal_NL is not None:
            group.sum_array(scored.principal_NL[start : start + _DOCUMENTS_PER_TRANSFER])
    group.sum_array(scored.losses_N)


def _forward_along(training: Training) -> None:
    """Make a forward pass whose result is not used: with sharded weights, all processes must."""
    network, device = training.model.network, training.process_group.device
    shortest = np.array([training.validation.lengths.argmin()])
    inputs, _ = read_batch(
        training.validation, shortest, len(training.model.labels), network.padding, device
    )
    network.eval()
    with torch.no_grad():  # see `score_documents`
        network(inputs.to(device))
    network.train()


def choose_principal(training: Training, fused: FusedScores, scored: Scored) -> FusedScores:
    """Fit the choice of the principal diagnosis, if the model learns it, and add its metrics."""
    choice, gold_N = training.model.principal, training.validation.principal_N
    if choice is None or scored.principal_NL is None or gold_N is None:
        return fused
    fused, training.model.principal = fused.with_principal(
        choice, scored.principal_NL, gold_N, _SPLIT
    )
    return fused


@dataclass(frozen=True)
class Measured:
    """The values of one validation.

    Attributes:
        metrics: The configured metrics, by name.
        monitored: The value that selects the best checkpoint.
        monitored_by: The names whose mean it is.
        note: A message if some of the configured names are undefined; else None.
        confidence: How likely scores are right; None: there are too few gold codes.
        acceptance: The scores from which codes can be accepted; None: too few are predicted.
        at_threshold: Precision and recall of the codes that reach the threshold.
    """

    metrics: dict[str, float]
    monitored: float
    monitored_by: tuple[str, ...]
    note: str | None
    confidence: Confidence | None = None
    acceptance: AcceptanceTable | None = None
    at_threshold: dict[str, float] = field(default_factory=dict)


def configured_metrics(
    fused: FusedScores,
    validation_loss: float,
    monitor: str | None,
    metrics: Sequence[str],
    fitted_on: str = _SPLIT,
) -> Measured:
    """Measure the validation split with the configured metrics.

    Metrics that are undefined on the split are left out of the monitored mean. This depends on the
    gold codes only, so that all validations of a run are measured by the same names. If none is
    defined, the validation loss is monitored, negative if higher values count as better.

    Args:
        fused: The scores of the validation split.
        validation_loss: Its mean loss, which can be what is monitored.
        monitor: ``monitor`` of the configuration.
        metrics: ``metrics`` of the configuration.
        fitted_on: The documents of the scores, in words.
    """
    wanted, higher_is_better = monitored(monitor, metrics)
    names = [name for name in dict.fromkeys([*metrics, *wanted]) if name != VALIDATION_LOSS]
    values = fused.metrics([*dict.fromkeys([*names, *_AT_THRESHOLD])])
    values[VALIDATION_LOSS] = validation_loss
    defined = [name for name in wanted if not math.isnan(values[name])]
    if defined:
        value = float(np.mean([values[name] for name in defined]))
    else:
        value = -validation_loss if higher_is_better else validation_loss
    measured_by = tuple(defined) or (VALIDATION_LOSS,)
    undefined = [name for name in wanted if name not in defined]
    note = _note(undefined, measured_by, bool(fused.principal)) if undefined else None
    threshold_L = fused.threshold.values_L(fused.targets_NL.shape[1])
    scored = fused.scores_NL, fused.targets_NL, threshold_L
    return Measured(
        {name: values[name] for name in metrics},
        value,
        measured_by,
        note,
        fit_confidence(*suggested_pairs(*scored), fitted_on),
        fit_acceptance(PredictedPairs.of_split(*scored), fitted_on),
        {name: values[name] for name in _AT_THRESHOLD},
    )


def _note(undefined: Sequence[str], measured_by: Sequence[str], chooses: bool) -> str:
    """Return why metrics are left out, and what is monitored without them.

    Args:
        undefined: The metrics.
        measured_by: What is monitored.
        chooses: Whether the model chooses a principal diagnosis.
    """
    of_principal = [name for name in undefined if name in PRINCIPAL_METRICS]
    others = [name for name in undefined if name not in of_principal]
    reasons = []
    if others:
        reasons.append(
            f"{', '.join(others)}: undefined on the validation split, which has too few "
            "documents, or the same codes in all of them"
        )
    if of_principal:
        why = (
            "no document of the validation split has a principal diagnosis that is known"
            if chooses
            else "this model doesn't choose a principal diagnosis"
        )
        reasons.append(f"{', '.join(of_principal)}: undefined, because {why}")
    mean = "the mean of " if len(measured_by) > 1 else ""
    return (
        f"{'; '.join(reasons)}. The best checkpoint and patience follow {mean}"
        f"{', '.join(measured_by)}"
    )


def only_validation(
    model: CodingModel,
    fused: FusedScores,
    loss: float,
    config: Config,
    began: float,
    source: str = _SPLIT,
) -> Evaluated:
    """Return the event of the only validation of a model that isn't trained step by step.

    Args:
        model: The model, with its threshold.
        fused: The scores of the validation split.
        loss: Its mean loss.
        config: Says which metrics are wanted.
        began: When the work began, by ``time.monotonic``.
        source: The documents of the scores, in words.
    """
    measured = configured_metrics(fused, loss, config.train.monitor, config.log.metrics, source)
    return Evaluated(
        epoch=1,
        step=1,
        seconds=time.monotonic() - began,
        train_loss=math.nan,
        validation_loss=loss,
        lr=math.nan,
        metrics=measured.metrics,
        monitored=measured.monitored,
        best_metric=True,
        best_loss=True,
        patience_left=config.train.patience,
        threshold=None if model.threshold.how == "fixed" else str(model.threshold),
        monitored_by=measured.monitored_by,
        note=measured.note,
        confidence=measured.confidence,
        acceptance=measured.acceptance,
        scores=summarize_scores(
            fused.scores_NL, fused.threshold.values_L(len(model.labels)), model.labels, source
        ),
        at_threshold=measured.at_threshold,
        measured_by=None if source == _SPLIT else source,
    )


def sample_predictions(
    model: CodingModel,
    ids: Sequence[str],
    targets: Sequence[NDArray[np.int32]],
    scores_NL: NDArray[np.float32],
    number: int,
    seed: int,
) -> tuple[SamplePrediction, ...]:
    """Return the predictions of a few documents, the same after every validation of a run.

    Args:
        model: Has the codes and the threshold.
        ids: The ids of the documents.
        targets: Their gold labels.
        scores_NL: Their scores.
        number: How many documents.
        seed: The run's seed.
    """
    threshold_L = model.threshold.values_L(len(model.labels))
    return tuple(
        sample_prediction(ids[row], model.labels.codes, scores_NL[row], targets[row], threshold_L)
        for row in sample_rows(len(ids), number, seed)
    )


def end_of_epoch(training: Training, final_fit: FinalFit) -> Evaluated | None:
    """End an epoch of a final fit, which has no validation split.

    Returns:
        At the end of the run, what is known about its model; before that, None.
    """
    state, config = training.state, training.config
    train_loss = state.epoch_loss / max(state.epoch_documents, 1)
    if state.step % training.steps_per_epoch == 0:
        state.epoch_loss, state.epoch_documents = 0.0, 0
    state.validated = state.step
    if state.step < config.last_step:
        return None
    # A run that is resumed compares its checkpoints with these.
    state.best_metric.update(final_fit.monitored)
    state.best_loss.update(final_fit.validation_loss)
    epoch, lr = -(-state.step // training.steps_per_epoch), learning_rate(state.step, config)
    return final_fit.evaluated(epoch, state.step, state.seconds, train_loss, lr)
