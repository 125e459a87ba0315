"""The choice of the layers to recompute and of the size of micro-batches, from measured passes.

Recomputing a layer costs time at every step, small micro-batches cost little once the matrix
products of a GPU are fast. So as few layers are recomputed as possible; memory that is left makes
micro-batches larger. The choice is a function of its arguments: it is tested with made-up GPUs.
"""

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from icdcli.training.memory.recomputation import Recomputation

SATURATED = 4_096
"""Tokens with which the matrix products of a large GPU reach nearly their full speed."""

MOST = 65_536
"""The most tokens of a micro-batch. More are not faster."""

_SHORT, _SHORTEST = 1_024, 64  # tokens of the first passes
_FEW = 16  # tokens; documents of fewer aren't assumed
_TRIALS = 8  # plans that are tried before the one that needs the least memory is taken
_SMALLER = 0.98  # passes are rounded up to whole documents, so a plan must shrink by more than that
_LARGER = 1.25  # the assumed memory of a pass that ran out of memory, relative to what was expected


@dataclass(frozen=True, slots=True)
class MeasuredPass:
    """A forward and backward pass.

    Attributes:
        tokens: Its tokens.
        peak: Bytes that it needed, without weights and gradients.
    """

    tokens: int
    peak: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How a training uses its memory.

    Attributes:
        recomputation: The layers that are recomputed.
        micro_batch_tokens: Tokens of a micro-batch.
        measured: The largest pass with this recomputation that was measured; None: none was.
    """

    recomputation: Recomputation
    micro_batch_tokens: int
    measured: MeasuredPass | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.recomputation}; micro-batches of up to {self.micro_batch_tokens:,} tokens"


@dataclass(frozen=True, slots=True)
class StepSizes:
    """The sizes of the steps of one process.

    Attributes:
        longest: Tokens of the longest document.
        most: Tokens of the largest step.
        documents: Documents of a step.
        wanted: Tokens of a micro-batch, if configured.
    """

    longest: int
    most: int
    documents: int = 1
    wanted: int | None = None

    @classmethod
    def of(
        cls, lengths: NDArray[np.int64], batch_size: int, ranks: int = 1, wanted: int | None = None
    ) -> "StepSizes":
        """Return the sizes for documents of these lengths.

        Args:
            lengths: The tokens of each document of the split.
            batch_size: Documents per step, over all processes.
            ranks: The number of processes.
            wanted: Tokens of a micro-batch, if configured.
        """
        together, longest = int(np.sort(lengths)[-batch_size:].sum()), int(lengths.max())
        # The longest document may be beside a fair share of the others; see `rank_shares`.
        most = together if ranks == 1 else min(-(-together // ranks) + longest, together)
        return cls(longest, most, -(-batch_size // ranks), wanted)

    def shapes(self, tokens: int) -> list[tuple[int, int]]:
        """Return how passes of so many tokens may be made up, as (documents, tokens of each).

        The longest documents need the most memory for attention that isn't in a kernel, and many
        documents for a head that attends to each.
        """
        long = -(-tokens // self.longest)
        many = max(min(self.documents, tokens // _FEW), long)
        return [(count, -(-tokens // count)) for count in sorted({long, many})]

    @property
    def needed(self) -> int:
        """Return the tokens for which layers are recomputed, if fewer would fit otherwise."""
        return max(self.longest, min(self.wanted or SATURATED, self.most))

    @property
    def useful(self) -> int:
        """Return the most tokens that a micro-batch should have."""
        return self.needed if self.wanted else max(self.longest, min(self.most, MOST))


class Measure(Protocol):
    """Measures passes."""

    def __call__(self, tokens: int, recomputation: Recomputation) -> MeasuredPass | None:
        """Measure a pass of about so many tokens; return None if memory runs out."""


def choose_plan(
    measure: Measure, everything: Recomputation, room: int, sizes: StepSizes
) -> MemoryPlan:
    """Choose the fewest recomputed layers with which micro-batches have enough tokens.

    A chosen micro-batch is tried before it is returned, so that a run doesn't run out of memory.

    Args:
        measure: Measures a pass.
        everything: The recomputation of all layers; of none if nothing can be recomputed. If it
            keeps attention, this is tried first.
        room: Bytes that a pass may need.
        sizes: The sizes of the steps.

    Returns:
        The plan. If not even the longest document fits, all layers are recomputed.
    """
    lines, factor, most = _Lines(measure, everything, sizes), 1.0, sizes.useful
    for _ in range(_TRIALS):
        plan = lines.fewest_layers(room, factor, most)
        if plan is None:
            break
        tokens = plan.micro_batch_tokens
        found = measure(tokens, plan.recomputation)
        if found is not None and found.peak <= room:
            return replace(plan, measured=found)
        if tokens > sizes.needed:
            fitting = 0.5 if found is None else _SMALLER * room / found.peak
            most = max(sizes.needed, int(fitting * tokens))
        else:
            factor *= _LARGER if found is None else max(found.peak / room, 1.02)
    return lines.least_memory(room, factor)


@dataclass(frozen=True, slots=True)
class _Line:
    """The memory of passes, linear in their tokens from a first pass on.

    It really is convex: the largest of several linear functions. So a line through two passes is
    above those between them, and may be below longer ones, which are tried before they are used.
    """

    first: MeasuredPass
    per_token: float

    @classmethod
    def through(cls, first: MeasuredPass, second: MeasuredPass) -> "_Line":
        tokens = second.tokens - first.tokens
        if tokens <= 0:  # all documents have the same length, and can't be cut
            return cls(first, first.peak / first.tokens)
        return cls(first, max(second.peak - first.peak, 0) / tokens)

    def towards(self, other: "_Line", share: float) -> "_Line":
        """Return the line for a share of the layers: 0 is this line, 1 the other."""

        def mean(own: float, others: float) -> float:
            return own + share * (others - own)

        tokens = round(mean(self.first.tokens, other.first.tokens))
        peak = round(mean(self.first.peak, other.first.peak))
        per_token = mean(self.per_token, other.per_token)
        return _Line(MeasuredPass(tokens, peak), per_token)

    def fitting(self, room: int, factor: float) -> int:
        """Return the tokens that fit if what grows with them is larger by a factor."""
        tokens = (room - self.first.peak) / max(self.per_token * factor, 1e-9)
        return self.first.tokens + int(min(tokens, 1e12))


class _Lines:
    """The memory of passes without recomputation, and with all layers recomputed."""

    def __init__(self, measure: Measure, everything: Recomputation, sizes: StepSizes) -> None:
        self._measure, self._sizes, self._everything = measure, sizes, everything
        self._known: dict[Recomputation, _Line | None] = {}

    def fewest_layers(self, room: int, factor: float, most: int) -> MemoryPlan | None:
        """Return the plan with the fewest layers that leaves enough tokens, if there is one.

        Args:
            room: Bytes that a pass may need.
            factor: What grows with the tokens is larger by this factor than was measured.
            most: The most tokens of a micro-batch.
        """

        def if_enough(way: Recomputation, line: _Line) -> MemoryPlan | None:
            fitting = line.fitting(room, factor)
            return MemoryPlan(way, min(fitting, most)) if fitting >= self._sizes.needed else None

        nothing = replace(self._everything, layers=0, keeps_attention=False)
        none, total = self._line(nothing), self._everything.layers
        if none is not None and (plan := if_enough(nothing, none)):
            return plan
        for keeps_attention in {self._everything.keeps_attention: 0, False: 0} if total else ():
            way = replace(self._everything, keeps_attention=keeps_attention)
            every = self._line(way)
            if every is None or not if_enough(way, every):
                continue
            for layers in range(1, total) if none is not None else ():
                assert none is not None
                # The memory is convex in the layers, too, so this is never too little.
                line = none.towards(every, layers / total)
                some = replace(way, layers=layers)
                if plan := if_enough(some, line):
                    return plan
            return if_enough(way, every)
        return None

    def least_memory(self, room: int, factor: float) -> MemoryPlan:
        """Return the plan that needs the least memory."""
        way = replace(self._everything, keeps_attention=False)
        line = self._line(way)
        fitting = 0 if line is None else line.fitting(room, factor)
        return MemoryPlan(way, max(min(fitting, self._sizes.useful), 1))

    def _line(self, way: Recomputation) -> _Line | None:
        """Return the line through two passes; None if not even the shortest ones fit."""
        if way not in self._known:
            self._known[way] = self._measured(way)
        return self._known[way]

    def _measured(self, way: Recomputation) -> _Line | None:
        tokens = min(_SHORT, max(self._sizes.needed // 4, 1))
        while True:
            first = self._measure(tokens, way)
            for longer in (self._sizes.needed, 2 * tokens) if first is not None else ():
                if longer > tokens and (second := self._measure(longer, way)) is not None:
                    assert first is not None
                    return _Line.through(first, second)
            if tokens <= _SHORTEST:
                return None
            tokens = max(tokens // 4, _SHORTEST)
