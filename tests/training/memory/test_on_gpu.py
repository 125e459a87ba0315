"""Planning memory on a real GPU. It is skipped elsewhere."""

import pytest
import torch

from icdcli.distributed.process_group import ProcessGroup
from icdcli.training.events import StepDone
from icdcli.training.loop import train
from icdcli.training.memory import planning
from icdcli.training.memory.measurement import TrainingPasses, peak_on_gpu
from icdcli.training.memory.plan import MemoryPlan
from icdcli.training.memory.planning import plan_memory, sizes_of_steps, still_to_come, use_plan
from icdcli.training.memory.recomputation import Recomputation
from icdcli.training.setup import new_training

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
LAYERS = 2


@pytest.fixture
def started(config, model_folders):
    """Return a function that sets up a training on the first GPU."""

    def make(**changes):
        options = {
            "model": model_folders["llama"], "gradient_checkpointing": "auto", "device": [0],
            "bit": 16, "lora_activate": True, "log_every": 1, "steps": 6,
        }  # fmt: skip
        group = ProcessGroup(0, 1, "cuda:0")
        return new_training(config(**(options | changes)), group)[0]

    return make


def losses_of(training):
    return [event.train_loss for event in train(training) if isinstance(event, StepDone)]


def test_with_enough_memory_nothing_is_recomputed_and_a_step_is_one_micro_batch(started):
    training = started()
    assert training.recomputation.layers == 0
    assert training.micro_batch_tokens == sizes_of_steps(training).most
    assert training.measured_pass.peak > 0
    assert all(weight.grad is None for weight in training.model.network.parameters())


def test_the_plan_follows_from_the_memory_and_is_kept_to(started, monkeypatch):
    training = started()
    measure = TrainingPasses(training, sizes_of_steps(training), peak_on_gpu(torch.device("cuda")))
    tokens = sizes_of_steps(training).needed
    plans = []
    for share in (1.05, 0.6, 0.05):
        room = share * measure(tokens, Recomputation(0, LAYERS)).peak
        free = int((room + still_to_come(training)) / planning.SAFE)
        monkeypatch.setattr(planning, "free_memory_of_gpu", lambda device, free=free: free)
        plans.append(plan_memory(training))
        if share > 0.5:
            found = measure(plans[-1].micro_batch_tokens, plans[-1].recomputation)
            assert found.peak <= room
    layers = [plan.recomputation.layers for plan in plans]
    assert layers == sorted(layers)
    assert (layers[0], layers[-1]) == (0, LAYERS)


def test_measuring_changes_no_random_number(started):
    first, second = (started(lora_dropout=0.3) for _ in range(2))
    before = torch.cuda.get_rng_state()
    plan_memory(second)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert losses_of(first) == losses_of(second)


def test_losses_do_not_depend_on_what_is_recomputed(started):
    found = []
    for layers, keeps_attention in ((0, False), (1, True), (LAYERS, True), (LAYERS, False)):
        training = started(lora_dropout=0.3)
        use_plan(training, MemoryPlan(Recomputation(layers, LAYERS, keeps_attention), 128))
        found.append(losses_of(training))
    assert found == [found[0]] * 4
