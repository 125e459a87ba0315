"""Simulated forward and backward passes: the memory and the operations that they would need.

The network itself runs on tensors with a shape but no content (torch's fake tensors), so an 8B
model takes seconds and no memory. The live tensors are counted. This is valid for any architecture,
adapter and head, and for gradient checkpointing, without a formula for each.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.hooks import RemovableHandle

from icdcli.data.batching import Padding
from icdcli.lexical.assertion.classes import Assertion
from icdcli.model.batch import Batch, Segments
from icdcli.model.inference.scoring import document_losses
from icdcli.model.network import CodingNetwork
from icdcli.model.packing.attention import PackedForm

LARGE = 32 * 2**20
"""The C library returns freed blocks of this size at once (glibc's DEFAULT_MMAP_THRESHOLD_MAX)."""

NOT_SIMULATED = (RuntimeError, TypeError, ValueError, NotImplementedError)
"""Raised if a custom backbone needs values, which fake tensors don't have. Its memory is then
estimated by a formula."""


@dataclass(frozen=True, slots=True)
class PassSizes:
    """The sizes of the documents of one forward pass.

    Attributes:
        documents: Number of hidden states of each document.
        chunks: Number of tokens of each chunk that the backbone reads; the same as ``documents`` if
            all fit its context.
    """

    documents: tuple[int, ...]
    chunks: tuple[int, ...]

    def tokens(self, padding: Padding) -> int:
        """Return the number of tokens of the pass, padding included."""
        return sum(self.chunks) if padding == "free" else len(self.chunks) * max(self.chunks)


@dataclass(frozen=True, slots=True)
class SimulatedPass:
    """The cost of a pass.

    Attributes:
        peak: Bytes of live tensors at the peak, without the weights.
        gradients: Bytes of these that are gradients of weights.
        churn: Bytes of all allocated blocks below `LARGE`.
        block: Bytes of the largest of these in the forward pass; in the backward pass, gradients
            are as large as weights.
        operations: Floating-point operations of the matrix products.
    """

    peak: int
    gradients: int
    churn: int
    block: int
    operations: int


class Simulation:
    """A network whose passes are simulated.

    Args:
        network: A network on the meta device, which can't be used afterwards.
        padding: How documents are batched.
        cached: Whether the backbone's hidden states were computed before.
    """

    def __init__(self, network: CodingNetwork, padding: Padding, cached: bool = False) -> None:
        self.network, self.padding, self.cached = network, padding, cached
        self._mode = FakeTensorMode()
        with self._mode:
            _replace_by_fakes(network)
        if padding == "free":
            network.packed = PackedForm.install(network.backbone)

    def training(self, sizes: PassSizes, accumulating: bool = False) -> SimulatedPass:
        """Simulate the forward and backward pass of a micro-batch.

        Args:
            sizes: Its documents.
            accumulating: Whether there are gradients of an earlier micro-batch.
        """
        self.network.train()
        with self._counting() as ledger:
            for _ in range(2 if accumulating else 1):
                ledger.churn = ledger.operations = 0
                loss = self._losses(sizes).sum()
                block = ledger.block
                loss.backward()
                ledger.block = block
        self.network.zero_grad(set_to_none=True)
        return ledger.result()

    def scoring(self, sizes: PassSizes) -> SimulatedPass:
        """Simulate the forward pass of a validation."""
        self.network.eval()
        with self._counting() as ledger, torch.no_grad():
            self._losses(sizes)
        return ledger.result()

    def reading(self, sizes: PassSizes) -> SimulatedPass:
        """Simulate the backbone's forward pass that precomputes hidden states and similarities."""
        self.network.eval()
        with self._counting() as ledger, torch.no_grad():
            inputs = self._inputs(sizes, cached=False)
            hidden_TD = self.network.hidden_states(inputs)
            if self.network.prior is not None:
                self.network.prior.similarities(hidden_TD, inputs.documents)
        return ledger.result()

    @contextmanager
    def _counting(self) -> Iterator["_Ledger"]:
        ledger = _Ledger(self.network)
        try:
            with self._mode, ledger:
                yield ledger
        finally:
            ledger.close()

    def _losses(self, sizes: PassSizes) -> Tensor:
        logits_BL = self.network(self._inputs(sizes, self.cached))
        return document_losses(logits_BL, torch.zeros(logits_BL.shape), pos_weight=1.0)

    def _inputs(self, sizes: PassSizes, cached: bool) -> Batch:
        network, total = self.network, sum(sizes.documents)
        similarity_BL = (
            None
            if network.prior is None
            else torch.zeros(len(sizes.documents), len(network.prior.firsts_L))
        )

        def shares_TA(states: int) -> Tensor | None:
            return torch.zeros(states, len(Assertion)) if network.head.classes else None

        if cached:
            settings: Any = network.backbone.config
            documents = Segments.of(
                [-(-length // network.state_pooling) for length in sizes.documents]
            )
            hidden_TD = torch.zeros(
                sum(documents.lengths), settings.hidden_size, dtype=torch.float16
            )
            return Batch(
                documents,
                hidden_TD=hidden_TD,
                similarity_BL=similarity_BL,
                shares_TA=shares_TA(len(hidden_TD)),
            )
        layout: Segments | Tensor = Segments.of(sizes.chunks)
        if self.padding == "free":
            ids = torch.zeros(sum(sizes.chunks), dtype=torch.int64)
        else:
            ids = torch.zeros(len(sizes.chunks), max(sizes.chunks), dtype=torch.int64)
            layout = torch.ones_like(ids, dtype=torch.bool)
        all_kept = self.padding == "free" and total == sum(sizes.chunks)
        kept_T = None if all_kept else torch.zeros(total, dtype=torch.int64)
        documents = Segments.of(sizes.documents)
        return Batch(documents, ids, layout, kept_T, None, similarity_BL, shares_TA(total))


def _replace_by_fakes(network: nn.Module) -> None:
    """Replace meta tensors, for which autocast has no rules, by fake tensors of the CPU."""
    for module in network.modules():
        for name, weight in module.named_parameters(recurse=False):
            fake = torch.empty(weight.shape, dtype=weight.dtype)
            setattr(module, name, nn.Parameter(fake, weight.requires_grad))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))


class _Ledger(TorchDispatchMode):
    """A count of the bytes that operations allocate, until they are freed."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = self.peak = self.churn = self.block = self.operations = 0
        self.gradients = self.gradients_at_peak = 0
        self._sizes = {_key(weight): 0 for weight in (*network.parameters(), *network.buffers())}
        self._hooks: list[RemovableHandle] = [
            weight.register_post_accumulate_grad_hook(self._gradient_counter())
            for weight in network.parameters()
            if weight.requires_grad
        ]

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        output = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor):
                self._allocate(tensor)
        if count := _OPERATIONS.get(function._overloadpacket):
            self.operations += count(*args, **(kwargs or {}), out_val=output)
        return output

    def result(self) -> SimulatedPass:
        """Return the counts."""
        return SimulatedPass(
            self.peak, self.gradients_at_peak, self.churn, self.block, self.operations
        )

    def close(self) -> None:
        """Stop counting gradients."""
        for hook in self._hooks:
            hook.remove()

    def _allocate(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _key(tensor)
        if key in self._sizes:
            return
        size = self._sizes[key] = storage.nbytes()
        weakref.finalize(storage, self._free, key)
        self.alive += size
        if size < LARGE:
            self.churn += size
            self.block = max(self.block, size)
        if self.alive > self.peak:
            self.peak, self.gradients_at_peak = self.alive, self.gradients

    def _free(self, key: int) -> None:
        self.alive -= self._sizes.pop(key)

    def _gradient_counter(self) -> Callable[[Tensor], None]:
        first = True

        def count(weight: Tensor) -> None:
            nonlocal first
            self.gradients += weight.nbytes if first else 0
            first = False

        return count


def _key(tensor: Tensor) -> int:
    key: int = tensor.untyped_storage()._cdata
    return key


def _attention_operations(query: Tensor, key: Tensor, *_: Any, **__: Any) -> int:
    """Return two products per pair of tokens: the scores, and the weighted values."""
    return 4 * prod(query.shape) * key.shape[-2]


# torch counts attention on GPUs, but not its variant for CPUs. The backward pass recomputes the
# scores: five products instead of two.
_OPERATIONS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_operations,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda gradient, query, key, *_, **__: _attention_operations(query, key) * 5 // 2
    ),
}
