"""Weights sharded over the processes (FSDP2).

Each process keeps its shard of the weights, and has the others only while it computes a layer.

With adapters the frozen backbone is sharded, which is nearly all of the model; the trained weights
are complete in every process, and their gradients are summed as without sharding. Otherwise
everything is sharded, including gradients and the optimizer's state.

Every forward pass is a collective operation, so all processes must make the same number. So is
gathering the weights for a checkpoint. The checkpoint is like any other: a run can be resumed with
another strategy or number of processes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
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
    """The sharded weights of a network.

    Args:
        network: A network that is complete in every process; from now on each keeps its shard.
        adapters: Whether only adapters and head are trained; these are not sharded.
        all_saved: Whether checkpoints include the backbone's weights.
        process_group: The process group.

    Raises:
        ConfigError: If this version of torch, or this architecture, can't be sharded.
    """

    def __init__(
        self, network: CodingNetwork, adapters: bool, all_saved: bool, process_group: ProcessGroup
    ) -> None:
        if not hasattr(FSDPModule, "set_force_sum_reduction_for_comms"):
            raise ConfigError(
                f"strategy: fsdp: needs torch 2.8 or later, this is {torch.__version__}. Use ddp"
            )
        if network.without_padding:
            raise ConfigError(
                "strategy: fsdp: with this architecture, documents of one length are read at a "
                "time, so that the processes would make different numbers of passes. Use ddp"
            )
        self.network, self.process_group = network, process_group
        self._all_saved = all_saved
        self._optimizer: torch.optim.Optimizer | None = None
        self._gathered: dict[int, Tensor] = {}  # by the identity of the sharded tensor
        not_sharded = set(network.trainable().values()) if adapters else set()
        mesh = init_device_mesh(process_group.device.type, (process_group.size,))
        # Gradients are summed in float32, as without sharding.
        policy = MixedPrecisionPolicy(reduce_dtype=torch.float32)
        # After the layers the rest of the backbone, and then the head: within one module, all
        # weights must have the same precision.
        outer = [network.backbone] if adapters else [network.backbone, network]
        layers = layers_of(network.backbone, "strategy: fsdp")
        for module in [*layers, *outer]:
            fully_shard(module, mesh=mesh, mp_policy=policy, ignored_params=not_sharded)
        _gather_ahead(layers)
        for module in outer[-1].modules():
            if isinstance(module, FSDPModule):
                # The step's loss is already a mean over all its documents, so gradients are summed.
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)
            # A partial because torch marks hooks with an attribute, which a method can't have.
            module.register_state_dict_post_hook(partial(self._give_gathered_weights))

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Make an optimizer of the network's weights save and load its state unsharded."""
        self._optimizer = optimizer
        optimizer.register_state_dict_post_hook(self._give_gathered_state)
        optimizer.register_load_state_dict_pre_hook(_shard_state)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Gather all weights and states in the main process; all processes must enter this."""
        for module in self.network.modules():
            if isinstance(module, FSDPModule):
                # After a forward pass the outermost weights stay gathered, for a backward pass.
                module.reshard()
        weights = [
            weight
            for weight in self.network.parameters()
            if self._all_saved or weight.requires_grad
        ]
        kept = {} if self._optimizer is None else self._optimizer.state
        states = [value for state in kept.values() for value in state.values()]
        for tensor in (*weights, *states):
            if isinstance(tensor, DTensor):
                with torch.no_grad():
                    full = tensor.full_tensor()
                if self.process_group.is_main:
                    self._gathered[id(tensor)] = full.cpu()
        try:
            yield
        finally:
            self._gathered.clear()

    def gathered(self, weight: Tensor) -> Tensor:
        """Return a weight as it is saved; only inside `together`."""
        return self._gathered.get(id(weight), weight)

    def total(self, number: Tensor) -> Tensor:
        """Return a number computed from sharded weights, such as a norm, for all processes."""
        return number.full_tensor() if isinstance(number, DTensor) else number

    def _give_gathered_weights(
        self, module: nn.Module, state_dict: dict[str, Any], prefix: str, _: Any
    ) -> None:
        for name, weight in module.named_parameters(recurse=False):
            if id(weight) in self._gathered:
                state_dict[prefix + name] = self._gathered[id(weight)]

    def _give_gathered_state(
        self, optimizer: torch.optim.Optimizer, state_dict: dict[str, Any]
    ) -> dict[str, Any]:
        states = {
            number: {name: self._gathered.get(id(value), value) for name, value in state.items()}
            for number, state in state_dict["state"].items()
        }
        return {**state_dict, "state": states}


def _gather_ahead(layers: Sequence[nn.Module]) -> None:
    """Gather the weights of the next layer while a layer is computed.

    In the backward pass torch does so by itself, in the order in which the layers were computed.
    """
    for layer, following in pairwise(layers):
        assert isinstance(layer, FSDPModule)
        assert isinstance(following, FSDPModule)
        layer.set_modules_to_forward_prefetch([following])


def _shard_state(optimizer: torch.optim.Optimizer, state_dict: dict[str, Any]) -> dict[str, Any]:
    """Return a saved state with this process's shard of the state of each sharded weight."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    numbers = [number for group in state_dict["param_groups"] for number in group["params"]]
    states = dict(state_dict["state"])
    for number, weight in zip(numbers, weights, strict=True):
        if isinstance(weight, DTensor) and number in states:
            states[number] = {name: _shard(value, weight) for name, value in states[number].items()}
    return {**state_dict, "state": states}


def _shard(value: Tensor, weight: DTensor) -> Tensor:
    if value.shape != weight.shape or not value.ndim:  # the number of steps
        return value
    part: Tensor = distribute_tensor(
        value, weight.device_mesh, weight.placements, src_data_rank=None
    )
    return part
