"""The choice of recomputed layers and micro-batches, on made-up GPUs."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from icdcli.training.memory.plan import MeasuredPass, MemoryPlan, StepSizes, choose_plan
from icdcli.training.memory.recomputation import Recomputation

GB = 10**9


@dataclass
class Card:
    """A GPU with a model on it. Memory is convex in tokens and in layers, as it really is.

    Attributes:
        room: Bytes that passes may use.
        layers: The number of layers.
        kept: Bytes per token that a layer keeps.
        own: Bytes per token of a layer's input.
        head: Bytes per token outside the layers.
        fixed: Bytes of any pass, such as the gradient of the embeddings.
        documents: Documents of a pass; they all have the same length, rounded up.
    """

    room: float
    layers: int = 32
    kept: float = 240e3
    own: float = 8.2e3
    head: float = 100e3
    fixed: float = 0
    documents: int = 1
    tried: list = field(default_factory=list)

    def peak(self, tokens, way):
        attention = self.own * way.keeps_attention
        inputs = way.layers * (self.own + attention)
        outside = (self.layers - way.layers) * self.kept + inputs + self.head
        again = self.kept + inputs if way.layers else 0
        return int(max(self.fixed, tokens * max(outside, again)))

    def __call__(self, tokens, way):
        tokens = -(-tokens // self.documents) * self.documents
        peak = self.peak(tokens, way)
        self.tried.append((tokens, way, peak))
        return MeasuredPass(tokens, peak) if peak <= self.room * 1.1 else None


def plan_of(card, longest=4_096, batch=8, wanted=None, keeps_attention=True):
    everything = Recomputation(card.layers, card.layers, keeps_attention)
    sizes = StepSizes(longest, longest * batch, batch, wanted)
    return choose_plan(card, everything, int(card.room), sizes)


def card_of(model, gigabytes):
    """Return a card of so many GB with a model of frozen weights in it, and adapters."""
    shapes = {
        "1b": {"weights": 2.5, "layers": 16, "kept": 130e3, "own": 4.1e3},
        "8b": {"weights": 16.1, "layers": 32, "kept": 240e3, "own": 8.2e3},
        "8b in 4 bits": {"weights": 5.7, "layers": 32, "kept": 240e3, "own": 8.2e3},
        "70b in 4 bits": {"weights": 40, "layers": 80, "kept": 500e3, "own": 16.4e3},
    }
    shape = dict(shapes[model])
    return Card(room=0.9 * (gigabytes - 0.5 - shape.pop("weights")) * GB, **shape)


@pytest.mark.parametrize(
    ("model", "gigabytes", "layers"),
    [
        ("1b", 80, 0),
        ("1b", 24, 0),
        ("1b", 8, range(7, 12)),
        ("8b", 80, 0),
        ("8b", 40, range(11, 16)),
        ("8b", 24, range(27, 32)),
        ("8b in 4 bits", 24, range(15, 20)),
        ("70b in 4 bits", 80, range(64, 70)),
    ],
)
def test_as_few_layers_as_possible_are_recomputed(model, gigabytes, layers):
    card = card_of(model, gigabytes)
    plan = plan_of(card)
    way, tokens = plan.recomputation, plan.micro_batch_tokens
    assert way.layers == layers or way.layers in (layers if layers else ())
    assert card.peak(tokens, way) <= card.room  # it never runs out
    assert tokens >= 4_096
    if way.layers > 1:  # with two layers fewer, the longest document wouldn't fit
        fewer = Recomputation(way.layers - 2, way.total, way.keeps_attention)
        assert card.peak(4_096, fewer) > card.room
        assert way.keeps_attention


def test_what_is_left_makes_micro_batches_larger_up_to_a_step():
    plan = plan_of(card_of("8b", 80))
    assert plan.recomputation.layers == 0
    assert 6_000 < plan.micro_batch_tokens < 8_192
    assert plan_of(card_of("1b", 80), batch=4).micro_batch_tokens == 4 * 4_096
    assert plan_of(card_of("1b", 80), batch=256).micro_batch_tokens <= 65_536


def test_short_documents_need_no_long_micro_batches():
    """A step of eight documents of 128 tokens has 1,024 tokens: no layer need be recomputed."""
    plan = plan_of(card_of("8b", 40), longest=128)
    assert (plan.recomputation.layers, plan.micro_batch_tokens) == (0, 8 * 128)


def test_attention_is_recomputed_only_if_nothing_else_is_left():
    card = Card(room=0)
    for keeps_attention in (True, False):
        card.room = 1.01 * card.peak(4_096, Recomputation(32, 32, keeps_attention))
        plan = plan_of(card)
        assert plan.recomputation.keeps_attention == keeps_attention
        assert plan.recomputation.layers >= 31
        assert card.peak(plan.micro_batch_tokens, plan.recomputation) <= card.room


def test_too_little_memory_leads_to_full_recomputation():
    everything = Recomputation(32, 32)
    tight, none = plan_of(card_of("8b in 4 bits", 8)), plan_of(Card(room=1000))
    assert tight.recomputation == none.recomputation == everything
    assert 1 <= tight.micro_batch_tokens < 4_096
    assert none.micro_batch_tokens == 1
    assert plan_of(Card(room=-GB)).recomputation == everything


def test_configured_micro_batches_are_kept_if_they_fit():
    wanted = plan_of(card_of("8b", 80), wanted=2_000)
    assert (wanted.recomputation.layers, wanted.micro_batch_tokens) == (0, 4_096)
    large = plan_of(card_of("8b", 80), wanted=16_000)
    assert large.micro_batch_tokens == 16_000
    assert 0 < large.recomputation.layers < 32
    card = card_of("8b", 24)
    too_large = plan_of(card, wanted=10**6, batch=100)
    assert too_large.recomputation == Recomputation(32, 32)
    assert 4_096 <= too_large.micro_batch_tokens < 10**6
    assert card.peak(too_large.micro_batch_tokens, too_large.recomputation) <= card.room


def test_what_short_passes_hide_is_found_by_trying_the_plan():
    """The gradient of the embeddings hides what short passes keep."""
    card = Card(room=30 * GB, fixed=16 * GB)
    plan = plan_of(card)
    assert card.peak(plan.micro_batch_tokens, plan.recomputation) <= card.room
    assert plan.micro_batch_tokens >= 4_096
    assert plan.recomputation.layers < 12
    assert len(card.tried) < 20
    *_, (tokens, way, _) = card.tried
    assert MemoryPlan(way, tokens) == plan  # what is returned has been tried


@pytest.mark.parametrize("documents", [8, 96])
def test_whole_documents_may_be_a_few_tokens_too_many(documents):
    for room in np.linspace(61.5e9, 61.6e9, 40):
        card = Card(room, documents=documents)
        plan = plan_of(card)
        assert plan.recomputation.layers == 0
        assert plan.micro_batch_tokens > 0.95 * room / card.peak(1, plan.recomputation)
        assert len(card.tried) <= 5


def test_a_model_that_recomputes_nothing_gets_smaller_micro_batches():
    card = Card(room=20 * GB)
    plan = choose_plan(card, Recomputation(0, 0), int(card.room), StepSizes(512, 10**5, 8))
    assert plan.recomputation == Recomputation(0, 0)
    assert card.peak(plan.micro_batch_tokens, plan.recomputation) <= card.room
    small = choose_plan(Card(room=GB), Recomputation(0, 0), GB, StepSizes(512, 10**5, 8))
    assert (small.recomputation.layers, small.micro_batch_tokens) == (0, GB // 7_780_000)


def test_sizes_of_steps():
    lengths = np.array([10, 50, 30, 20, 40])
    assert StepSizes.of(lengths, 2) == StepSizes(50, 90, 2)
    assert StepSizes.of(lengths, 99, wanted=7) == StepSizes(50, 150, 99, 7)
    assert StepSizes.of(lengths, 4, ranks=2) == StepSizes(50, 120, 2)
    assert StepSizes.of(lengths, 4, ranks=4) == StepSizes(50, 85, 1)


def test_passes_are_of_the_longest_documents_and_of_many():
    sizes = StepSizes(longest=1_000, most=8_000, documents=8)
    assert sizes.shapes(4_000) == [(4, 1_000), (8, 500)]
    assert sizes.shapes(8_000) == [(8, 1_000)]
    assert sizes.shapes(100) == [(1, 100), (6, 17)]
    assert sizes.shapes(1) == [(1, 1)]
