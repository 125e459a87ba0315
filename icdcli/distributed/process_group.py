"""Several processes as one: launching them, and the few collectives that training needs.

Every process computes its share of a step's documents; gradients are summed, so that the step is the same whatever the
number of processes.
"""

import ctypes
import logging
import os
import re
import socket
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from icdcli.distributed.watchdog import Watchdog
from icdcli.errors import ConfigError

PROGRAM = ["-m", "icdcli"]
"""What each process is started with."""

# The first process may prepare a corpus, or compute a frozen backbone's states, while the others wait; that one is gone is
# noticed another way.
_LONGEST_WAIT = timedelta(days=1)
_TO_SAVE = 3600  # seconds that the launcher gives its processes after a signal
_watchdog: Watchdog | None = None


@dataclass(frozen=True)
class ProcessGroup:
    """This process among its fellows.

    Attributes:
        rank: Its number, from 0; rank 0 alone writes files.
        size: How many there are.
        device: Where it computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def sum_gradients(self, weights: Iterable[torch.nn.Parameter]) -> None:
        """Add up all processes' gradients, in one transfer."""
        if self.size == 1:
            return
        from torch.distributed.tensor import DTensor

        # Those of weights that are shared out are summed already.
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
        """Add up all processes' arrays in place (each fills its own rows, the others hold zeros)."""
        if self.size > 1:
            tensor = torch.from_numpy(values).to(self.device)
            dist.all_reduce(tensor)
            values[...] = tensor.cpu().numpy()

    def broadcast(self, value: object) -> object:
        """Rank 0's value, in every process."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def agree(self, *wanted: int) -> tuple[int, ...]:
        """The largest of each number over all processes; no GPU is waited for."""
        if self.size == 1:
            return wanted
        numbers = torch.tensor(wanted)
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return tuple(numbers.tolist())

    def wait(self) -> None:
        """Return when every process has come here."""
        self.agree(0)


def must_launch(device: str | list[int]) -> bool:
    """Whether the configuration asks for several processes and none has been started yet."""
    read_slurm_environment(os.environ)
    return isinstance(device, list) and len(device) > 1 and "WORLD_SIZE" not in os.environ


def launch(arguments: list[str], processes: int, port: int) -> int:
    """Start this command once a device, through torch's elastic launcher, and wait for all of them.

    Args:
        arguments: The command line after ``icdcode``.
        processes: How many.
        port: Where they find one another; see `free_port`.

    Returns:
        The exit code of the first process that failed, or of the signal that was handed on to all; 0 where all is well.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    # The processes speak for themselves. After a signal they finish a step and a checkpoint; torch would give them 30 seconds.
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(_TO_SAVE))
    options = [f"--nproc-per-node={processes}", f"--master-port={port}", "--master-addr=127.0.0.1"]
    try:
        main([*options, *PROGRAM, *arguments])
    except ChildFailedError as error:
        code: int = error.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code
    except SignalException as signal:
        return 128 + int(signal.sigval)
    return 0


def free_port(wanted: int) -> int:
    """The wanted port of this machine, or another one where something listens on it already."""
    for port in (wanted, 0):
        with socket.socket() as chosen:
            chosen.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                chosen.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = chosen.getsockname()[1]
            return found
    raise ConfigError(f"--port: neither {wanted} nor any other port of this machine can be used")


def read_slurm_environment(environment: MutableMapping[str, str]) -> None:
    """Translate what ``srun`` tells its tasks into what torch reads, where nobody has told torch yet.

    A batch script's own shell is no task of ``srun``: it has no SLURM_STEP_NUM_TASKS.

    Args:
        environment: ``os.environ``; RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT are added.
    """
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS", "1"))
    if "WORLD_SIZE" in environment or tasks < 2:
        return
    environment.update(
        RANK=environment["SLURM_PROCID"],
        WORLD_SIZE=str(tasks),
        LOCAL_RANK=environment["SLURM_LOCALID"],
        MASTER_ADDR=environment.get("MASTER_ADDR")
        or first_host(environment["SLURM_STEP_NODELIST"]),
        # Two jobs on one node have different numbers, and so different ports.
        MASTER_PORT=environment.get("MASTER_PORT")
        or str(20_000 + int(environment["SLURM_JOB_ID"]) % 20_000),
    )


def first_host(nodes: str) -> str:
    """The first host of a SLURM list of nodes, e.g. ``gpu003`` of ``gpu[003-005,9],big1``."""
    prefix, bracket, rest = nodes.partition("[")
    if not bracket or "," in prefix:
        return nodes.split(",")[0]
    numbers, _, suffix = rest.partition("]")
    return prefix + re.split("[-,]", numbers)[0] + suffix.split(",")[0]


def join_process_group(device: str | list[int]) -> ProcessGroup:
    """Become a process of the world that was launched, or the only one.

    Raises:
        ConfigError: When the device asked for is not there.
    """
    read_slurm_environment(os.environ)
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    chosen = find_device(device, local if size > 1 else 0)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    process_group = ProcessGroup(rank, size, chosen)
    if size > 1 and not dist.is_initialized():
        # What the processes agree on lies in main memory, so that no GPU is waited for.
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo", timeout=_LONGEST_WAIT
        )
        global _watchdog
        _watchdog = Watchdog.between(rank, size, os.environ["MASTER_ADDR"], process_group.broadcast)
    return process_group


def leave_process_group() -> None:
    """Undo `join_process_group`, once all processes have come here; to be called when all is well."""
    global _watchdog
    if dist.is_initialized():
        # A launcher ends the others as soon as one ends with an exit code other than 0, while another may be saving.
        last = dist.all_reduce(torch.zeros(1), async_op=True)
        last.wait()
        # Whoever drops an operation last needs the interpreter for its tensor. Torch's caches keep the process group of sharded
        # weights and so gloo's threads; one that drops it while the interpreter is taken down aborts the process, all work
        # done. So it is never dropped.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(last))
        if _watchdog is not None:
            _watchdog.finish()
            _watchdog = None
        dist.destroy_process_group()


def one_of_several() -> bool:
    """Whether this process has joined a world of several."""
    return dist.is_initialized() and dist.get_world_size() > 1


def other_is_lost(wait: float) -> bool:
    """Whether another process is gone, or goes within so many seconds: what fails here then is only what follows from it."""
    return _watchdog is not None and _watchdog.lost.wait(wait)


def leave_others(code: int) -> NoReturn:
    """End this process alone and at once, whatever is under way, after it has said why; the others end by themselves."""
    if _watchdog is not None:
        _watchdog.fail()
    os._exit(code)


def find_device(device: str | list[int], local: int = 0) -> torch.device:
    """The torch device for a configured one.

    Raises:
        ConfigError: When this machine doesn't have it.
    """
    if device == "cpu":
        return torch.device("cpu")
    if device == "mps":
        if not torch.backends.mps.is_available():
            raise ConfigError(
                "device: mps: this machine has no Metal GPU that PyTorch can use; run with device=cpu"
            )
        return torch.device("mps")
    count = torch.cuda.device_count()
    numbers = [int(number) for number in device]
    if count == 0:
        cpu = "run with device=cpu, or evaluate with --device cpu"
        raise ConfigError(f"device: {numbers}: this machine has no GPU that PyTorch can use; {cpu}")
    missing = [number for number in numbers if number >= count]
    if missing:
        there = ", ".join(map(str, range(count)))
        raise ConfigError(
            f"device: {numbers}: there is no GPU {', '.join(map(str, missing))} on this machine; it has {there}"
        )
    if local >= len(numbers):
        raise ConfigError(
            f"device: {numbers}: {local + 1} processes were started for {len(numbers)} GPUs"
        )
    return torch.device("cuda", numbers[local])
