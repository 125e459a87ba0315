"""Sums of gradients over all processes, while the backward pass still computes others.

The backward pass computes the gradients of the last layers first. So the weights are divided into
buckets from the last weight to the first. Once all gradients of a bucket are known, they are summed
while those of the next layers are computed.

Only the last backward pass of a step completes gradients; `GradientSums.listen` announces it. The
buckets are summed in the same order in all processes, whatever the order in which their gradients
are known, so that processes may have different numbers of micro-batches, or none.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from icdcli.distributed.process_group import ProcessGroup

BUCKET_BYTES = 25 * 2**20
"""The size of a bucket, in bytes of float32: large enough to use the whole speed of a link, and
small enough for the last one, whose sum nothing overlaps, to be short."""


def _all_reduce(flat: Tensor) -> Any:
    return dist.all_reduce(flat, async_op=True)


class GradientSums:
    """Sums the gradients of weights over all processes, in buckets.

    Args:
        bucket_bytes: The size at which a bucket is full, in bytes of float32.
        start_sum: Starts to sum a tensor over all processes in place, and returns an object whose
            ``wait`` waits for the result.
    """

    def __init__(
        self,
        bucket_bytes: int | None = None,
        start_sum: Callable[[Tensor], Any] = _all_reduce,
    ) -> None:
        self._bucket_bytes = BUCKET_BYTES if bucket_bytes is None else bucket_bytes
        self._start_sum = start_sum
        self._weights: list[nn.Parameter] = []
        self._buckets: list[list[nn.Parameter]] = []
        self._bucket_of: dict[nn.Parameter, int] = {}
        self._hooks: list[Any] = []
        self._listening = False
        self._missing: list[int] = []
        self._under_way: list[tuple[Any, Tensor]] = []

    def watch(self, weights: Sequence[nn.Parameter]) -> None:
        """Sum the gradients of these weights from now on, in the order of the network."""
        if len(weights) == len(self._weights) and all(map(_same, weights, self._weights)):
            return
        for hook in self._hooks:
            hook.remove()
        self._weights = list(weights)
        self._buckets = divide(self._weights, self._bucket_bytes)
        self._bucket_of = {
            weight: number for number, bucket in enumerate(self._buckets) for weight in bucket
        }
        self._hooks = [
            weight.register_post_accumulate_grad_hook(self._arrived) for weight in self._weights
        ]

    def listen(self) -> None:
        """Sum each bucket once the next backward pass, the last of the step, has completed it."""
        self._listening = True
        self._missing = [len(bucket) for bucket in self._buckets]

    def complete(self) -> None:
        """Sum what is not under way yet, and wait for all sums; all processes must call this.

        A weight without a gradient counts as zero. Afterwards every weight has a gradient, the same
        in all processes.
        """
        self._listening = False
        while len(self._under_way) < len(self._buckets):
            self._start_next()
        for bucket, (work, flat) in zip(self._buckets, self._under_way, strict=True):
            work.wait()
            for weight, part in _parts(bucket, flat):
                weight.grad = part.to(weight.dtype)  # float32: the same memory
        self._under_way = []

    def discard(self) -> None:
        """Forget all gradients of this process: `complete` then adds zeros to the others' sums."""
        self._listening = False
        for work, _ in self._under_way:
            work.wait()  # before its memory can be freed
        for weight in self._weights:
            weight.grad = None

    def _arrived(self, weight: Tensor) -> None:
        """Take note of a complete gradient, and start the sums of the buckets that are complete."""
        if not self._listening:
            return
        number = self._bucket_of[weight]  # type: ignore[index]  # a parameter
        if number < len(self._under_way):
            raise RuntimeError(
                "a gradient changed after its sum over the processes had started: a backward pass "
                "reached a weight twice"
            )
        self._missing[number] -= 1
        while (following := len(self._under_way)) < len(self._buckets) and (
            self._missing[following] <= 0
        ):
            self._start_next()

    def _start_next(self) -> None:
        bucket = self._buckets[len(self._under_way)]
        gradients = [
            torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in bucket
        ]
        parts = [gradient.reshape(-1).float() for gradient in gradients]
        # A large gradient, such as that of the embeddings, is not copied.
        flat = parts[0] if len(parts) == 1 else torch.cat(parts)
        self._under_way.append((self._start_sum(flat), flat))
        for weight, part in _parts(bucket, flat):
            # The memory of the gradient itself is free from now on.
            weight.grad = part if weight.dtype == part.dtype else None


def sums_in_backward(process_group: ProcessGroup, few: bool) -> GradientSums | None:
    """Return what sums gradients during the backward pass, if that is worth it.

    Args:
        process_group: The process group.
        few: Whether only adapters or a head have gradients to sum; one transfer of all of them
            after the backward pass takes no longer.
    """
    return None if few or process_group.size == 1 else GradientSums()


def divide(weights: Sequence[nn.Parameter], bucket_bytes: int) -> list[list[nn.Parameter]]:
    """Divide weights into buckets from the last to the first.

    Args:
        weights: The weights, in the order of the network.
        bucket_bytes: The size at which a bucket is full, in bytes of float32. A weight is never
            divided, so that buckets may be larger.
    """
    buckets: list[list[nn.Parameter]] = []
    size = bucket_bytes
    for weight in reversed(weights):
        if size >= bucket_bytes:
            buckets.append([])
            size = 0
        buckets[-1].append(weight)
        size += 4 * weight.numel()
    return buckets


def _same(one: object, other: object) -> bool:
    return one is other


def _parts(bucket: Sequence[nn.Parameter], flat: Tensor) -> list[tuple[nn.Parameter, Tensor]]:
    parts = flat.split([weight.numel() for weight in bucket])
    return [(weight, part.view_as(weight)) for weight, part in zip(bucket, parts, strict=True)]
