"""Forward passes that fit in memory.

If the device runs out of memory, the documents of the pass are divided over passes of half as many
tokens, and the network remembers the size that fits. Scores don't depend on the other documents of
a pass, except for the rounding of a device's kernels; see `reads_alone`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from icdcli.data.batching import Ids, Padding, micro_batches
from icdcli.data.encoded_documents import EncodedDocuments
from icdcli.errors import ConfigError
from icdcli.io.prefetch import one_ahead
from icdcli.model.network import CodingNetwork

_SIGNS = (
    "DefaultCPUAllocator",  # main memory
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "MPS backend out of memory",
)

REMEDY = (
    "Free memory on this device, choose another one (device=cpu), or train with a lower max_len or "
    "bit"
)

BATCH_TOKENS = 16_384
"""The default number of tokens per forward pass; on a GPU, the least."""

READ_TOKENS = 8_192
"""The same on a CPU if hidden states are kept."""

_MOST_TOKENS = 131_072
_LAYER_BYTES = 2 * 2**30  # of a layer's activations in half precision

Inputs = TypeVar("Inputs")


def tokens_per_pass(
    network: CodingNetwork, on_gpu: bool | None = None, on_cpu: int = BATCH_TOKENS
) -> int:
    """Return the default number of tokens per forward pass.

    A GPU computes a layer of a narrow network in less time than it takes to launch the next one,
    unless it has many tokens. So a pass has as many as a layer's activations fill two gigabytes.
    The number depends on the network alone, so that all processes make the same passes.

    Args:
        network: The network.
        on_gpu: Whether it computes on a CUDA GPU; None: if its weights are there.
        on_cpu: The number anywhere else.
    """
    if not (network.device.type == "cuda" if on_gpu is None else on_gpu):
        return on_cpu
    settings: Any = network.backbone.config
    width = int(settings.hidden_size)
    inner: int = getattr(settings, "intermediate_size", None) or 4 * width
    # The hidden states before and after a norm, queries, keys, values and what they find; and in
    # the feed-forward part the gate, what it lets through, and their product.
    tokens = _LAYER_BYTES // (2 * (6 * width + 3 * inner))
    return min(max(tokens, BATCH_TOKENS), _MOST_TOKENS)


def reads_alone(network: CodingNetwork) -> bool:
    """Return whether a network reads notes one at a time, so that no other note changes a bit.

    On a CPU it takes no more time; a GPU would wait for work.
    """
    return network.device.type == "cpu"


def pass_plan(
    documents: EncodedDocuments, tokens: int, padding: Padding, alone: bool = False
) -> list[Ids]:
    """Return the positions of the windows of each forward pass.

    Kernels round differently for other numbers of tokens. Only passes of one document's windows
    give it the same scores, to the last bit, whatever other documents there are.

    Args:
        documents: The documents.
        tokens: The most tokens per pass; a longer window has its own pass.
        padding: Whether windows are packed or padded.
        alone: Whether a pass has the windows of one document only.
    """
    rows = np.arange(len(documents))
    groups = [rows]
    if alone and documents.windows is None:
        groups = np.split(rows, len(rows))
    elif alone and documents.windows is not None:
        groups = np.split(rows, documents.windows.firsts_N[1:])
    return [
        batch
        for group in groups
        for batch in micro_batches(group, documents.lengths, tokens, padding)
    ]


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that a device, or main memory, has too little memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def release_memory(device: torch.device) -> None:
    """Give the memory that torch keeps for later back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def does_not_fit(network: CodingNetwork, tokens: int, remedy: str) -> ConfigError:
    """Return the error that a single document doesn't fit in memory.

    Args:
        network: The network.
        tokens: The number of tokens of the document.
        remedy: What the user can do.
    """
    weight = next(network.backbone.parameters())
    dtype = str(network.autocast or weight.dtype).removeprefix("torch.")
    return ConfigError(
        f"max_len: a document of {tokens} tokens doesn't fit in the memory of {network.device}, "
        f"even alone (computed in {dtype}). {remedy}"
    )


def forward_passes(
    network: CodingNetwork,
    documents: EncodedDocuments,
    plan: Sequence[Ids],
    read: Callable[[Ids], Inputs],
    compute: Callable[[Ids, Inputs], None],
    halve: bool = True,
) -> Iterator[None]:
    """Run the forward passes of a plan, in smaller ones if memory runs out.

    Args:
        network: The network; it remembers the size that fits.
        documents: The documents.
        plan: The positions of the documents of each pass.
        read: Reads documents; called in another thread, one pass ahead.
        compute: Computes a pass and stores the results by position; called again with fewer
            documents if memory runs out.
        halve: Whether passes may be divided. With sharded weights they may not, since all processes
            must make the same number: the error is raised.

    Yields:
        None, after each pass of the plan.

    Raises:
        ConfigError: If a single document doesn't fit.
    """
    sizes = _Sizes(network, documents)
    coming: deque[tuple[Ids, bool]] = deque()

    def parts() -> Iterator[Ids]:
        for rows in plan:
            *first, last = sizes.divided(rows) if halve else [rows]
            for part in first:
                coming.append((part, False))
                yield part
            coming.append((last, True))
            yield last

    def run(rows: Ids, inputs: Inputs) -> None:
        start = 0
        while start < len(rows):
            part = sizes.divided(rows[start:])[0]  # the limit may have fallen since they were read
            if _fits(compute, part, inputs if len(part) == len(rows) else read(part)):
                start += len(part)
            else:
                sizes.halve(part)

    for inputs in one_ahead(read, parts()):
        rows, complete = coming.popleft()
        if halve:
            before = sizes.limit.tokens
            run(rows, inputs)
            if sizes.limit.tokens != before:
                network.on_warning(
                    f"{network.device} ran out of memory; continuing with at most "
                    f"{sizes.limit.tokens:,} tokens per forward pass"
                )
        else:
            compute(rows, inputs)
        if complete:
            yield


def _fits(compute: Callable[[Ids, Inputs], None], rows: Ids, inputs: Inputs) -> bool:
    """Compute a pass; return False if memory runs out."""
    try:
        compute(rows, inputs)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False  # the tensors that the error's frames hold are freed only after this
    return True


class _Sizes:
    """The sizes of forward passes, and the limit that memory sets."""

    def __init__(self, network: CodingNetwork, documents: EncodedDocuments) -> None:
        self.limit = network.pass_limit
        self._network, self._lengths = network, documents.lengths

    def divided(self, rows: Ids) -> list[Ids]:
        """Return the passes in which documents are read: one if there is no limit."""
        if self.limit.tokens is None:
            return [rows]
        return micro_batches(rows, self._lengths, self.limit.tokens, self._network.padding)

    def halve(self, rows: Ids) -> None:
        """Set the limit to half the tokens of a pass that didn't fit."""
        release_memory(self._network.device)
        lengths = self._lengths[rows]
        if len(rows) == 1:
            raise does_not_fit(self._network, int(lengths[0]), REMEDY)
        free = self._network.padding == "free"
        self.limit.tokens = int(lengths.sum() if free else lengths.max() * len(rows)) // 2
