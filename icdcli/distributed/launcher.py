"""Starting one process per GPU, or recognizing that torchrun or SLURM has done so."""

import logging
import os
import re
import signal
import socket
from collections.abc import MutableMapping

from icdcli.errors import ConfigError

PROGRAM = ["-m", "icdcli"]
"""The command line of each process, after ``python`` and before the arguments."""

_PASSED_ON = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1")
"""The signals that the launcher passes on to its processes: torch's own, and that of schedulers."""
_TIME_TO_SAVE = 3600  # seconds that the launcher gives its processes after a signal


def must_launch(device: str | list[int]) -> bool:
    """Return whether the configuration needs several processes and none has been started yet."""
    read_slurm_environment(os.environ)
    return isinstance(device, list) and len(device) > 1 and "WORLD_SIZE" not in os.environ


def launch(arguments: list[str], processes: int, port: int) -> int:
    """Start this command once per device with torch's elastic launcher, and wait for all processes.

    Args:
        arguments: The command line after ``icdcode``.
        processes: The number of processes.
        port: The port at which they connect to each other; see `free_port`.

    Returns:
        The exit code of the first process that failed; 128 plus the signal that was passed on to
        all; else 0.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    # The processes report their errors themselves. After a signal they finish a step and a
    # checkpoint, for which torch would give them 30 seconds.
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(_TIME_TO_SAVE))
    # A signal that this process ignores, as under nohup, stays ignored unless torch handles it.
    passed_on = [name for name in _PASSED_ON if not _is_ignored(name)]
    os.environ.setdefault("TORCHELASTIC_SIGNALS_TO_HANDLE", ",".join(passed_on))
    options = [f"--nproc-per-node={processes}", f"--master-port={port}", "--master-addr=127.0.0.1"]
    try:
        main([*options, *PROGRAM, *arguments])
    except ChildFailedError as error:
        code: int = error.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code
    except SignalException as stopped:
        return 128 + int(stopped.sigval)
    return 0


def _is_ignored(name: str) -> bool:
    return signal.getsignal(signal.Signals[name]) == signal.SIG_IGN


def free_port(wanted: int) -> int:
    """Return this port of this machine if it is free, else another one.

    Raises:
        ConfigError: If no port can be used.
    """
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
    """Set the variables that torch reads from those that ``srun`` sets, if they are not set.

    The shell of a batch script is no task of ``srun``: it has no SLURM_STEP_NUM_TASKS.

    Args:
        environment: ``os.environ``; RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT are
            added.
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
    """Return the first host of a SLURM node list, e.g. ``gpu003`` of ``gpu[003-005,9],big1``."""
    prefix, bracket, rest = nodes.partition("[")
    if not bracket or "," in prefix:
        return nodes.split(",")[0]
    numbers, _, suffix = rest.partition("]")
    return prefix + re.split("[-,]", numbers)[0] + suffix.split(",")[0]
