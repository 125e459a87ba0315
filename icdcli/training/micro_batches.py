"""How many tokens a forward pass may hold where the configuration leaves it open."""

from typing import Any

import torch

from icdcli.distributed.process_group import ProcessGroup
from icdcli.model.network import CodingNetwork
from icdcli.training.section import TrainConfig
from icdcli.training.state import Training

ON_CPU = 16_384
_LEAST, _MOST = 1_024, 65_536
_SHARE = 0.8  # of the free memory; fragments and what is not reckoned with take the rest
_HALVED = 2  # bytes of a number in half precision


def token_budget(network: CodingNetwork, checkpointing: bool) -> int:
    """Tokens of a micro-batch that the device should have memory for; running out of it halves them later.

    Args:
        network: Loaded, nothing trained yet: gradients and the optimiser's state are still to come.
        checkpointing: Whether layers keep only their inputs.

    Returns:
        On a GPU what its free memory gives, else a number that does well on any machine.
    """
    device = network.device
    if device.type != "cuda":
        return ON_CPU
    free = (
        torch.cuda.mem_get_info(device)[0]
        + torch.cuda.memory_reserved(device)
        - torch.cuda.memory_allocated(device)
    )
    return tokens_that_fit(network, checkpointing, free)


def tokens_that_fit(network: CodingNetwork, checkpointing: bool, free: int) -> int:
    """Tokens of a micro-batch for so many bytes of free memory."""
    # A gradient and AdamW's two averages, in float32.
    still_to_come = 12 * sum(weight.numel() for weight in network.trainable().values())
    tokens = (_SHARE * free - still_to_come) / bytes_per_token(network, checkpointing)
    return int(min(max(tokens, _LEAST), _MOST))


def bytes_per_token(network: CodingNetwork, checkpointing: bool) -> float:
    """Roughly what one token keeps in memory until its gradient is computed.

    After Korthikanti et al. 2022: a layer keeps about 17 numbers per unit of width, 8 of them in a feed-forward part of four
    times the width, and no attention scores. Adapters keep what goes into each projection once more.
    """
    settings: Any = network.backbone.config
    width, layers = int(settings.hidden_size), int(settings.num_hidden_layers)
    inner: int = getattr(settings, "intermediate_size", None) or 4 * width
    size = _HALVED if network.autocast is not None else 4
    layer = (16 * width + 6 * inner) * size
    # One layer is computed again at a time, its gradients beside it; the last states are pooled in float32.
    kept = layers * width * size + 2 * layer if checkpointing else layers * layer
    return kept + 16 * width


def micro_batches_of(config: TrainConfig, process_group: ProcessGroup) -> str:
    """What the size of micro-batches depends on, besides the memory that they turned out to take."""
    return f"{process_group.size} {process_group.device.type} {config.micro_batch_tokens} {config.gradient_checkpointing} {config.strategy}"


def go_on_with_micro_batches(training: Training) -> None:
    """Take the micro-batches that a run's memory was found to hold; dropout follows from them."""
    state, now = training.state, micro_batches_of(training.config, training.process_group)
    if state.micro_batches_of == now and state.micro_batch_tokens:
        training.micro_batch_tokens = state.micro_batch_tokens[training.process_group.rank]
    else:
        state.micro_batches_of, state.micro_batch_tokens = now, []
