"""Where the time of a training step goes: by kind of kernel, and in the head.

Shapes: B documents, T tokens, D width, L labels.
"""

import re
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from train_watch import synchronize

# The first kind with a part of the name counts, so that the order matters: a copy is elementwise,
# too. On a GPU the names are those of kernels, on a CPU those of torch's operators.
KINDS = {
    "attention": r"flash|fmha|attention|attn|sdpa",
    "dequantization": r"dequant|kQuant|int8_?vector_?(wise)?_?quant|igemmlt",
    "matrix products": r"gemm|gemv|nvjet|cutlass|xmma|splitk|cublas|matmul|linear"
    r"|aten::(b?mm|add(b?mm|mv)|baddbmm)",
    "copies and casts": r"copy|memcpy|memset|fill|CatArray|aten::(to|cat|clone|contiguous)$",
    "elementwise and reductions": r"elementwise|reduce|rms_?norm|layer_?norm|rope|swiglu|geglu"
    r"|silu|softmax|sigmoid|multi_tensor|triton|foreach|index|gather|scatter|embedding"
    r"|aten::(add|mul|div|sub|neg|rsqrt|pow|mean|sum|sin|cos|where)",
}
IDLE, OTHER = "idle", "other"
SHOWN = 25
"""How many kernels a profile lists."""

Span = tuple[str, float, float]
"""A kernel's name, and when it started and ended, in microseconds."""


def kind_of(name: str) -> str:
    """Return the kind of a kernel or operator."""
    return next((kind for kind, part in KINDS.items() if re.search(part, name, re.I)), OTHER)


def shares(spans: list[Span]) -> dict[str, float]:
    """Return the share of each kind in the time from the first kernel's start to the last's end.

    Kernels that run at the same time share it in proportion to their durations.
    """
    if not spans:
        return {}
    busy, end = 0.0, spans[0][1]
    for _, started, ended in sorted(spans, key=lambda span: span[1]):
        busy += max(0.0, ended - max(started, end))
        end = max(end, ended)
    whole = end - min(started for _, started, _ in spans)
    spent: dict[str, float] = defaultdict(float)
    for name, started, ended in spans:
        spent[kind_of(name)] += ended - started
    total = sum(spent.values())
    known = {kind: spent[kind] / total * busy / whole for kind in (*KINDS, OTHER)}
    return known | {IDLE: 1 - busy / whole}


@contextmanager
def profiled(device: torch.device) -> Iterator[dict[str, Any]]:
    """Profile what runs in the block; the dictionary is filled at its end.

    It receives ``shares`` (see `shares`), ``kernels`` (the longest, with their seconds) and
    ``seconds``. On a CPU, the operators' own times stand for the kernels', and nothing is idle.
    """
    from torch.profiler import ProfilerActivity, profile

    found: dict[str, Any] = {}
    on_gpu = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as done:
        began = time.perf_counter()
        yield found
        synchronize(device)
        found["seconds"] = time.perf_counter() - began
    spans = _kernels(done) if on_gpu else _operators(done)
    seconds: dict[str, float] = defaultdict(float)
    for name, started, ended in spans:
        seconds[name] += (ended - started) / 1e6
    longest = sorted(seconds.items(), key=lambda item: -item[1])[:SHOWN]
    found["shares"], found["kernels"] = shares(spans), dict(longest)


def _kernels(done: Any) -> list[Span]:
    return [
        (event.name, event.time_range.start, event.time_range.end)
        for event in done.events()
        if event.device_type == torch.autograd.DeviceType.CUDA
    ]


def _operators(done: Any) -> list[Span]:
    """Return the operators one after another, as long as each took by itself."""
    spans, now = [], 0.0
    for event in done.events():
        spans.append((event.name, now, now + event.self_cpu_time_total))
        now += event.self_cpu_time_total
    return spans


class HeadInputs:
    """Keeps the inputs of a network's head within a block.

    Attributes:
        kept: The arguments of each call, detached.
    """

    def __init__(self, network: Any) -> None:
        self.kept: list[tuple[Any, ...]] = []
        self._head: nn.Module = network.head

    def __enter__(self) -> "HeadInputs":
        self._hook = self._head.register_forward_pre_hook(self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()

    def _keep(self, _: nn.Module, arguments: tuple[Any, ...]) -> None:
        self.kept.append(
            tuple(part.detach() if isinstance(part, Tensor) else part for part in arguments)
        )


def head_seconds(network: Any, calls: list[tuple[Any, ...]], repeats: int = 3) -> float:
    """Return how long the head takes, forward and backward, with the inputs of one step.

    Args:
        network: The network.
        calls: The arguments of the head's calls; see `HeadInputs`.
        repeats: How often it is measured, after a call that isn't.

    Returns:
        The fewest seconds.
    """
    device: torch.device = network.device
    found = []
    for _ in range(repeats + 1):
        synchronize(device)
        began = time.perf_counter()
        for hidden_TD, *others in calls:
            logits_BL = network.head(hidden_TD.requires_grad_(), *others)
            logits_BL.sum().backward()
        synchronize(device)
        found.append(time.perf_counter() - began)
    return min(found[1:])
