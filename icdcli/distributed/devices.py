"""From the configured device to torch's."""

import torch

from icdcli.errors import ConfigError


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
    return torch.device("cuda", numbers[local_rank])
