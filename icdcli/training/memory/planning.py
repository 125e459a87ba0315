"""Planning the memory of a training: a new one, a resumed one, one that ran out of memory."""

from collections.abc import Callable
from dataclasses import replace

import torch

from icdcli.distributed.hardware import free_memory
from icdcli.model.packing.kept_attention import kept_results
from icdcli.training.memory.formula import (
    ON_CPU,
    fits_easily,
    free_memory_of_gpu,
    token_budget,
)
from icdcli.training.memory.measurement import PeakOf, TrainingPasses, peak_on_gpu
from icdcli.training.memory.plan import MemoryPlan, StepSizes, choose_plan
from icdcli.training.memory.recomputation import Recomputation, all_recomputed, recompute
from icdcli.training.state import Training

SAFE = 0.9
"""The share of a GPU's free memory that a training plans to use; fragmentation takes the rest."""

_WARM_UP = 64  # tokens


def plan_memory(
    training: Training, on_warning: Callable[[str], object] | None = None
) -> MemoryPlan:
    """Choose which layers are recomputed and the size of micro-batches, and use this plan.

    All processes of a training take part. With ``gradient_checkpointing: auto``, on a GPU, a few
    passes are measured; the training is as before.

    Args:
        training: The training, set up but not started.
        on_warning: Called with a message if the configured micro-batches don't fit.
    """
    config, group = training.config, training.process_group
    everything = everything_of(training)
    nothing = Recomputation(0, everything.total)
    if config.gradient_checkpointing != "auto" or training.shards is not None:
        # With sharded weights a pass is a collective operation: if memory ran out in one process
        # while it is measured, the others would wait for it forever.
        recomputing = bool(config.gradient_checkpointing)
        plan = MemoryPlan(
            everything if recomputing else nothing, _configured_or_estimated(training, recomputing)
        )
    elif config.torch_compile:
        plan = MemoryPlan(nothing, _configured_or_estimated(training, False))
    elif _is_gpu(group.device):
        plan = plan_by_measuring(training, peak_on_gpu(group.device), free_memory_of_gpu)
    else:
        way = nothing if _has_much_memory(training) else needs_least(training)
        plan = MemoryPlan(way, config.micro_batch_tokens or ON_CPU)
    plan = _agreed(training, plan)
    use_plan(training, plan)
    wanted = min(config.micro_batch_tokens or 0, sizes_of_steps(training).most)
    if plan.micro_batch_tokens < wanted and on_warning is not None:
        on_warning(
            f"micro_batch_tokens: {config.micro_batch_tokens:,}: {plan.micro_batch_tokens:,} fit "
            f"in the memory of {group.device}, although {plan.recomputation}. The run uses these"
        )
    return plan


def use_plan(training: Training, plan: MemoryPlan) -> None:
    """Let a training use a plan, and record it for checkpoints."""
    recompute(training.model.network, plan.recomputation)
    training.recomputation = plan.recomputation
    training.micro_batch_tokens = plan.micro_batch_tokens
    training.measured_pass = plan.measured
    training.state.recomputed_layers = plan.recomputation.layers
    training.state.keeps_attention = plan.recomputation.keeps_attention


def plan_by_measuring(
    training: Training, peak_of: PeakOf, free: Callable[[torch.device], int]
) -> MemoryPlan:
    """Return a plan from passes that are measured on the device.

    Args:
        training: The training, set up but not started.
        peak_of: Measures a pass.
        free: Returns the free bytes of a device.
    """
    sizes, everything = sizes_of_steps(training), everything_of(training)
    measure = TrainingPasses(training, sizes, peak_of)
    with kept_results() as kept:
        # Kernels and their workspaces are loaded, which stay in memory.
        measure(_WARM_UP, everything)
    if not kept:  # attention has dropout, or a kernel that isn't an operation of torch
        everything = needs_least(training)
    room = int(SAFE * free(training.process_group.device)) - still_to_come(training)
    plan = choose_plan(measure, everything, room, sizes)
    recompute(training.model.network, training.recomputation)
    return plan


def still_to_come(training: Training) -> int:
    """Return the bytes of the gradients and of AdamW's averages that don't exist yet."""
    weights = list(training.model.network.trainable().values())
    gradients = sum(weight.nbytes for weight in weights)
    if training.gradient_sums is not None:
        gradients *= 2  # sums over the processes begin during the backward pass
    known = training.optimizer.state
    return gradients + sum(2 * weight.nbytes for weight in weights if weight not in known)


def sizes_of_steps(training: Training) -> StepSizes:
    """Return the sizes of the steps of one process."""
    config = training.config
    return StepSizes.of(
        training.train.lengths,
        config.batch_size,
        training.process_group.size,
        config.micro_batch_tokens,
    )


def everything_of(training: Training) -> Recomputation:
    """Return the recomputation of all layers; of none if no gradient passes through them."""
    network = training.model.network
    if network.frozen:
        return Recomputation(0, 0)
    # Only attention over packed documents is ours to keep.
    automatic = training.config.gradient_checkpointing == "auto" and training.shards is None
    return all_recomputed(network, keeps_attention=automatic and network.packed is not None)


def needs_least(training: Training) -> Recomputation:
    """Return the recomputation that needs the least memory."""
    return replace(everything_of(training), keeps_attention=False)


def _is_gpu(device: torch.device) -> bool:
    return device.type == "cuda"


def _configured_or_estimated(training: Training, checkpointing: bool) -> int:
    return training.config.micro_batch_tokens or token_budget(training.model.network, checkpointing)


def _has_much_memory(training: Training) -> bool:
    """Return whether a step fits in half of the free main memory without recomputation."""
    free, network = free_memory(), training.model.network
    room = (free or 0) / 2 - still_to_come(training)
    return fits_easily(network, sizes_of_steps(training), training.config.rdrop_alpha > 0, room)


def _agreed(training: Training, plan: MemoryPlan) -> MemoryPlan:
    """Return the most careful plan of all processes."""
    group, way = training.process_group, plan.recomputation
    if training.config.gradient_checkpointing != "auto" and training.shards is None:
        return plan
    layers, without_attention, tokens = group.agree(
        way.layers, int(way.layers > 0 and not way.keeps_attention), -plan.micro_batch_tokens
    )
    keeps = bool(layers) and not without_attention
    agreed = Recomputation(layers, way.total, keeps)
    return MemoryPlan(agreed, -tokens, plan.measured if agreed == way else None)
