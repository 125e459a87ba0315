"""The memory plan of a resumed run: the one of its checkpoint, or another on another card."""

from dataclasses import replace

import torch

from icdcli.distributed.process_group import ProcessGroup
from icdcli.training.memory.plan import MemoryPlan
from icdcli.training.memory.planning import everything_of, plan_memory, use_plan
from icdcli.training.memory.recomputation import Recomputation
from icdcli.training.section import TrainConfig
from icdcli.training.state import Training


def budget_key(config: TrainConfig, process_group: ProcessGroup) -> str:
    """Return all that the size of micro-batches depends on, except the memory found at run time.

    With ``gradient_checkpointing: auto``, the card counts as well: another one has other memory.
    """
    device = process_group.device
    key = (
        f"{process_group.size} {device.type} {config.micro_batch_tokens} "
        f"{config.gradient_checkpointing} {config.strategy}"
    )
    if config.gradient_checkpointing == "auto" and device.type == "cuda":
        key += f" {_card(device)}"
    return key


def _card(device: torch.device) -> str:
    about = torch.cuda.get_device_properties(device)
    return f"{about.name} with {round(about.total_memory / 2**30)} GiB"


def resume_memory_plan(training: Training) -> str | None:
    """Use the memory plan of the checkpoint that a run is resumed from, or make a new one.

    Dropout follows from the split into micro-batches, so the run is repeated exactly only with
    the same ones. All processes of the training take part.

    Args:
        training: The training, with the state of the checkpoint.

    Returns:
        What changes, as a message for the user; None if nothing does.
    """
    state, group = training.state, training.process_group
    tokens, settings = state.micro_batch_tokens, budget_key(training.config, group)
    known = len(tokens) == group.size and state.micro_batches_of == settings
    before = MemoryPlan(_recorded(training), min(tokens, default=0))
    if not group.agree(int(not known))[0]:
        use_plan(training, replace(before, micro_batch_tokens=tokens[group.rank]))
        return None
    plan = plan_memory(training)
    state.micro_batches_of, state.micro_batch_tokens = settings, []
    if not tokens or plan == before or training.config.gradient_checkpointing != "auto":
        return None
    return (
        f"the card, the number of processes or the settings have changed: {plan} (before: {before}"
        "). So dropout and the last digits of losses differ from those of an uninterrupted run"
    )


def _recorded(training: Training) -> Recomputation:
    """Return the recomputation that a checkpoint records."""
    state, everything = training.state, everything_of(training)
    layers = state.recomputed_layers
    if layers is None:  # a run of version 0.1.0
        layers = everything.layers if training.config.gradient_checkpointing else 0
    return Recomputation(layers, everything.total, state.keeps_attention)
