"""The process group: several processes that train as one, and the few collectives that this needs.

Each process computes its share of a step's documents, and gradients are summed, so that a step is
the same whatever the number of processes. The main process (rank 0) alone writes files and prints.

A process that is alone on the CPU needs no PyTorch for it: models without a network don't import
it.
"""

import ctypes
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from icdcli.distributed.launcher import read_slurm_environment
from icdcli.distributed.watchdog import Watchdog
from icdcli.offline import refuse_connection

if TYPE_CHECKING:
    import torch

# The main process may prepare a corpus, or compute the hidden states of a frozen backbone, while
# the others wait. That a process has died is noticed by the watchdog.
_TIMEOUT = timedelta(days=1)
_watchdog: Watchdog | None = None
Value = TypeVar("Value")


@dataclass(frozen=True)
class ProcessGroup:
    """This process's place in its process group.

    Attributes:
        rank: The number of this process, from 0.
        size: The number of processes.
        device_name: The device of this process as PyTorch names it, such as ``cuda:0``.
    """

    rank: int
    size: int
    device_name: str = "cpu"

    @cached_property
    def device(self) -> "torch.device":
        """Return the device of this process."""
        import torch

        return torch.device(self.device_name)

    @property
    def is_main(self) -> bool:
        """Return whether this is the main process, the one that writes files and prints."""
        return self.rank == 0

    def sum_gradients(self, weights: Iterable["torch.nn.Parameter"]) -> None:
        """Sum the gradients over all processes, in one transfer."""
        if self.size == 1:
            return
        import torch
        import torch.distributed as dist
        from torch.distributed.tensor import DTensor

        # The gradients of sharded weights are summed already.
        weights = [weight for weight in weights if not isinstance(weight, DTensor)]
        if not weights:
            return
        gradients = [
            weight.grad if weight.grad is not None else torch.zeros_like(weight)
            for weight in weights
        ]
        flat = torch.cat([gradient.reshape(-1).float() for gradient in gradients])
        dist.all_reduce(flat)
        for weight, part in zip(weights, flat.split([g.numel() for g in gradients]), strict=True):
            weight.grad = part.view_as(weight).to(weight.dtype)

    def sum_array(self, values: NDArray[np.float64] | NDArray[np.float32]) -> None:
        """Sum an array over all processes in place: each fills its own rows, others are zero."""
        if self.size > 1:
            import torch
            import torch.distributed as dist

            tensor = torch.from_numpy(values).to(self.device)
            dist.all_reduce(tensor)
            values[...] = tensor.cpu().numpy()

    def broadcast(self, value: Value) -> Value:
        """Return the main process's value in every process."""
        if self.size == 1:
            return value
        import torch
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def agree(self, *wanted: int) -> tuple[int, ...]:
        """Return the maximum of each number over all processes; no GPU is waited for."""
        if self.size == 1:
            return wanted
        import torch
        import torch.distributed as dist

        numbers = torch.tensor(wanted)
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return tuple(numbers.tolist())

    def wait(self) -> None:
        """Wait until every process is here."""
        self.agree(0)


def join_process_group(device: str | list[int]) -> ProcessGroup:
    """Join the processes that were launched with this one; without any, return a group of one.

    Args:
        device: ``device`` of the configuration.

    Raises:
        ConfigError: If this machine doesn't have the device.
        OfflineError: If icdcode works offline, and the main process is on another machine.
    """
    read_slurm_environment(os.environ)
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if size == 1 and device == "cpu":
        return ProcessGroup(rank, size)
    import torch
    import torch.distributed as dist

    from icdcli.distributed.devices import find_device

    chosen = find_device(device, local_rank if size > 1 else 0)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    process_group = ProcessGroup(rank, size, str(chosen))
    if size > 1 and not dist.is_initialized():
        refuse_connection("processes on several computers", os.environ.get("MASTER_ADDR"))
        # What the processes agree on is in main memory (gloo), so that no GPU is waited for.
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo", timeout=_TIMEOUT
        )
        global _watchdog
        _watchdog = Watchdog.between(rank, size, os.environ["MASTER_ADDR"], process_group.broadcast)
    return process_group


def leave_process_group() -> None:
    """Undo `join_process_group` once all processes are here; called only if all is well."""
    global _watchdog
    if _is_initialized():
        import torch
        import torch.distributed as dist

        # A launcher ends the others as soon as one process exits with a code other than 0, while
        # another may still be saving.
        last = dist.all_reduce(torch.zeros(1), async_op=True)
        last.wait()
        # Dropping the last reference to an operation needs the interpreter, for its tensor.
        # Torch's caches keep the process group of sharded weights, and so gloo's threads, alive; a
        # thread that drops the operation while the interpreter shuts down aborts the process after
        # all its work. So the operation is never dropped.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(last))
        if _watchdog is not None:
            _watchdog.finish()
            _watchdog = None
        dist.destroy_process_group()


def one_of_several() -> bool:
    """Return whether this process has joined a group of several."""
    if not _is_initialized():
        return False
    import torch.distributed as dist

    return dist.get_world_size() > 1


def _is_initialized() -> bool:
    """Return whether PyTorch has a process group, without importing it."""
    if "torch" not in sys.modules:
        return False
    import torch.distributed as dist

    return dist.is_initialized()


def other_is_lost(wait: float) -> bool:
    """Return whether another process has died, or dies within ``wait`` seconds.

    An error in this process is then only a consequence.
    """
    return _watchdog is not None and _watchdog.lost.wait(wait)


def leave_others(code: int) -> NoReturn:
    """Exit at once, after this process has reported why; the others end as well."""
    if _watchdog is not None:
        _watchdog.fail()
    os._exit(code)
