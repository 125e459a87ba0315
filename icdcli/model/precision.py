"""The precision that a backbone computes in.

With 4, 8 or 16 bits it is half precision. With 32 bits it is float32, except for a frozen backbone
on a CPU that computes bfloat16 much faster (AMX, AVX-512 BF16). Whether it does is measured.
"""

import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch.nn import functional

from icdcli.model.section import CpuPrecision, ModelConfig

SUMS_IN_FLOAT32 = "dtype" in torch.ops.aten.mm.overloads()
"""Whether PyTorch multiplies half precision with a float32 result on a GPU (2.8 and later)."""

FASTER = 1.5
"""How many times as fast as float32 bfloat16 must be to be chosen: CPUs that compute it natively
are 2 to 8 times as fast, others at most as fast."""

_ROWS, _INPUTS, _OUTPUTS = 256, 384, 768  # 0.15 billion multiplications: about a millisecond
_ROUNDS = 4


def half_precision(device: torch.device) -> torch.dtype:
    """Return bfloat16, or float16 on a GPU that computes bfloat16 slowly or not at all.

    NVIDIA GPUs older than Ampere, such as T4 and V100, emulate it.
    """
    if device.type != "cuda":
        return torch.bfloat16
    if torch.version.hip is None:
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:  # AMD counts differently
        fast = torch.cuda.is_bf16_supported()
    return torch.bfloat16 if fast else torch.float16


def weight_precision(config: ModelConfig, device: torch.device) -> torch.dtype:
    """Return the precision of a backbone's weights.

    Trained weights stay float32, with computations in half precision: bfloat16 loses small updates.
    """
    return torch.float32 if config.bit == 32 or not config.frozen else half_precision(device)


def autocast_precision(config: ModelConfig, device: torch.device) -> torch.dtype | None:
    """Return the precision that a backbone computes in; None: that of its weights.

    Args:
        config: The model section, with the choice of `with_cpu_precision`.
        device: The device that the network computes on.
    """
    if config.bit != 32:
        return half_precision(device)
    return torch.bfloat16 if uses_cpu_precision(config, device) else None


def uses_cpu_precision(config: ModelConfig, device: torch.device) -> bool:
    """Return whether ``cpu_precision`` makes a network compute in bfloat16, not in float32."""
    return config.bit == 32 and device.type == "cpu" and config.cpu_precision == "bfloat16"


def with_cpu_precision(config: ModelConfig, device: torch.device) -> ModelConfig:
    """Return a model section with ``float32`` or ``bfloat16`` instead of ``auto``.

    ``auto`` is ``bfloat16`` for a frozen backbone on a CPU that computes it fast. What is chosen
    becomes part of the model, whose scores are then the same on every CPU.

    Args:
        config: The model section of the configuration.
        device: The device that the network computes on.
    """
    if config.cpu_precision != "auto":
        return config
    half = (
        device.type == "cpu"
        and config.bit == 32
        and config.frozen
        and not config.lora_activate
        and not config.is_baseline
        and computes_bfloat16_fast()
    )
    chosen: CpuPrecision = "bfloat16" if half else "float32"
    return config.model_copy(update={"cpu_precision": chosen})


def saved_config(
    stored: Mapping[str, Any],
    device: torch.device,
    wanted: CpuPrecision | None,
    on_warning: Callable[[str], object],
) -> ModelConfig:
    """Return the model section of a checkpoint, whose precision is that of the training.

    Args:
        stored: The model section as it was stored; earlier versions computed in float32.
        device: The device that the network computes on.
        wanted: The ``cpu_precision`` to use instead of the stored one; None: the stored one.
        on_warning: Receives a warning if this CPU computes the precision slowly.
    """
    config = ModelConfig(**{"cpu_precision": "float32", **stored})
    if wanted is not None:
        return with_cpu_precision(config.model_copy(update={"cpu_precision": wanted}), device)
    if uses_cpu_precision(config, device) and not computes_bfloat16_fast():
        on_warning(
            "the model was trained with cpu_precision: bfloat16, which this CPU computes slowly. "
            "--cpu-precision float32 is faster here; scores at the threshold may change"
        )
    return config


@cache
def computes_bfloat16_fast() -> bool:
    """Measure once per process whether this CPU computes bfloat16 fast; see `FASTER`."""
    return bfloat16_speed() >= FASTER


def bfloat16_speed(seconds: Callable[[torch.dtype], float] | None = None) -> float:
    """Return how many times as fast as float32 this CPU multiplies matrices in bfloat16.

    It takes about ten milliseconds.

    Args:
        seconds: Returns the seconds of a matrix product in a precision; None: measure them.
    """
    measure = seconds or _seconds
    precisions = (torch.float32, torch.bfloat16)
    for precision in precisions:  # the first product prepares the kernel
        measure(precision)
    # In turns, and the best of each: other processes may use the CPU meanwhile.
    rounds = [[measure(precision) for precision in precisions] for _ in range(_ROUNDS)]
    full, half = (min(times) for times in zip(*rounds, strict=True))
    return float(full / half)


@torch.inference_mode()
def _seconds(precision: torch.dtype) -> float:
    """Return how long a linear layer takes."""
    inputs = torch.full((_ROWS, _INPUTS), 0.5, dtype=precision)
    weights = torch.full((_OUTPUTS, _INPUTS), 0.5, dtype=precision)
    began = time.perf_counter()
    functional.linear(inputs, weights)
    return time.perf_counter() - began
