import math
import signal
from itertools import pairwise

import numpy as np
import pytest
import torch

from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ConfigError
from icdcli.training.checkpointing import CheckpointTimer
from icdcli.training.events import CheckpointDue, Evaluated, Evaluating, Started, StepDone, Stopped
from icdcli.training.loop import train, validate
from icdcli.training.schedule import learning_rate
from icdcli.training.setup import new_training
from icdcli.training.step_metrics import Meter

ALONE = ProcessGroup(0, 1)


def started(config):
    return new_training(config, ALONE)[0]


def weights_of(training):
    return {
        name: weight.detach().clone() for name, weight in training.model.network.named_parameters()
    }


def test_events_come_in_order(config):
    training = started(config())
    events = list(train(training))
    per_epoch = training.steps_per_epoch
    assert events[0] == Started(0, 24, per_epoch)
    assert [event.step for event in events if isinstance(event, StepDone)] == list(range(1, 25))
    assert isinstance(events[-1], Stopped)
    assert events[-1].finished
    assert events[-1].step == 24
    validated = [event.step for event in events if isinstance(event, Evaluated)]
    assert validated == sorted({*range(per_epoch, 25, per_epoch), 24})
    assert {event.total for event in events if isinstance(event, Evaluating)} == {
        len(training.validation)
    }
    for event in events:
        if isinstance(event, StepDone):
            assert event.lr == learning_rate(event.step, training.config)
            assert (event.train_loss is not None) == (event.step % 5 == 0 or event.step == 24)


def test_it_learns(config):
    events = [event for event in train(started(config(steps=96))) if isinstance(event, Evaluated)]
    assert events[-1].train_loss < 0.5 * events[0].train_loss
    assert events[-1].metrics["f1_micro"] > 0.8
    assert len(events[-1].samples) == 2


def test_a_run_repeated_with_the_same_seed_is_the_same(config):
    def outcome(**changes):
        return [
            (event.step, event.train_loss, event.validation_loss, tuple(event.metrics.values()))
            for event in train(started(config(lora_activate=True, lora_dropout=0.3, **changes)))
            if isinstance(event, Evaluated)
        ]

    assert outcome() == outcome()
    assert outcome() != outcome(seed=1)


def test_the_train_loss_is_the_mean_over_the_epochs_documents(config):
    # With nearly no learning rate the loss of an epoch is that of the model as it started.
    training = started(config(lr0=1e-12, steps=13))
    assert training.steps_per_epoch == 13
    [*_, evaluated, _] = train(training)
    assert isinstance(evaluated, Evaluated)
    from icdcli.model.inference.scored import Scored
    from icdcli.model.inference.scoring import score_documents

    scores = Scored.empty(len(training.train), len(training.model.labels))
    for _ in score_documents(training.model.network, training.train, scores):
        pass
    assert evaluated.train_loss == pytest.approx(scores.losses_N.mean(), rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"lora_activate": True}, {"freeze_backbone": True}])
def test_only_trainable_weights_change_and_have_a_state(config, options):
    training = started(config(**options))
    before, trained = weights_of(training), set(training.model.network.trainable())
    for event in train(training):
        if isinstance(event, StepDone) and event.step == 3:
            break
    changed = {
        name
        for name, weight in weights_of(training).items()
        if not torch.equal(weight, before[name])
    }
    assert changed <= trained
    assert {"head.output.weight", "head.output.bias"} <= changed
    assert len(training.optimizer.state) == len(trained)


def test_the_output_starts_at_the_codes_frequencies(config):
    training = started(config())
    counts = np.array(training.model.labels.train_counts)
    odds = (counts + 0.5) / (len(training.train) - counts + 0.5)
    np.testing.assert_allclose(
        training.model.network.head.output.bias.detach().numpy(), np.log(odds), rtol=1e-5
    )


def test_the_head_has_a_learning_rate_factor(config):
    training = started(config(head_lr_factor=7))
    next(event for event in train(training) if isinstance(event, StepDone))
    rates = {group["lr"] for group in training.optimizer.param_groups}
    assert rates == {learning_rate(1, training.config), 7 * learning_rate(1, training.config)}


def test_gradient_checkpointing_changes_no_result(config):
    def last(**options):
        return [
            event
            for event in train(started(config(steps=6, **options)))
            if isinstance(event, Evaluated)
        ][-1]

    with_it, without = last(gradient_checkpointing=True), last()
    assert with_it.validation_loss == pytest.approx(without.validation_loss, rel=1e-5)


def test_patience_ends_the_run(config):
    training = started(config(steps=400, lr0=1e-12, patience=2, monitor="f1_micro"))
    events = list(train(training))
    assert events[-1] == Stopped(
        "no improvement in 2 validations", 3 * training.steps_per_epoch, finished=True
    )
    assert [event.patience_left for event in events if isinstance(event, Evaluated)] == [2, 1, 0]


def test_no_patience_never_ends_it(config):
    events = list(train(started(config(steps=48, lr0=1e-12, patience=0))))
    assert events[-1].reason == "all 48 steps are done"


@pytest.mark.parametrize(
    ("monitor", "value"), [("validation_loss", "validation_loss"), ("map", "map"), (None, "mean")]
)
def test_the_monitored_value(config, monitor, value):
    training = started(config(steps=12, **({"monitor": monitor} if monitor else {})))
    event = next(event for event in train(training) if isinstance(event, Evaluated))
    assert training.state.best_metric.higher_is_better == (monitor != "validation_loss")
    if value == "validation_loss":
        assert event.monitored == event.validation_loss
    elif value == "mean":
        assert event.monitored == pytest.approx(sum(event.metrics.values()) / 2)
    else:
        assert "map" not in event.metrics
        assert 0 < event.monitored <= 1


@pytest.mark.parametrize("bad", [1, 3, 5, 7])
def test_a_loss_that_is_no_number_stops_the_run_at_the_next_logged_step(config, bad):
    training = started(config())
    training.train_ids = [f"note-{row}" for row in range(len(training.train))]
    seen = []
    with pytest.raises(ConfigError) as caught:
        for event in train(training):
            seen.append(event)
            if isinstance(event, Started if bad == 1 else StepDone) and event.step == bad - 1:
                with torch.no_grad():
                    training.model.network.head.output.bias[0] = math.nan
    assert seen[-1].step == 4 + 5 * (bad > 5)
    names = ", ".join(f"note-{row}" for row in training.plan(0)[bad - 1])
    assert (
        f"step {bad}: the training loss is not a finite number. "
        f"The documents of this step are {names}. Try a lower lr0" in str(caught.value)
    )


def test_documents_without_ids_are_numbered(config):
    training = started(config())
    training.train_ids = ()
    step = training.steps_per_epoch + 2
    assert training.documents_of(step) == [f"number {row}" for row in training.plan(1)[1]]


def test_a_request_to_stop_is_heeded_after_the_step(config):
    training = started(config())
    events = []
    for event in train(training):
        events.append(event)
        if isinstance(event, StepDone) and event.step == 7:
            training.stop_requested = lambda: signal.SIGTERM
    assert events[-1] == Stopped("interrupted by SIGTERM", 7, finished=False)


def test_a_request_to_stop_ends_a_validation_as_if_it_had_not_begun(config):
    training = started(config())
    training.validation = training.train
    events = []
    for event in train(training):
        events.append(event)
        if isinstance(event, Evaluating):
            before = training.state
            training.stop_requested = lambda: signal.SIGTERM
    step = training.steps_per_epoch
    assert isinstance(events[-2], Evaluating)
    assert events[-1] == Stopped("interrupted by SIGTERM", step, finished=False)
    assert training.state == before
    assert before.validated == 0
    assert before.epoch_documents == len(training.train)
    assert training.model.network.training


def test_a_run_that_was_validated_to_its_end_is_finished_even_if_a_stop_is_requested(config):
    training = started(config(steps=3, warmup_steps=1))
    for event in train(training):
        if isinstance(event, Evaluated):
            training.stop_requested = lambda: signal.SIGTERM
    assert event == Stopped("all 3 steps are done", 3, finished=True)


def test_checkpoints_are_due_every_few_steps(config):
    events = list(train(started(config(checkpoint_every=5))))
    # 13 and 24 are the ends of the epochs: a validation is preceded by a checkpoint.
    due = [event.step for event in events if isinstance(event, CheckpointDue)]
    assert due == [5, 10, 13, 15, 20, 24]
    assert all(
        isinstance(before, StepDone)
        for before, event in pairwise(events)
        if isinstance(event, CheckpointDue)
    )


def test_a_checkpoint_is_due_before_every_validation_and_after_the_last_step_of_its_epoch(config):
    kinds = [type(event) for event in train(started(config(steps=15, warmup_steps=1)))]
    first = [kind for number, kind in enumerate(kinds) if kind not in kinds[number - 1 : number]]
    epoch = [StepDone, CheckpointDue, Evaluating, Evaluated]
    assert first == [Started, *epoch, *epoch, Stopped]


def test_checkpoints_are_due_when_the_time_is_up(config, monkeypatch):
    looks = iter(range(0, 100_000, 10))  # every look at the clock is ten seconds later
    monkeypatch.setattr(
        "icdcli.training.loop.CheckpointTimer",
        lambda every: CheckpointTimer(every, lambda: next(looks)),
    )
    events = list(train(started(config(checkpoint_every="1min"))))
    # The validation after step 13 is saved, too: from there it is a minute again.
    assert [event.step for event in events if isinstance(event, CheckpointDue)] == [
        6, 12, 13, 19, 24,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("every", "seconds"), [("90s", 90), ("20min", 1200), ("2 h", 7200), (7, None), (None, None)]
)
def test_an_interval_is_in_steps_or_in_time(every, seconds):
    now = [1000.0]
    interval = CheckpointTimer(every, lambda: now[0])
    assert interval.seconds == seconds
    assert interval.steps == (every if isinstance(every, int) else None)
    assert [interval.ends_at(step) for step in (6, 7, 14)] == [
        every == 7 and step > 6 for step in (6, 7, 14)
    ]
    assert not interval.is_up()
    now[0] += 7200
    assert interval.is_up() == (seconds is not None)
    interval.restart()
    assert not interval.is_up()


@pytest.mark.parametrize("at", ["step", "validation"])
def test_several_processes_agree_after_each_step_and_each_batch_of_a_validation(
    config, monkeypatch, at
):
    training = started(config())
    training.process_group, training.validation = ProcessGroup(1, 2), training.train
    end = training.steps_per_epoch
    steps = []

    def agree(process_group, signal_of_this_one, time_is_up):
        steps.append(training.state.step)
        stop = steps.count(end) == 3 if at == "validation" else training.state.step == 7
        return (15 if stop else signal_of_this_one, training.state.step == 4)

    monkeypatch.setattr(ProcessGroup, "agree", agree)
    for name in ("sum_gradients", "sum_array"):
        monkeypatch.setattr(ProcessGroup, name, lambda process_group, values: None)
    training.config = training.config.model_copy(update={"micro_batch_tokens": 100})
    events = list(train(training))
    due = [event.step for event in events if isinstance(event, CheckpointDue)]
    assert due == ([4] if at == "step" else [4, end])
    last = 7 if at == "step" else end
    assert events[-1] == Stopped("interrupted by SIGTERM", last, finished=False)
    assert steps == [*range(1, last + 1), *[end] * (2 if at == "validation" else 0)]
    assert training.state.validated == 0


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 9])
def test_all_processes_agree_equally_often_in_a_validation(config, monkeypatch, ranks):
    training = started(config(micro_batch_tokens=100))
    training.validation, training.validation_ids = training.train, training.train_ids
    for name in ("sum_gradients", "sum_array"):
        monkeypatch.setattr(ProcessGroup, name, lambda process_group, values: None)
    rounds = set()
    for rank in range(ranks):
        training.process_group = ProcessGroup(rank, ranks)
        monkeypatch.setattr(ProcessGroup, "agree", lambda process_group, *wanted: wanted)
        rounds.add(sum(1 for _ in validate(training, Meter(training))))
    assert len(rounds) == 1
