"""Training in float16 with scaled losses, as on a T4 or V100; here on the CPU."""

import signal
from dataclasses import replace

import pytest
import torch

import icdcli.model.backbone
import icdcli.model.precision
import icdcli.training.setup
from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ConfigError
from icdcli.io.manifest import verify
from icdcli.run_dir import RunDir, find_checkpoint
from icdcli.training.events import Evaluated, StepDone
from icdcli.training.loop import train
from icdcli.training.losses import loss_scaler
from icdcli.training.recorder import recording
from icdcli.training.setup import new_training, resumed_training, summarize
from icdcli.training.step_metrics import DivergedError

ALONE = ProcessGroup(0, 1)
FULL = 2.0**16
"""GradScaler's first scale."""


@pytest.fixture
def float16(monkeypatch):
    """Compute in float16 on the CPU."""
    for module in (icdcli.model.backbone, icdcli.model.precision):
        monkeypatch.setattr(module, "half_precision", lambda device: torch.float16)


def scale_with(monkeypatch, **options):
    monkeypatch.setattr(
        icdcli.training.setup,
        "loss_scaler",
        lambda network, process_group: torch.amp.GradScaler(network.device.type, **options),
    )


def steps_of(training):
    return [event for event in train(training) if isinstance(event, StepDone)]


def weights_of(training):
    return {name: weight.clone() for name, weight in training.model.network.trainable().items()}


def equal(first, second):
    return all(torch.equal(weight, second[name]) for name, weight in first.items())


@pytest.fixture
def config(config):
    """Half-precision arithmetic is slow on CPUs."""
    return lambda **changes: config(**{"bit": 16, "max_len": 12, "steps": 14} | changes)


@pytest.mark.slow
def test_it_learns_as_in_full_precision(config, float16):
    half, corpus = new_training(config(steps=26), ALONE)
    whole, _ = new_training(config(bit=32, steps=26), ALONE)
    assert half.scaler is not None
    assert whole.scaler is None
    losses = [
        [event.train_loss for event in train(each) if isinstance(event, Evaluated)]
        for each in (half, whole)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.03)
    assert losses[0][1] < 0.7 * losses[0][0]
    assert "in float16 with loss scaling" in summarize(corpus, half).to_json()["weights"]
    assert "float16" not in str(summarize(corpus, whole).to_json())


@pytest.mark.slow
def test_adapters_of_a_float16_backbone_are_trained_in_full_precision(config, float16):
    # The notes deny nothing, so that weights for assertion classes would stay as they are.
    training, _ = new_training(config(lora_activate=True, lora_r=4, assertion="mentions"), ALONE)
    before = weights_of(training)
    steps_of(training)
    after = weights_of(training)
    assert {weight.dtype for weight in after.values()} == {torch.float32}
    assert not any(torch.equal(weight, after[name]) for name, weight in before.items())
    frozen = [weight for weight in training.model.network.parameters() if not weight.requires_grad]
    assert {weight.dtype for weight in frozen} == {torch.float16}


def test_losses_in_bfloat16_are_not_scaled(config):
    training, _ = new_training(config(), ALONE)
    assert training.model.network.autocast is torch.bfloat16
    assert training.scaler is None


class Mixed(ProcessGroup):
    """Two processes, of which the other computes in bfloat16."""

    def agree(self, *numbers):
        return tuple(max(mine, others) for mine, others in zip(numbers, (0, 1), strict=True))


def test_processes_of_different_precision_are_refused(config, float16):
    training, _ = new_training(config(), ALONE)
    with pytest.raises(ConfigError, match=r"Train on GPUs of one kind, or set bit: 32"):
        loss_scaler(training.model.network, Mixed(0, 2, torch.device("cpu")))


def gradients_of(config, scaled, **changes):
    """Return the backbone's gradients of the first step, with a head whose gradients are small."""
    training, _ = new_training(config(head_lr_factor=1, **changes), ALONE)
    with torch.no_grad():
        training.model.network.head.output.weight.mul_(1e-6)
    if not scaled:
        training.scaler = None
    found = {}
    step = training.optimizer.step

    def look(*arguments, **options):
        found.update(
            (name, weight.grad.clone())
            for name, weight in training.model.network.trainable().items()
            if name.startswith("backbone.layers")
        )
        return step(*arguments, **options)

    training.optimizer.step = look
    training.config = training.config.model_copy(update={"max_grad_norm": 1e9})
    next(event for event in train(training) if isinstance(event, StepDone))
    return torch.cat([gradient.flatten() for gradient in found.values()])


def test_small_gradients_are_kept(config, float16):
    expected = gradients_of(config, scaled=False, bit=32)
    scaled = gradients_of(config, scaled=True)
    plain = gradients_of(config, scaled=False)
    assert (scaled - expected).norm() < 0.02 * expected.norm()
    assert (plain - expected).norm() > 0.2 * expected.norm()


def make_infinite(training, steps):
    """Make a gradient infinite in these steps, as one that is too large for float16."""
    weight = next(iter(training.model.network.trainable().values()))
    weight.register_hook(
        lambda gradient: gradient * torch.inf if training.state.step + 1 in steps else gradient
    )


@pytest.mark.parametrize(
    "fused",
    [pytest.param(False, marks=pytest.mark.slow), True],
    ids=["plain", "fused, as on GPUs"],
)
def test_a_step_with_too_large_gradients_is_skipped(config, float16, fused):
    training, _ = new_training(config(), ALONE)
    groups = [
        {key: value for key, value in group.items() if key != "fused"}
        for group in training.optimizer.param_groups
    ]
    training.optimizer = torch.optim.AdamW(groups, fused=fused)
    make_infinite(training, {3})
    before, notes = {}, {}
    for event in train(training):
        if not isinstance(event, StepDone):
            continue
        notes[event.step] = event.note
        now = weights_of(training)
        if event.step > 1:
            assert equal(before, now) == (event.step == 3)
        before = now
    assert notes[3] == (
        "the gradient is too large for float16; the weights stay as they are, and the loss scale "
        "is 32768 instead of 65536"
    )
    assert [step for step, note in notes.items() if note] == [3]
    assert training.scaler.get_scale() == FULL / 2
    taken = {int(state["step"]) for state in training.optimizer.state.values()}
    assert taken == {13}
    assert training.state.step == 14


@pytest.mark.slow
def test_gradients_that_are_always_too_large_end_the_run(config, float16):
    training, _ = new_training(config(steps=18), ALONE)
    make_infinite(training, set(range(100)))
    with pytest.raises(DivergedError, match=r"step 17: the gradient is not a finite number"):
        list(train(training))


def test_an_infinite_loss_is_reported_at_once(config, float16):
    training, _ = new_training(config(log_every=1), ALONE)
    with torch.no_grad():
        training.model.network.head.output.weight.fill_(torch.nan)
    with pytest.raises(DivergedError, match="step 1: the training loss is not a finite number"):
        list(train(training))


def recorded(training, run, corpus, stop_after=None):
    notes = []
    with recording(training, run, corpus, []) as publish:
        for event in train(training):
            publish(event)
            if isinstance(event, StepDone):
                notes.append(event.note)
                if event.step == stop_after:
                    training.stop_requested = lambda: signal.SIGINT
    return notes


@pytest.mark.slow
def test_a_resumed_run_is_the_same_with_the_same_scales(config, float16, monkeypatch):
    # The scale is too large at first and grows again and again, so that steps are skipped.
    scale_with(monkeypatch, init_scale=2.0**30, growth_interval=4)
    settings = config(lora_activate=True, lora_dropout=0.3, lora_r=4)
    whole, corpus = new_training(settings, ALONE)
    expected = recorded(whole, RunDir.create(settings.run.project, "whole"), corpus)
    assert sum(note is not None for note in expected) > 3

    for stop_after in (3, 11):
        begun, corpus = new_training(settings, ALONE)
        run = RunDir.create(settings.run.project, f"stopped after {stop_after}")
        notes = recorded(begun, run, corpus, stop_after)
        checkpoint = find_checkpoint(run, "last")
        resumed, corpus = resumed_training(settings, checkpoint, verify(checkpoint), ALONE)
        assert resumed.scaler.state_dict() == begun.scaler.state_dict()
        assert notes + recorded(resumed, run, corpus) == expected
        assert resumed.scaler.state_dict() == whole.scaler.state_dict()
        assert equal(weights_of(resumed), weights_of(whole))
        assert replace(resumed.state, seconds=0) == replace(whole.state, seconds=0)


def test_a_run_continues_on_a_device_with_another_precision(config, monkeypatch):
    settings = config()
    begun, corpus = new_training(settings, ALONE)
    run = RunDir.create(settings.run.project, "run")
    recorded(begun, run, corpus, stop_after=11)
    for module in (icdcli.model.backbone, icdcli.model.precision):
        monkeypatch.setattr(module, "half_precision", lambda device: torch.float16)
    checkpoint = find_checkpoint(run, "last")
    resumed, corpus = resumed_training(settings, checkpoint, verify(checkpoint), ALONE)
    assert resumed.scaler.get_scale() == FULL
    assert recorded(resumed, run, corpus) == [None] * 3
