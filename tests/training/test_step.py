from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModel, LlamaConfig

from icdcli.data.batching import SpecialTokens, collate
from icdcli.data.corpus.reader import Labels
from icdcli.data.encoded_documents import EncodedDocuments, Tokens
from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ConfigError
from icdcli.model.batch import Batch
from icdcli.model.heads.pooled import PooledHead
from icdcli.model.network import CodingNetwork
from icdcli.model.neural_model import NeuralModel
from icdcli.model.packing.probe import choose_padding
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold
from icdcli.training.early_stopping import Best
from icdcli.training.loop import train_step
from icdcli.training.memory.resuming import budget_key, resume_memory_plan
from icdcli.training.micro_batches import MicroBatchReader
from icdcli.training.section import LogConfig, TrainConfig
from icdcli.training.state import RunState, Training
from icdcli.training.step_metrics import Meter

DOCUMENTS, LABELS, CPU = 24, 5, torch.device("cpu")
STEP = np.array([3, 17, 4, 9, 22, 0, 11])


Unsupported = type("Unsupported", (RuntimeError,), {"__module__": "torch._dynamo.exc"})


@dataclass(frozen=True)
class Simulated(ProcessGroup):
    """One of several processes, simulated: its own gradient is kept aside."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU
    gradients: list[torch.Tensor] = field(default_factory=list)

    def sum_gradients(self, weights):
        self.gradients[:] = [
            torch.zeros_like(w) if w.grad is None else w.grad.clone() for w in weights
        ]

    def sum_array(self, values):
        pass


def small_llama(dropout=0.0):
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 60,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    settings = LlamaConfig(
        **sizes, max_position_embeddings=64, pad_token_id=0, attention_dropout=dropout
    )
    settings.is_causal = False
    return CodingNetwork(AutoModel.from_config(settings), PooledHead(16, LABELS, "mean")).train()


def run_of(
    network=None, padding="free", budget=16_384, process_group=None, optimizer=None, **options
):
    network = network or small_llama()
    if isinstance(network, CodingNetwork):
        choose_padding(network, padding)
    draw = np.random.default_rng(0)
    lengths = draw.integers(1, 40, DOCUMENTS)
    tokens = Tokens(draw.integers(3, 60, lengths.sum()).astype(np.uint32), np.cumsum([0, *lengths]))
    targets = [np.flatnonzero(draw.random(LABELS) < 0.4).astype(np.int32) for _ in lengths]
    train = EncodedDocuments(tokens, np.arange(DOCUMENTS), targets, SpecialTokens((1,), (), 0), 30)
    labels = Labels(
        tuple("ABCDE"), ("diagnosis",) * LABELS, (None,) * LABELS, (1,) * LABELS, (1,) * LABELS
    )
    config = TrainConfig(
        **{"steps": 100, "warmup_steps": 0, "batch_size": 8, "max_grad_norm": 1e9, **options}
    )
    return Training(
        model=NeuralModel(
            network,
            None,
            SpecialTokens((1,), (), 0),
            labels,
            ModelConfig(),
            Threshold(),
            own_backbone=False,
        ),
        optimizer=optimizer
        or torch.optim.SGD([{"params": list(network.trainable().values()), "factor": 1.0}]),
        train=train,
        validation=train,
        validation_ids=[],
        config=config,
        log=LogConfig(log_every=1),
        seed=0,
        process_group=process_group or Simulated(),
        state=RunState(Best(higher_is_better=True)),
        micro_batch_tokens=budget,
    )


def steps_of(training, steps, meter):
    with closing(MicroBatchReader(training, steps)) as reader:
        for rows in reader:
            yield train_step(training, rows, reader, meter)


def one_step(training, rows, meter):
    [done] = steps_of(training, [rows], meter)
    return done


def gradient_of(**options):
    """A step's gradient and mean loss, summed over simulated ranks."""
    ranks = options.pop("ranks", 1)
    groups = [Simulated(rank, ranks) for rank in range(ranks)]
    losses = [
        one_step(training, STEP, Meter(training)).train_loss
        for training in (run_of(process_group=w, **options) for w in groups)
    ]
    return [
        sum(parts)
        for parts in zip(*(process_group.gradients for process_group in groups), strict=True)
    ], sum(losses)


@pytest.mark.parametrize("padding", ["free", "batch"])
@pytest.mark.parametrize("budget", [1, 64, 10**9])
@pytest.mark.parametrize("ranks", [1, 2, 3, 9])
def test_the_gradient_is_the_same_for_any_micro_batches_and_ranks(padding, budget, ranks):
    expected, expected_loss = gradient_of(padding="batch", budget=10**9)
    found, loss = gradient_of(padding=padding, budget=budget, ranks=ranks)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert len(found) == len(expected) > 10
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_two_draws_without_dropout_are_one():
    once, loss = gradient_of()
    twice, same_loss = gradient_of(rdrop_alpha=4.0)
    assert same_loss == pytest.approx(loss)
    for mine, theirs in zip(twice, once, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_two_draws_that_differ_cost():
    losses = [
        gradient_of(network=small_llama(dropout=0.5), rdrop_alpha=alpha)[1]
        for alpha in (1e-9, 50.0)
    ]
    assert losses[1] > losses[0] + 1e-3


def test_the_gradient_is_that_of_the_mean_loss_of_the_steps_documents():
    network = small_llama()
    before = {name: weight.detach().clone() for name, weight in network.trainable().items()}
    training = run_of(network, budget=64)
    one_step(training, STEP, Meter(training))
    found = network.head.output.bias.grad.clone()
    with torch.no_grad():
        for name, weight in network.trainable().items():
            weight.copy_(before[name])
    network.zero_grad()
    choose_padding(network, "batch")
    losses = []
    for row in STEP:
        logits_L = network(Batch.of(collate([training.train[row]], 0)))[0]
        targets_L = torch.zeros(LABELS)
        targets_L[training.train.targets[row].tolist()] = 1
        losses.append(
            torch.nn.functional.binary_cross_entropy_with_logits(
                logits_L, targets_L, pos_weight=torch.tensor(5.0)
            )
        )
    torch.stack(losses).mean().backward()
    torch.testing.assert_close(found, network.head.output.bias.grad, rtol=1e-4, atol=1e-7)


def events_of(network, steps=4, **options):
    training = run_of(network, **options)
    plan = training.plan(0) * 2
    return list(steps_of(training, plan[:steps], Meter(training))), training


@pytest.mark.parametrize("padding", ["free", "batch"])
def test_steps_repeated_are_the_same_bit_for_bit(padding):
    first, second = (small_llama(dropout=0.3) for _ in range(2))
    outcomes = [
        [(done.step, done.train_loss) for done in events_of(n, padding=padding, budget=70)[0]]
        for n in (first, second)
    ]
    assert outcomes[0] == outcomes[1]
    for name, weight in first.trainable().items():
        assert torch.equal(weight, second.trainable()[name])


class Watched(torch.nn.Module):
    """A backbone that looks tokens up and records its inputs' shapes; ``memory`` tokens fit."""

    def __init__(self, memory=10**9):
        super().__init__()
        self.table = torch.nn.Embedding(60, 16)
        self.memory, self.shapes, self.seeds = memory, [], []

    def forward(self, input_ids, attention_mask):
        if input_ids.numel() > self.memory:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.shapes.append(tuple(input_ids.shape))
        self.seeds.append(torch.initial_seed())
        return type("States", (), {"last_hidden_state": self.table(input_ids)})


class Lookup(CodingNetwork):
    def __init__(self, memory=10**9):
        torch.manual_seed(0)
        super().__init__(Watched(memory), PooledHead(16, LABELS, "mean"))


def lookup_run(network, **options):
    training = run_of(None, **options)
    training.model.network = network
    training.optimizer = torch.optim.SGD(
        [{"params": list(network.trainable().values()), "factor": 1.0}]
    )
    return training


def test_every_micro_batch_of_every_step_and_rank_draws_for_itself():
    seeds = []
    for rank in (0, 1):
        network = Lookup()
        training = lookup_run(network, budget=40, process_group=Simulated(rank, 2))
        list(steps_of(training, training.plan(0), Meter(training)))
        assert len(network.backbone.seeds) > len(training.plan(0))
        seeds += network.backbone.seeds
    assert len(set(seeds)) == len(seeds)


def test_out_of_memory_halves_the_micro_batches_and_does_the_step_again():
    expected, roomy = [], Lookup()
    training = lookup_run(roomy)
    expected = list(steps_of(training, training.plan(0), Meter(training)))
    tight = Lookup(memory=60)
    training = lookup_run(tight)
    found = list(steps_of(training, training.plan(0), Meter(training)))
    assert [done.step for done in found] == [1, 2, 3]
    assert [done.train_loss for done in found] == pytest.approx(
        [done.train_loss for done in expected], rel=1e-5
    )
    for name, weight in roomy.trainable().items():
        torch.testing.assert_close(tight.trainable()[name], weight)
    assert training.micro_batch_tokens <= 60
    notes = [done.note for done in found if done.note]
    assert notes
    assert f"micro_batch_tokens: {training.micro_batch_tokens} instead of" in notes[-1]
    assert max(np.prod(shape) for shape in tight.backbone.shapes) <= 60


@dataclass(frozen=True)
class WithAnother(Simulated):
    """The main process of two; the other reports its micro-batch sizes with each sum."""

    sizes: list[tuple[int, int]] = field(default_factory=list)

    def sum_array(self, values):
        values[-2:] = self.sizes.pop(0)


def test_what_another_process_ran_out_of_is_reported_once():
    network = Lookup()
    training = lookup_run(
        network, process_group=WithAnother(0, 2, sizes=[(64, 64), (64, 32), (32, 32)])
    )
    notes = [done.note for done in steps_of(training, training.plan(0), Meter(training))]
    assert notes == [
        None,
        "process 1 ran out of memory; it continues with micro_batch_tokens: 32 instead of 64",
        None,
    ]
    assert training.state.micro_batch_tokens == [training.micro_batch_tokens, 32]


def test_a_resumed_run_uses_the_micro_batches_that_fit_before():
    training = lookup_run(Lookup(memory=60))
    training.state.micro_batches_of = budget_key(training.config, training.process_group)
    list(steps_of(training, training.plan(0), Meter(training)))
    again = lookup_run(Lookup())
    again.state = training.state
    assert resume_memory_plan(again) is None
    assert again.micro_batch_tokens == training.micro_batch_tokens <= 60
    other = lookup_run(Lookup(), gradient_checkpointing=False)
    other.state = training.state
    assert resume_memory_plan(other) is None
    assert (other.micro_batch_tokens, other.state.micro_batch_tokens) == (16_384, [])


def test_a_document_that_does_not_fit_alone_is_reported():
    training = lookup_run(Lookup(memory=20))
    with pytest.raises(
        ConfigError, match=r"max_len: a document of 30 tokens doesn't fit in the memory of cpu"
    ):
        list(steps_of(training, [np.arange(DOCUMENTS)], Meter(training)))


def test_with_sharded_weights_a_process_without_memory_reports_the_remedy():
    training = lookup_run(Lookup(memory=60))
    training.shards = object()
    with pytest.raises(
        ConfigError,
        match="one process can't repeat a step alone",
    ):
        list(steps_of(training, training.plan(0), Meter(training)))


@pytest.mark.parametrize(("error", "says"), [
    (Unsupported("a call that dynamo doesn't know\nand where"),
     "^torch_compile: True: this model can't be compiled: a call"),
    (RuntimeError("cumsum has no deterministic form."),
     "^deterministic: True: cumsum has no deterministic form. Set determ"),
])  # fmt: skip
def test_what_torch_refuses_is_reported_with_the_key(monkeypatch, error, says):
    def refuse(*_, **__):
        raise error

    network = Lookup()
    monkeypatch.setattr(network.backbone, "forward", refuse)
    training = lookup_run(network)
    with pytest.raises(ConfigError, match=says):
        list(steps_of(training, training.plan(0), Meter(training)))


def test_the_next_steps_documents_are_read_while_this_step_is_computed():
    network = Lookup()
    training = lookup_run(network, budget=10**9)
    read = []
    inner = training.train

    class Reading(EncodedDocuments):
        def __getitem__(self, position):
            read.append(int(position))
            return super().__getitem__(position)

    training.train = Reading(
        inner.tokens, inner.rows, inner.targets, inner.special_tokens, inner.max_len
    )
    plan = training.plan(0)
    steps = steps_of(training, plan, Meter(training))
    next(steps)
    steps.close()
    assert set(read) == {*plan[0].tolist(), *plan[1].tolist()}


class NoLooking(TorchDispatchMode):
    """Fails if a number is read from a tensor, which on a GPU waits for all work before it."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func is not torch.ops.aten._local_scalar_dense.default, (
            "the step waits for the device"
        )
        return func(*args, **(kwargs or {}))


def test_between_logged_steps_nothing_waits_for_the_device():
    # Padded documents do: transformers looks whether their mask masks anything.
    training = run_of(padding="free", budget=64)
    training.log = LogConfig(log_every=50)
    with NoLooking():
        assert len(list(steps_of(training, training.plan(0), Meter(training)))) == 3
    with pytest.raises(AssertionError, match="waits"), NoLooking():
        torch.ones(1).item()


def test_the_gradient_is_measured_and_clipped():
    training = run_of(max_grad_norm=1e-3)
    training.log = LogConfig(log_every=50)
    meter = Meter(training)
    one_step(training, STEP, meter)
    [norm], [loss] = meter.norms, meter.pending
    assert norm > 1e-3
    assert loss > 0
    lengths = torch.stack(
        [
            weight.grad.norm()
            for weight in training.model.network.trainable().values()
            if weight.grad is not None
        ]
    )
    assert lengths.norm() == pytest.approx(1e-3, rel=1e-3)
    assert (meter.documents, meter.tokens) == (7, training.train.lengths[STEP].sum())
