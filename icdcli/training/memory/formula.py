"""The memory of a forward and backward pass by a formula, for devices that can't be measured.

Shapes: T tokens.
"""

from typing import Any

import torch

from icdcli.model.network import CodingNetwork
from icdcli.training.memory.plan import MOST, StepSizes

ON_CPU = 16_384
"""Tokens of a micro-batch on a CPU: a number that works well on any machine."""

_LEAST = 1_024
_USED = 0.8  # of the free memory; fragmentation and inexact estimates take the rest
_HALF_PRECISION = 2  # bytes


def free_memory_of_gpu(device: torch.device) -> int:
    """Return the bytes of a GPU's memory that this process can still use."""
    return (
        torch.cuda.mem_get_info(device)[0]
        + torch.cuda.memory_reserved(device)
        - torch.cuda.memory_allocated(device)
    )


def token_budget(network: CodingNetwork, checkpointing: bool) -> int:
    """Return how many tokens a micro-batch may have if neither configured nor measured.

    Args:
        network: Loaded, but not trained yet: memory for gradients and the optimizer's state is
            added.
        checkpointing: Whether layers keep only their inputs.

    Returns:
        On a GPU what fits in its free memory, else `ON_CPU`.
    """
    device = network.device
    if device.type != "cuda":
        return ON_CPU
    return tokens_that_fit(network, checkpointing, free_memory_of_gpu(device))


def tokens_that_fit(network: CodingNetwork, checkpointing: bool, free: int) -> int:
    """Return how many tokens of a micro-batch fit in ``free`` bytes of memory."""
    # A gradient and AdamW's two averages, in float32.
    still_to_come = 12 * sum(weight.numel() for weight in network.trainable().values())
    tokens = (_USED * free - still_to_come) / bytes_per_token(network, checkpointing)
    return int(min(max(tokens, _LEAST), MOST))


def bytes_per_token(network: CodingNetwork, checkpointing: bool) -> float:
    """Return the approximate bytes to keep per token until its gradient is computed.

    After Korthikanti et al. 2022: a layer keeps about 17 numbers per unit of width, 8 of them in a
    feed-forward part of four times the width, and no attention scores. Adapters also keep the input
    of each projection.
    """
    settings: Any = network.backbone.config
    width, layers = int(settings.hidden_size), int(settings.num_hidden_layers)
    inner: int = getattr(settings, "intermediate_size", None) or 4 * width
    size = _HALF_PRECISION if network.autocast is not None else 4
    layer = (16 * width + 6 * inner) * size
    # One layer is recomputed at a time, with its gradients; the hidden states are pooled in
    # float32.
    kept = layers * width * size + 2 * layer if checkpointing else layers * layer
    return kept + 16 * width


def fits_easily(network: CodingNetwork, sizes: StepSizes, twice: bool, room: float) -> bool:
    """Return whether a step on a CPU fits without recomputation.

    Args:
        network: The network.
        sizes: The sizes of the steps.
        twice: Whether each document is read twice before gradients are computed.
        room: Bytes that may be used.
    """
    tokens = max(min(sizes.wanted or ON_CPU, sizes.most), sizes.longest)
    needed = bytes_per_token(network, False) + _scores_per_token(network, sizes.longest)
    return (1 + twice) * tokens * needed <= room


def _scores_per_token(network: CodingNetwork, longest: int) -> float:
    """Return the bytes of attention scores to keep per token on a CPU.

    There are some only if attention has dropout: a score, its weight and what is dropped, for each
    pair of a document's tokens.

    Args:
        network: The network.
        longest: The tokens of the longest document.
    """
    settings: Any = network.backbone.config
    names = ("attention_dropout", "attention_probs_dropout_prob")
    if not any(getattr(settings, name, 0) for name in names):
        return 0.0
    return 3 * 4 * longest * int(settings.num_attention_heads) * int(settings.num_hidden_layers)
