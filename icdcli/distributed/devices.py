"""From the configured device to torch's."""

import os
import sys
from collections.abc import MutableMapping

import torch

from icdcli.config.loading import load_config
from icdcli.errors import ConfigError

_ALLOCATOR = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
"""The variable with the settings of the memory allocator; the second name is that before torch 2.9,
which later versions read, too."""


def find_device(device: str | list[int], local_rank: int = 0) -> torch.device:
    """Return the torch device of this process.

    Args:
        device: ``device`` of the configuration: ``cpu``, ``mps`` or the numbers of GPUs.
        local_rank: The number of this process on its machine; it uses the GPU at this place.

    Raises:
        ConfigError: If this machine doesn't have the device.
    """
    if device == "cpu":
        return torch.device("cpu")
    if device == "mps":
        if not torch.backends.mps.is_available():
            raise ConfigError(
                "device: mps: this machine has no Metal GPU that PyTorch can use. "
                "Run with device=cpu"
            )
        return torch.device("mps")
    count = torch.cuda.device_count()
    numbers = [int(number) for number in device]
    if count == 0:
        raise ConfigError(
            f"device: {numbers}: this machine has no GPU that PyTorch can use. "
            "Run with device=cpu, or evaluate with --device cpu"
        )
    missing = [number for number in numbers if number >= count]
    if missing:
        existing = ", ".join(map(str, range(count)))
        raise ConfigError(
            f"device: {numbers}: there is no GPU {', '.join(map(str, missing))} on this machine. "
            f"It has {existing}"
        )
    if local_rank >= len(numbers):
        raise ConfigError(
            f"device: {numbers}: {local_rank + 1} processes were started for {len(numbers)} GPUs. "
            "Start one per GPU"
        )
    let_memory_grow(os.environ)
    return torch.device("cuda", numbers[local_rank])


def chosen_device(given: str | None) -> torch.device:
    """Return the torch device for new notes.

    Args:
        given: The device as on the command line, such as ``0``; None: the first GPU, else the CPU.

    Raises:
        ConfigError: If it isn't a device, or this machine doesn't have it.
    """
    if given is None:
        return find_device([0] if torch.cuda.is_available() else "cpu")
    return find_device(load_config(None, [f"device={given}"]).run.device)


def let_memory_grow(environment: MutableMapping[str, str]) -> None:
    """Make the allocator of a GPU extend its blocks, if the user hasn't set it up otherwise.

    Every step has documents of other lengths. Blocks of fixed size don't fit the next step, so that
    memory is fragmented, and freed and allocated again, for which the GPU has to wait.

    Args:
        environment: ``os.environ``; the allocator reads it when it is first used.
    """
    if sys.platform == "linux" and not any(name in environment for name in _ALLOCATOR):
        later = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 9)
        environment[_ALLOCATOR[0 if later else 1]] = "expandable_segments:True"
