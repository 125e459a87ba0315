"""Work on many texts in several processes: Python uses one core per process.

A process is started as a new program, which only has the function that it applies: the script that
called, and its threads and GPUs, are left alone. It ends with this process, or with its work.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from queue import SimpleQueue
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2
"""Blocks per process that are waiting, in work, or done."""
_MOST = 8
"""The most processes; each takes up to 300 MB of memory."""
_PROGRAM = "from icdcli.data.processes import apply_blocks; apply_blocks()"


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_blocks(
    work: Callable[[Sequence[Item]], Result], items: Iterable[Item], size: int, least: int
) -> Generator[Result, None, None]:
    """Apply a function to blocks of items, in order; to many of them, in one process per core.

    Args:
        work: The function. It, the items and the results are pickled for other processes.
        items: The items, which are taken a few blocks ahead.
        size: The items of a block.
        least: The items from which on it is worth starting processes, which takes a second.

    Yields:
        The result of each block, which doesn't depend on the number of processes.

    Raises:
        RuntimeError: A process ended, perhaps for lack of memory.
    """
    remaining = iter(items)
    first = list(islice(remaining, least))
    blocks = _blocks(chain(first, remaining), size)
    number = _number_of_processes()
    if len(first) < least or number < 2 or not sys.executable:
        yield from map(work, blocks)
        return
    workers = _Workers(work, number)
    try:
        under_way: deque[Future[Result]] = deque()
        for block in blocks:
            under_way.append(workers.submit(block))
            if len(under_way) == _AHEAD * number:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        workers.end()


def _number_of_processes() -> int:
    """Return one per core; the ranks of a training on this machine share the cores."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min(cores() // max(ranks, 1), _MOST)


class _Workers:
    """Processes that apply one function."""

    def __init__(self, work: Callable[..., Any], number: int) -> None:
        packed, self._idle = pickle.dumps(work), SimpleQueue[subprocess.Popen[bytes]]()
        self._processes = [_started() for _ in range(number)]
        self._threads = ThreadPoolExecutor(number)
        for process in self._processes:
            self._idle.put(process)
            _send(process, packed)

    def submit(self, block: Sequence[Any]) -> Future[Any]:
        return self._threads.submit(self._ask, block)

    def _ask(self, block: Sequence[Any]) -> Any:
        process = self._idle.get()
        try:
            _send(process, pickle.dumps(block))
            assert process.stdout is not None
            done, result = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise RuntimeError(
                "a process that helped to read the documents ended, perhaps because memory ran out"
            ) from error
        finally:
            self._idle.put(process)
        if not done:
            raise result
        return result

    def end(self) -> None:
        for process in self._processes:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            with process:  # closes its pipes, and waits for it
                pass


def _started() -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-c", _PROGRAM]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _send(process: "subprocess.Popen[bytes]", packed: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(packed)
    process.stdin.flush()


def apply_blocks() -> None:
    """Read a function and blocks of items, and write its results, until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get among the results
    try:
        work = pickle.load(sys.stdin.buffer)
        while True:
            block = pickle.load(sys.stdin.buffer)
            output.write(_answer(work, block))
            output.flush()
    except (EOFError, BrokenPipeError, pickle.UnpicklingError):
        os._exit(0)  # the other process has ended, and can't take what is left to write


def _answer(work: Callable[[Any], Any], block: Any) -> bytes:
    try:
        return pickle.dumps((True, work(block)))
    except Exception as error:  # whatever it is, the other process raises it
        return pickle.dumps((False, error))


def _blocks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while block := list(islice(remaining, size)):
        yield block
