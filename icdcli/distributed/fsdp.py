"""Weights shared out over the processes (FSDP2): each keeps its part, and has a layer's others only while it computes it.

With adapters the frozen backbone is shared out, which is nearly all there is; what is trained stays whole everywhere, its
gradients summed as ever. Otherwise everything is shared out, gradients and the optimiser's state with it.

Every forward pass is a collective operation, so that all processes must make equally many. So is bringing the weights together
for a checkpoint. That looks like any other: a run may go on with another strategy or number of processes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ConfigError
from icdcli.model.backbone import layers_of
from icdcli.model.network import CodingNetwork


class Shards:
    """A network's weights, shared out.

    Args:
        network: Whole in every process; from now on each keeps its part.
        adapters: Whether only adapters and head are trained; these stay whole.
        all_saved: Whether checkpoints hold the backbone's weights.
        process_group: This process among its fellows.

    Raises:
        ConfigError: When this version of torch, or this architecture, can't.
    """

    def __init__(
        self, network: CodingNetwork, adapters: bool, all_saved: bool, process_group: ProcessGroup
    ) -> None:
        if not hasattr(FSDPModule, "set_force_sum_reduction_for_comms"):
            raise ConfigError(
                f"strategy: fsdp: needs torch 2.8 or later, this is {torch.__version__}; use ddp"
            )
        self.network, self.process_group = network, process_group
        self._all_saved = all_saved
        self._optimizer: torch.optim.Optimizer | None = None
        self._whole: dict[int, Tensor] = {}  # by the identity of what is shared out
        whole_everywhere = set(network.trainable().values()) if adapters else set()
        mesh = init_device_mesh(process_group.device.type, (process_group.size,))
        precise = MixedPrecisionPolicy(
            reduce_dtype=torch.float32
        )  # as gradients are summed without sharing out
        # What is left of the backbone, and then the head: of one module, all weights must be equally precise.
        outer = [network.backbone] if adapters else [network.backbone, network]
        for module in [*layers_of(network.backbone, "strategy: fsdp"), *outer]:
            fully_shard(module, mesh=mesh, mp_policy=precise, ignored_params=whole_everywhere)
        for module in outer[-1].modules():
            if isinstance(module, FSDPModule):
                # The step's loss is a mean over all its documents already, so that gradients are summed.
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)
            module.register_state_dict_post_hook(
                partial(self._give_whole_weights)
            )  # which, unlike a method, torch can mark

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Let an optimiser over the network's weights be saved and loaded whole."""
        self._optimizer = optimizer
        optimizer.register_state_dict_post_hook(self._give_whole_state)
        optimizer.register_load_state_dict_pre_hook(_share_out_state)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let the first process have everything whole, in main memory, for as long as this lasts; all must come here."""
        for module in self.network.modules():
            if isinstance(module, FSDPModule):
                module.reshard()  # after a forward pass the outermost weights stay whole, in case of a backward pass
        weights = [
            weight
            for weight in self.network.parameters()
            if self._all_saved or weight.requires_grad
        ]
        kept = {} if self._optimizer is None else self._optimizer.state
        states = [value for state in kept.values() for value in state.values()]
        for shared in (*weights, *states):
            if isinstance(shared, DTensor):
                with torch.no_grad():
                    whole = shared.full_tensor()
                if self.process_group.first:
                    self._whole[id(shared)] = whole.cpu()
        try:
            yield
        finally:
            self._whole.clear()

    def whole(self, weight: Tensor) -> Tensor:
        """A weight as it is saved; only where all is `together`."""
        return self._whole.get(id(weight), weight)

    def total(self, number: Tensor) -> Tensor:
        """A number that was computed from shared weights, such as the length of their gradient, in all processes."""
        return number.full_tensor() if isinstance(number, DTensor) else number

    def _give_whole_weights(
        self, module: nn.Module, states: dict[str, Any], prefix: str, _: Any
    ) -> None:
        for name, weight in module.named_parameters(recurse=False):
            if id(weight) in self._whole:
                states[prefix + name] = self._whole[id(weight)]

    def _give_whole_state(
        self, optimizer: torch.optim.Optimizer, told: dict[str, Any]
    ) -> dict[str, Any]:
        states = {
            number: {name: self._whole.get(id(value), value) for name, value in state.items()}
            for number, state in told["state"].items()
        }
        return {**told, "state": states}


def _share_out_state(optimizer: torch.optim.Optimizer, told: dict[str, Any]) -> dict[str, Any]:
    """A saved state, each process's part of it where the weight is shared out."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    numbers = [number for group in told["param_groups"] for number in group["params"]]
    states = dict(told["state"])
    for number, weight in zip(numbers, weights, strict=True):
        if isinstance(weight, DTensor) and number in states:
            states[number] = {name: _part(value, weight) for name, value in states[number].items()}
    return {**told, "state": states}


def _part(value: Tensor, weight: DTensor) -> Tensor:
    if value.shape != weight.shape or not value.ndim:  # the number of steps
        return value
    part: Tensor = distribute_tensor(
        value, weight.device_mesh, weight.placements, src_data_rank=None
    )
    return part
