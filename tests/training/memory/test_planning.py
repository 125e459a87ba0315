"""Planning the memory of a training on a CPU, and on a made-up GPU."""

from dataclasses import replace

import pytest
import torch

from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ConfigError
from icdcli.model.packing import kept_attention
from icdcli.training.loop import train
from icdcli.training.memory import measurement, planning, resuming
from icdcli.training.memory.measurement import TrainingPasses
from icdcli.training.memory.plan import MemoryPlan
from icdcli.training.memory.planning import (
    needs_least,
    plan_by_measuring,
    plan_memory,
    sizes_of_steps,
    still_to_come,
    use_plan,
)
from icdcli.training.memory.recomputation import Recomputation
from icdcli.training.memory.resuming import budget_key, resume_memory_plan
from icdcli.training.setup import new_training

ALONE = ProcessGroup(0, 1)
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB."


def started(config):
    return new_training(config, ALONE)[0]


@pytest.fixture
def layered(config, model_folders):
    """A configuration of a model with two layers, whose memory is planned."""

    def make(**changes):
        options = {"model": model_folders["llama"], "gradient_checkpointing": "auto"}
        return config(**(options | changes))

    return make


def kept_by(work):
    """Return the bytes that a pass keeps until its gradients are computed: a GPU's measurement."""
    sizes = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        work()
    return sum(sizes.values())


def trace(training):
    """Return all that measuring must not change."""
    network = training.model.network
    return (
        {name: weight.clone() for name, weight in network.state_dict().items()},
        [weight.grad for weight in network.parameters()],
        torch.get_rng_state(),
        [module.training for module in network.modules()],
        [getattr(module, "gradient_checkpointing", None) for module in network.modules()],
        training.optimizer.state_dict(),
    )


def assert_same(found, expected):
    assert found[0].keys() == expected[0].keys()
    assert all(torch.equal(found[0][name], expected[0][name]) for name in found[0])
    assert found[1] == expected[1] == [None] * len(found[1])
    assert torch.equal(found[2], expected[2])
    assert found[3:] == expected[3:]


@pytest.mark.parametrize("mode", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("fails", [pytest.param(False, marks=pytest.mark.slow), True])
def test_measuring_leaves_no_trace(layered, fails, mode):
    training = started(layered(lora_activate=True, lora_dropout=0.3))
    training.model.network.train(mode)
    for weight in training.model.network.parameters():
        weight.grad = None
    before, peaks = trace(training), []

    def peak_of(work):
        work()
        assert all(weight.grad is None for weight in training.model.network.parameters())
        peaks.append(1)
        if fails and len(peaks) > 1:
            return None
        return 1000

    plan_by_measuring(training, peak_of, lambda _: 10**12)
    assert_same(trace(training), before)
    assert len(peaks) > 2


def test_longer_passes_and_fewer_recomputed_layers_need_more(layered):
    training = started(layered())
    passes = TrainingPasses(training, sizes_of_steps(training), kept_by)
    none, half, every = (
        [passes(tokens, Recomputation(layers, 2)) for tokens in (64, 128)] for layers in (0, 1, 2)
    )
    for measured in (none, half, every):
        assert [each.tokens for each in measured] == pytest.approx([64, 128], abs=16)
        assert measured[0].peak < measured[1].peak
    assert every[1].peak < half[1].peak < none[1].peak


def test_on_a_gpu_the_memory_decides(layered):
    training = started(layered())
    sizes = sizes_of_steps(training)
    passes = TrainingPasses(training, sizes, kept_by)
    needed = sizes.needed
    peaks = [passes(needed, Recomputation(layers, 2)).peak for layers in (0, 1, 2)]
    ways = []
    for peak in (2 * peaks[0], (peaks[0] + peaks[1]) // 2, (peaks[1] + peaks[2]) // 2, 1000):
        free = int((1.02 * peak + still_to_come(training)) / planning.SAFE)
        plan = plan_by_measuring(training, kept_by, lambda _, free=free: free)
        ways.append(plan.recomputation)
        if peak > 1000:
            found = passes(plan.micro_batch_tokens, plan.recomputation)
            assert found.peak <= 1.02 * peak
    assert [way.layers for way in ways] == [0, 1, 2, 2]
    assert [way.keeps_attention for way in ways] == [False, True, True, False]


def test_attention_that_cannot_be_kept_is_not_said_to_be(layered, monkeypatch):
    training = started(layered())
    monkeypatch.setattr(kept_attention, "_is_attention", lambda operation: False)
    plan = plan_by_measuring(training, kept_by, lambda _: 1)
    assert plan.recomputation == Recomputation(2, 2)


def test_gradients_and_averages_that_do_not_exist_yet_are_left_room_for(layered):
    training = started(layered())
    weights = sum(weight.nbytes for weight in training.model.network.trainable().values())
    assert still_to_come(training) == 3 * weights
    next(event for event in train(training) if type(event).__name__ == "StepDone")
    assert still_to_come(training) == weights


def test_on_a_cpu_layers_are_recomputed_only_if_memory_is_short(layered, monkeypatch):
    assert started(layered()).recomputation == Recomputation(0, 2)
    for free in (10**6, None):
        monkeypatch.setattr(planning, "free_memory", lambda free=free: free)
        training = started(layered())
        assert training.recomputation == Recomputation(2, 2)
        assert training.micro_batch_tokens == 16_384


@pytest.mark.parametrize(("value", "layers"), [(True, 2), (False, 0)])
def test_true_and_false_mean_all_and_none(layered, monkeypatch, value, layers):
    monkeypatch.setattr(planning, "free_memory", lambda: 10**6)
    training = started(layered(gradient_checkpointing=value))
    assert training.recomputation == Recomputation(layers, 2)
    assert (training.state.recomputed_layers, training.state.keeps_attention) == (layers, False)


def test_a_frozen_backbone_has_nothing_to_recompute(layered, monkeypatch):
    monkeypatch.setattr(planning, "free_memory", lambda: 10**6)
    assert started(layered(freeze_backbone=True)).recomputation == Recomputation(0, 0)


def test_deterministic_runs_do_not_fill_new_tensors(layered):
    started(layered(deterministic=True))
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory


def test_compiled_layers_are_not_recomputed(layered, monkeypatch):
    monkeypatch.setattr(planning, "free_memory", lambda: 10**6)
    training = started(layered())
    training.config = training.config.model_copy(update={"torch_compile": True})
    assert plan_memory(training).recomputation == Recomputation(0, 2)


def test_sharded_weights_have_all_layers_recomputed(layered):
    training = started(layered())
    training.shards = object()
    assert plan_memory(training).recomputation == Recomputation(2, 2)


def test_a_gpu_is_asked_for_its_peak_and_for_all_memory_back(monkeypatch):
    asked, allocated, peak = [], [300], [1_000]
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: asked.append("synchronize"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: asked.append("reset"))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: allocated[0])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: peak[0])
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: asked.append("empty"))
    measure = measurement.peak_on_gpu(torch.device("cuda"))
    assert measure(lambda: asked.append("work")) == 700
    assert asked == ["synchronize", "reset", "work", "synchronize", "reset"]

    def too_much():
        raise torch.OutOfMemoryError(OUT_OF_MEMORY)

    asked.clear()
    assert measure(too_much) is None
    assert asked == ["synchronize", "reset", "empty"]

    def wrong():
        raise RuntimeError("shapes don't match")

    with pytest.raises(RuntimeError, match="shapes"):
        measure(wrong)


def made_up_gpu(training, monkeypatch, free):
    """Let a training plan its memory as on a GPU with so many free bytes."""
    monkeypatch.setattr(planning, "peak_on_gpu", lambda device: kept_by)
    monkeypatch.setattr(planning, "free_memory_of_gpu", lambda device: free)
    group = ProcessGroup(0, 1)
    monkeypatch.setattr(planning, "_is_gpu", lambda device: True)
    training.process_group = group


def test_micro_batches_larger_than_memory_are_made_smaller_with_a_warning(layered, monkeypatch):
    training = started(layered(micro_batch_tokens=10**6))
    passes = TrainingPasses(training, sizes_of_steps(training), kept_by)
    smaller = passes(100, Recomputation(2, 2)).peak
    said = []
    made_up_gpu(training, monkeypatch, int((smaller + still_to_come(training)) / planning.SAFE))
    plan = plan_memory(training, said.append)
    assert plan.recomputation == Recomputation(2, 2)
    assert 40 < plan.micro_batch_tokens < 120
    [message] = said
    assert message.startswith("micro_batch_tokens: 1,000,000: ")
    assert f"{plan.micro_batch_tokens} fit in the memory of cpu, although all layers" in message
    made_up_gpu(training, monkeypatch, 10**12)
    assert plan_memory(training, said.append).micro_batch_tokens == sizes_of_steps(training).most
    assert len(said) == 1
    assert training.measured_pass.tokens == training.micro_batch_tokens


class Several(ProcessGroup):
    """The main process of several; the others want other numbers."""

    def agree(self, *wanted):
        return tuple(map(max, wanted, self.others[-len(wanted) :])) if self.others else wanted


@pytest.mark.parametrize(
    ("others", "plan"),
    [
        ((1, 0, -100), MemoryPlan(Recomputation(1, 2, keeps_attention=True), 100)),
        ((2, 1, -100), MemoryPlan(Recomputation(2, 2), 100)),
        ((0, 0, -(10**6)), MemoryPlan(Recomputation(0, 2), 16_384)),
    ],
)
def test_the_most_careful_plan_of_all_processes_is_used(layered, others, plan):
    training = started(layered())
    group = Several(0, 2, torch.device("cpu"))
    object.__setattr__(group, "others", others)
    training.process_group = group
    assert plan_memory(training) == plan
    assert training.recomputation == plan.recomputation


def weights_after(training):
    events = [event for event in train(training) if type(event).__name__ == "StepDone"]
    network = training.model.network
    return [event.train_loss for event in events], dict(network.named_parameters())


@pytest.mark.slow
def test_a_run_is_the_same_bit_for_bit_however_its_layers_are_recomputed(layered):
    options = {
        "lora_activate": True, "lora_dropout": 0.3, "log_every": 1, "steps": 3, "warmup_steps": 1,
    }  # fmt: skip
    plans = [Recomputation(0, 2), Recomputation(1, 2), Recomputation(2, 2)]
    plans += [replace(way, keeps_attention=True) for way in plans[1:]]
    expected = None
    for way in plans:
        training = started(layered(**options))
        use_plan(training, MemoryPlan(way, 64))
        found = weights_after(training)
        expected = expected or found
        assert found[0] == expected[0]
        assert all(torch.equal(found[1][name], expected[1][name]) for name in expected[1])


def fails_unless(training, monkeypatch, way):
    """Let passes run out of memory unless layers are recomputed in some way."""
    forward = training.model.network.forward

    def limited(*args, **kwargs):
        if training.recomputation != way:
            raise torch.OutOfMemoryError(OUT_OF_MEMORY)
        return forward(*args, **kwargs)

    monkeypatch.setattr(training.model.network, "forward", limited)


def test_a_run_without_memory_recomputes_all_layers_before_it_gives_up(layered, monkeypatch):
    training = started(layered(steps=6))
    fails_unless(training, monkeypatch, needs_least(training))
    events = [event for event in train(training) if type(event).__name__ == "StepDone"]
    assert len(events) == 6
    assert "all layers are recomputed" in events[0].note
    assert training.state.recomputed_layers == 2


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ("auto", "Lower max_len or bit"),
        (True, "Lower max_len or bit"),
        (False, "Lower max_len, set gradient_checkpointing: True, or bit"),
    ],
)
def test_the_remedy_is_one_that_helps(layered, monkeypatch, value, remedy):
    training = started(layered(gradient_checkpointing=value))
    fails_unless(training, monkeypatch, None)
    with pytest.raises(ConfigError, match="even alone") as raised:
        list(train(training))
    assert str(raised.value).endswith(remedy)


def test_a_resumed_run_repeats_its_plan(layered, monkeypatch):
    training = started(layered())
    use_plan(training, MemoryPlan(Recomputation(1, 2, keeps_attention=True), 77))
    training.state.micro_batch_tokens = [77]
    again = started(layered())
    again.state = training.state
    monkeypatch.setattr(planning, "free_memory", lambda: 10**6)  # another plan would be made
    assert resume_memory_plan(again) is None
    assert again.recomputation == Recomputation(1, 2, keeps_attention=True)
    assert again.micro_batch_tokens == 77


def test_a_run_resumed_on_another_card_reports_what_changes(layered, monkeypatch):
    training = started(layered())
    use_plan(training, MemoryPlan(Recomputation(1, 2), 77))
    training.state.micro_batch_tokens = [77]
    training.state.micro_batches_of += " NVIDIA A100 with 40 GiB"
    again = started(layered())
    again.state = training.state
    message = resume_memory_plan(again)
    assert message is not None
    assert "no layer is recomputed; micro-batches of up to 16,384 tokens (before: 1 of" in message
    assert "before: 1 of 2 layers are recomputed; micro-batches of up to 77 tokens)" in message
    assert again.recomputation == Recomputation(0, 2)
    assert again.state.micro_batches_of == budget_key(again.config, ALONE)


def test_the_card_is_part_of_what_a_plan_depends_on(layered, monkeypatch):
    monkeypatch.setattr(resuming, "_card", lambda device: "a card")
    config, cuda = layered().train, ProcessGroup(0, 1, "cuda")
    assert budget_key(config, cuda) == "1 cuda None auto ddp a card"
    fixed = config.model_copy(update={"gradient_checkpointing": True})
    assert budget_key(fixed, cuda) == "1 cuda None True ddp"  # as version 0.1.0 wrote it
    assert budget_key(config, ALONE) == "1 cpu None auto ddp"


def test_runs_of_version_0_1_0_keep_their_micro_batches(layered):
    training = started(layered(gradient_checkpointing=True))
    training.state.micro_batch_tokens, training.state.recomputed_layers = [50], None
    assert resume_memory_plan(training) is None
    assert training.recomputation == Recomputation(2, 2)
    assert training.micro_batch_tokens == 50
