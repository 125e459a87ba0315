"""A forward and backward pass that is only thought through: what it would hold in memory, and how much it would compute.

The network itself runs, on tensors that have a shape and no content (torch's fake tensors), so that an 8B model takes seconds
and no memory. What is alive is counted, which holds for any architecture, adapters and gradient checkpointing without a
formula for each.
"""

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from icdcli.data.batches import Padding
from icdcli.evaluation.scoring import document_losses
from icdcli.model.attention import PackedForm
from icdcli.model.coder import CoderNetwork
from icdcli.model.inputs import Inputs, Segments

LARGE = 32 * 2**20
"""Bytes from which the C library gives a block back to the system at once (glibc's DEFAULT_MMAP_THRESHOLD_MAX)."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a forward and backward pass comes to.

    Attributes:
        peak: Bytes alive at most, beside the weights.
        gradients: Bytes of those that are gradients of weights.
        churn: Bytes of all the blocks below `LARGE` that it asks for.
        operations: Floating-point operations of its matrix products.
    """

    peak: int
    gradients: int
    churn: int
    operations: int


def simulate(network: CoderNetwork, lengths: Sequence[int], padding: Padding, accumulating: bool) -> Simulated:
    """Think a micro-batch through.

    Args:
        network: On the meta device; of no use afterwards.
        lengths: Tokens of each document.
        padding: How the documents lie.
        accumulating: Whether the gradients of another micro-batch are there already.
    """
    with FakeTensorMode():
        _imagine_weights(network)
        if padding == "free":
            network.packed = PackedForm.put_on(network.backbone)
            inputs = Inputs(torch.zeros(sum(lengths), dtype=torch.int64), Segments.of(lengths))
        else:
            ids_BT = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
            inputs = Inputs(ids_BT, torch.ones_like(ids_BT, dtype=torch.bool))
        ledger = _Ledger(network)
        network.train()
        with ledger:
            for _ in range(2 if accumulating else 1):
                ledger.churn = ledger.operations = 0
                logits_BL = network(*inputs)
                losses_B = document_losses(logits_BL, torch.zeros(logits_BL.shape), pos_weight=1.0)
                losses_B.sum().backward()
                del logits_BL, losses_B
    return Simulated(ledger.peak, ledger.gradients_at_peak, ledger.churn, ledger.operations)


def _imagine_weights(network: nn.Module) -> None:
    """Put fake tensors of the CPU in the place of those of the meta device, for which autocast has no rules."""
    for module in network.modules():
        for name, weight in module.named_parameters(recurse=False):
            fake = torch.empty(weight.shape, dtype=weight.dtype)
            setattr(module, name, nn.Parameter(fake, weight.requires_grad))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))


class _Ledger(TorchDispatchMode):
    """Counts the bytes of the storages that operations make, until they are given up."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = self.peak = self.churn = self.operations = 0
        self.gradients = self.gradients_at_peak = 0
        self._sizes = {_key(weight): 0 for weight in (*network.parameters(), *network.buffers())}
        for weight in network.parameters():
            if weight.requires_grad:
                weight.register_post_accumulate_grad_hook(self._take_gradient())

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._take(tensor)
        if count := _OPERATIONS.get(function._overloadpacket):
            self.operations += count(*args, **(kwargs or {}), out_val=made)
        return made

    def _take(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _key(tensor)
        if key in self._sizes:
            return
        size = self._sizes[key] = storage.nbytes()
        weakref.finalize(storage, self._give_up, key)
        self.alive += size
        self.churn += size if size < LARGE else 0
        if self.alive > self.peak:
            self.peak, self.gradients_at_peak = self.alive, self.gradients

    def _give_up(self, key: int) -> None:
        self.alive -= self._sizes.pop(key)

    def _take_gradient(self) -> Callable[[Tensor], None]:
        first = True

        def take(weight: Tensor) -> None:
            nonlocal first
            self.gradients += weight.nbytes if first else 0
            first = False

        return take


def _key(tensor: Tensor) -> int:
    key: int = tensor.untyped_storage()._cdata
    return key


def _attention_operations(query: Tensor, key: Tensor, *_: Any, **__: Any) -> int:
    """Two products a pair of tokens: scores, and weighted values."""
    return 4 * prod(query.shape) * key.shape[-2]


# torch counts attention on GPUs; its form for CPUs is missing. Its gradient recomputes the scores: five products for two.
_OPERATIONS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_operations,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda gradient, query, key, *_, **__: _attention_operations(query, key) * 5 // 2
    ),
}
