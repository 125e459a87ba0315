"""This machine's memory, processor and GPUs, and how much memory this process uses."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

_KILO = 1024  # bytes of a "kB" in /proc
_OWN_GROUPS = Path("/proc/self/cgroup")
# The files with the limits of control groups: version 2 names no controllers, version 1 has a tree
# for each controller.
_GROUPS = {
    "": (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    "memory": (
        Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that torch can use.

    Attributes:
        number: Its number, as in ``device``.
        name: Its name.
        capability: CUDA's compute capability, e.g. (8, 0).
        total: Bytes of memory.
        free: Bytes that no process uses.
    """

    number: int
    name: str
    capability: tuple[int, int]
    total: int
    free: int


def memory_in_use(device: torch.device) -> int | None:
    """Return the bytes to show: on a GPU the peak of its tensors, else those of this process."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else resident_memory()


def resident_memory() -> int | None:
    """Return the bytes of memory that this process uses, or None if unknown."""
    return _of_this_process("VmRSS")


def peak_memory() -> int | None:
    """Return the peak of the bytes of memory that this process has used, or None if unknown."""
    return _of_this_process("VmHWM")


def total_memory() -> int | None:
    """Return the bytes of memory that this process may use, or None if unknown.

    The limit of a container or batch job counts.
    """
    total = _entry(Path("/proc/meminfo"), "MemTotal")
    if total is None and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [limit for limit, _ in _limits()]
    return min([*([] if total is None else [total]), *limits], default=None)


def free_memory() -> int | None:
    """Return the bytes of free memory; all memory if the free part is unknown."""
    free = _entry(Path("/proc/meminfo"), "MemAvailable")
    left = [limit - used for limit, used in _limits()]
    return total_memory() if free is None else max(0, min([free, *left]))


def room(device: torch.device) -> int | None:
    """Return the bytes that a training could use on a device: free ones and this process's own."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    free = free_memory()
    return None if free is None else free + (resident_memory() or 0)


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def gpus() -> list[Gpu]:
    """Return the GPUs that torch can use."""
    found = []
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        free, total = torch.cuda.mem_get_info(number)
        found.append(Gpu(number, about.name, (about.major, about.minor), total, free))
    return found


def _of_this_process(entry: str) -> int | None:
    found = _entry(Path("/proc/self/status"), entry)
    if found is not None:
        return found
    try:
        import resource
    except ImportError:  # Windows
        return None
    # Elsewhere the peak is used for both; macOS gives it in bytes, other systems in kilobytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if platform.system() == "Darwin" else _KILO
    )


def _entry(file: Path, name: str) -> int | None:
    """Return the value of a line ``name: 12 kB`` of a kernel file, in bytes."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next(
        (int(line.split()[1]) * _KILO for line in lines if line.startswith(f"{name}:")), None
    )


def _limits() -> list[tuple[int, int]]:
    """Return limit and use of this process's control groups, without file cache, in bytes."""
    try:
        lines = _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if controllers not in _GROUPS:
            continue
        root, limit_file, used_file, cache = _GROUPS[controllers]
        group = root / own.lstrip("/")
        for folder in (group, *group.parents):
            try:
                limit = int((folder / limit_file).read_text(encoding="ascii"))
                used = int((folder / used_file).read_text(encoding="ascii"))
                statistics = dict(
                    row.split()
                    for row in (folder / "memory.stat").read_text(encoding="ascii").splitlines()
                )
            except (OSError, ValueError):  # no limit in this folder, or "max"
                continue
            found.append((limit, used - int(statistics.get(cache, 0))))
    return found
