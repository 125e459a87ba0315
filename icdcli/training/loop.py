"""The training loop, in the order in which it runs: `train`, `run_epoch`, `train_step`, `validate`.

`train` is a generator of typed events: it prints nothing and writes no file. The code that receives
the events saves and shows them; see `icdcli.training.run`.

A resumed run continues bit for bit without the state of any random generator: everything random in
a step follows from (seed, step, micro-batch, rank), and its documents from the batch plan.

Shapes: N documents of the validation split, L labels.
"""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np
import torch

from icdcli.data.batching import Ids, multi_hot
from icdcli.distributed.signals import reason_of
from icdcli.errors import ConfigError
from icdcli.evaluation.measure import tune_scores
from icdcli.evaluation.reference.scores import summarize_scores
from icdcli.model.fusion import NETWORK
from icdcli.model.inference.scored import Scored
from icdcli.model.inference.scoring import pool_windows
from icdcli.training.checkpointing import CheckpointTimer
from icdcli.training.early_stopping import SAMPLE, collapse_warning
from icdcli.training.events import (
    CheckpointDue,
    Evaluated,
    Evaluating,
    Event,
    Started,
    StepDone,
    Stopped,
)
from icdcli.training.micro_batches import (
    MicroBatchReader,
    accumulate_gradients,
    halve_micro_batches,
)
from icdcli.training.schedule import begin_stage, learning_rate, learning_rate_factor, steps_left
from icdcli.training.state import Training
from icdcli.training.step_metrics import DivergedError, Meter, require_finite_scores
from icdcli.training.validation import (
    choose_principal,
    configured_metrics,
    end_of_epoch,
    sample_predictions,
    score_validation,
)


class StopRequested(Exception):  # noqa: N818  (a request, not an error)
    """A process of the run received a signal; the message says which."""


def train(training: Training) -> Iterator[Event]:
    """Train until all steps are done, the patience is used up, or a stop is requested.

    A stop request takes effect after a step, or between two batches of a validation, which is then
    discarded. All processes stop at the same point.

    Yields:
        `Started`; `StepDone` after every step; `CheckpointDue` as often as configured, and before
        `Evaluating` and `Evaluated` after every epoch and after the last step; `Stopped` at the
        end.

    Raises:
        DivergedError: If a loss, a gradient or a score is not a finite number; the message has the
            step and its documents.
    """
    state = training.state
    meter, timer = Meter(training), CheckpointTimer(training.config.checkpoint_every)
    begin_stage(training)
    yield Started(state.step, training.config.last_step, training.steps_per_epoch)
    try:
        while (reason := reason_to_end(training)) is None:
            if not validation_is_due(training):
                yield from run_epoch(training, meter, timer)
                continue
            yield from validate(training, meter)
            timer.restart()  # a validation is saved, too
            # A run that this validation completes is finished, even if a signal arrived.
            if reason_to_end(training) is None:
                check_requests(training)
        stopped = Stopped(reason, state.step, finished=True)
    except StopRequested as request:
        stopped = Stopped(str(request), state.step, finished=False)
    if stopped.finished:
        yield stopped  # nothing is left to save
        return
    with training.together():
        yield stopped


def run_epoch(training: Training, meter: Meter, timer: CheckpointTimer) -> Iterator[Event]:
    """Take the steps up to the end of the epoch, of the stage or of the run, whichever is first.

    Raises:
        StopRequested: After the step under way, if a process received a signal.
    """
    state = training.state
    # A resumed run starts in the middle of an epoch.
    epoch, place = divmod(state.step, training.steps_per_epoch)
    steps = training.plan(epoch)[place:][: steps_left(state.step, training.config)]
    with closing(MicroBatchReader(training, steps)) as reader:
        for rows in reader:
            yield train_step(training, rows, reader, meter)
            try:
                time_is_up = check_requests(training, timer)
            except StopRequested:
                meter.flush()  # the checkpoint must include this step's loss
                raise
            if time_is_up or timer.ends_at(state.step):
                meter.flush()
                with training.together():
                    yield CheckpointDue(state.step)
                timer.restart()
    if state.step == training.config.head_steps:
        begin_stage(training)  # the head has been trained alone; now the backbone learns with it


def train_step(training: Training, rows: Ids, reader: MicroBatchReader, meter: Meter) -> StepDone:
    """Take one optimizer step on the mean loss of some documents.

    Between two logged steps, nothing here waits for the device: no number is read from a tensor.
    Only scaled losses are an exception.

    Args:
        training: The run; its ``micro_batch_tokens`` are halved if the device runs out of memory.
        rows: Positions of the step's documents in the training split, for all processes together.
        reader: Yields this process's micro-batches of the step.
        meter: Counts losses, tokens and time.

    Raises:
        ConfigError: If not even one document fits in memory, the model can't be compiled, or an
            operation has no deterministic algorithm.
    """
    state, config = training.state, training.config
    epoch = state.step // training.steps_per_epoch + 1
    with _torch_errors_explained():
        # Forward and backward passes of this process's micro-batches.
        loss, note = summed_gradients(training, rows, reader, meter)
        # The learning rate of this step; backbone and head each have a factor of their own.
        lr = learning_rate(state.step + 1, config)
        for options in training.optimizer.param_groups:
            options["lr"] = lr * learning_rate_factor(options, state.step, config)
        weights = list(training.model.network.trainable().values())
        skipped = change_weights(training, weights, meter)
        notes = [text for text in (note, skipped) if text]
        state.step += 1
        meter.pending.append(loss)
        meter.documents += len(rows)
        meter.tokens += int(training.train.lengths[rows].sum())
        if state.step % training.log.log_every and state.step != config.last_step:
            meter.in_steps += time.monotonic() - meter.step_began
            return StepDone(state.step, epoch, lr, note="; ".join(notes) or None)
        # The one place that waits for the device: the losses since the last logged step.
        mean_loss, speed = meter.read_window()
    notes, meter.notes = [*notes, *meter.notes], []
    return StepDone(state.step, epoch, lr, mean_loss, speed, "; ".join(notes) or None)


def summed_gradients(
    training: Training, rows: Ids, reader: MicroBatchReader, meter: Meter
) -> tuple[torch.Tensor, str | None]:
    """Compute the gradient of a step's mean loss, the same in all processes.

    It is summed, not averaged: each process divides its loss by the number of all documents.

    Returns:
        The sum of the losses of this process's documents, on the device; and a note for the user if
        memory ran out.

    Raises:
        ConfigError: If not even one document fits in memory.
    """
    group, sums, note = training.process_group, training.gradient_sums, None
    weights = list(training.model.network.trainable().values())
    if sums is not None:
        sums.watch(weights)
        loss = accumulate_gradients(training, rows, reader, meter, sums)
        if loss is None:
            sums.discard()
        sums.complete()
        # A process that ran out of memory had no gradient to add to sums that were under way. It
        # repeats the step in smaller micro-batches, and the others repeat it as it was.
        if not group.agree(loss is None)[0]:
            assert loss is not None
            return loss, None
        if loss is None:
            note = halve_micro_batches(training, rows, reader)
        else:
            reader.start_step_over()
    while (loss := accumulate_gradients(training, rows, reader, meter)) is None:
        note = halve_micro_batches(training, rows, reader)
    if sums is not None:
        sums.complete()
    else:
        group.sum_gradients(weights)
    return loss, note


def change_weights(
    training: Training, weights: list[torch.nn.Parameter], meter: Meter
) -> str | None:
    """Clip the step's gradient and let the optimizer change the weights.

    With scaled losses, the weights stay as they are if a gradient is too large for float16. The
    next step then has a smaller scale.

    Returns:
        A note for the user if the weights stay as they are, from the main process.

    Raises:
        DivergedError: If gradients are too large without being scaled, too.
    """
    scaler = training.scaler
    if scaler is not None:
        scaler.unscale_(training.optimizer)
    # Label attention collapses without clipping; see `collapse_warning`.
    norm = torch.nn.utils.clip_grad_norm_(weights, training.config.max_grad_norm)
    meter.norms.append(norm if training.shards is None else training.shards.total(norm))
    if scaler is None:
        training.optimizer.step()
        return None
    before = scaler.get_scale()
    scaler.step(training.optimizer)
    scaler.update()
    after = scaler.get_scale()
    if after >= before:
        return None
    if after < 1:
        step = training.state.step + 1
        raise DivergedError("the gradient", step, training.documents_of(step))
    meter.norms[-1] = torch.zeros_like(meter.norms[-1])
    if not training.process_group.is_main:
        return None  # the gradient is the same in all processes
    return (
        "the gradient is too large for float16; the weights stay as they are, and the loss scale "
        f"is {after:g} instead of {before:g}"
    )


def validate(training: Training, meter: Meter) -> Iterator[Event]:
    """Save a checkpoint, score the validation split and measure the scores.

    Raises:
        ConfigError: If a document doesn't fit in memory.
        DivergedError: If a score is not a finite number.
        StopRequested: Between two batches, if a process received a signal; nothing has changed
            then.
    """
    meter.flush()  # the checkpoint and the training loss of the epoch include its last steps
    if training.final_fit is not None:
        evaluated = end_of_epoch(training, training.final_fit)
        with training.together():
            yield evaluated or CheckpointDue(training.state.step)
        return
    with training.together():
        yield CheckpointDue(training.state.step)  # an error in the validation then loses nothing
    chooses, labels = training.model.principal is not None, len(training.model.labels)
    scored = Scored.empty(len(training.validation), labels, principal=chooses)
    for done in score_validation(training, scored):
        yield Evaluating(done, len(training.validation))
        check_requests(training)
    scored = pool_windows(scored, training.validation, training.config.pos_weight)
    require_finite_scores(training, scored.logits_NL)
    evaluated = measure_validation(training, scored, meter)
    del scored  # a checkpoint follows, which needs memory itself
    with training.together():
        yield evaluated


def measure_validation(training: Training, scored: Scored, meter: Meter) -> Evaluated:
    """Tune fusion and threshold on the validation scores, measure, and update the best so far."""
    state, config, log, model = training.state, training.config, training.log, training.model
    validation_loss = float(scored.losses_N.mean())
    sample_NL = scored.logits_NL[:SAMPLE].copy()  # fusing overwrites the logits
    parts = {NETWORK: scored.logits_NL, **training.lexical_scores}
    if training.on_scores is not None and training.process_group.is_main:
        training.on_scores(state.step, parts)
    fused = tune_scores(
        parts,
        multi_hot(training.validation.targets, len(model.labels), np.bool_),
        model.threshold,
        "validation",
        with_fusion=bool(training.lexical_scores),
        by_evidence=model.reading.with_lexicon,
        missed_NU=training.missed_NU,
        before=model.fusion,
    )
    model.fusion, model.threshold = fused.fusion, fused.threshold
    fused = choose_principal(training, fused, scored)
    measured = configured_metrics(fused, validation_loss, config.monitor, log.metrics)
    value = measured.monitored
    best = state.best_metric
    alarm = collapse_warning(sample_NL, value, best.value, best.higher_is_better, config.lr0)
    # After `resume --load`, the run may already have a better checkpoint, of a later step.
    best_metric = best.update(value) and training.may_replace(
        "metric", value, best.higher_is_better
    )
    best_loss = state.best_loss.update(validation_loss) and training.may_replace(
        "loss", validation_loss, higher_is_better=False
    )
    train_loss = state.epoch_loss / max(state.epoch_documents, 1)
    if state.step % training.steps_per_epoch == 0:  # else the run ends within the epoch
        state.epoch_loss, state.epoch_documents = 0.0, 0
    state.validated = state.step
    meter.flush()  # the run's time includes this validation
    return Evaluated(
        epoch=-(-state.step // training.steps_per_epoch),
        step=state.step,
        seconds=state.seconds,
        train_loss=train_loss,
        validation_loss=validation_loss,
        lr=learning_rate(state.step, config),
        metrics=measured.metrics,
        monitored=value,
        monitored_by=measured.monitored_by,
        note=measured.note,
        confidence=measured.confidence,
        acceptance=measured.acceptance,
        scores=summarize_scores(
            fused.scores_NL, fused.threshold.values_L(len(model.labels)), model.labels, "validation"
        ),
        at_threshold=measured.at_threshold,
        best_metric=best_metric,
        best_loss=best_loss,
        patience_left=best.patience_left(config.patience),
        samples=sample_predictions(
            model,
            training.validation_ids,
            training.validation.targets,
            fused.scores_NL,
            log.prediction_print_n,
            training.seed,
        ),
        alarm=alarm,
        threshold=None if model.threshold.how == "fixed" else str(model.threshold),
    )


def reason_to_end(training: Training) -> str | None:
    """Return why the run is finished, or None if it is not."""
    state, config = training.state, training.config
    if config.patience and state.best_metric.patience_left(config.patience) == 0:
        return f"no improvement in {config.patience} validations"
    if state.validated == state.step >= config.last_step:
        return f"all {config.last_step} steps are done"
    return None


def validation_is_due(training: Training) -> bool:
    """Return whether an epoch or the run ends at this step and still has to be validated.

    A resumed run may have been interrupted between its last step and the validation.
    """
    state = training.state
    at_an_end = (
        state.step % training.steps_per_epoch == 0 or state.step == training.config.last_step
    )
    return at_an_end and state.step > state.validated


def check_requests(training: Training, timer: CheckpointTimer | None = None) -> bool:
    """Exchange stop and checkpoint requests, so that all processes act on them at the same step.

    Returns:
        Whether it is time for a checkpoint.

    Raises:
        StopRequested: If any process received a signal.
    """
    number, time_is_up = training.process_group.agree(
        training.stop_requested(), timer is not None and timer.is_up()
    )
    if number:
        raise StopRequested(reason_of(number))
    return bool(time_is_up)


@contextmanager
def _torch_errors_explained() -> Iterator[None]:
    """Raise a `ConfigError` with the key to change if torch can't compile or be deterministic."""
    try:
        yield
    except RuntimeError as error:
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(
                f"torch_compile: True: this model can't be compiled: {reason}. "
                "Remove the key or set it to False"
            ) from error
        if "deterministic" not in str(error):
            raise
        reason = str(error).splitlines()[0]
        raise ConfigError(f"deterministic: True: {reason} Set deterministic=False") from error
