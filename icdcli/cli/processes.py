"""Processes and signals of the commands that may run on several GPUs."""

import errno
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from icdcli.errors import ConfigError, DataError, IcdcodeError
from icdcli.report.console import Output

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
AGAIN = 75
"""EX_TEMPFAIL: the exit code that asks a scheduler to start the same command again."""


def in_all_processes(
    device: str | list[int],
    port: int,
    work: Callable[[Output], None],
    json: bool,
    events: bool = False,
    again: bool = False,
) -> None:
    """Run a function in this process or, for several GPUs, in one process per GPU.

    Only rank 0 prints. A process that fails prints its own error and ends at once; the others then
    end too.

    Args:
        device: The device, or the numbers of the GPUs.
        port: The port at which the processes connect to each other.
        work: The function.
        json: Whether standard output is for one JSON object.
        events: Whether it is for one line of JSON per event.
        again: Whether a signal that stops the processes leads to the exit code `AGAIN`.
    """
    from icdcli.distributed import process_group, watchdog
    from icdcli.distributed.launcher import free_port, launch, must_launch
    from icdcli.distributed.signals import STOP_SIGNALS

    if must_launch(device):
        from icdcli.distributed.devices import find_device

        find_device(device)  # one message here instead of one per process
        chosen = free_port(port)
        if chosen != port:
            Output(json, events=events).say(f"port {port} is in use; using port {chosen}")
        code = launch(sys.argv[1:], len(device), chosen)
        raise typer.Exit(AGAIN if again and code - 128 in STOP_SIGNALS else code)
    quiet = int(os.environ.get("RANK", "0")) > 0
    if quiet:  # until the process ends
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    output = Output(json, errors_only=quiet, events=events)
    failed = _event_of_failure(output)

    def report_lost(text: str, reported: bool) -> None:
        failed(text, 1)
        if not reported:
            _print_last_error(output, text)

    watchdog.on_lost = report_lost
    try:
        with memory_errors_explained(), _system_errors_explained():
            work(output)
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, IcdcodeError):
            failed(str(error), error.exit_code)
        elif not isinstance(error, typer.Exit) and not process_group.other_is_lost(wait=1):
            failed(type(error).__name__, 1)  # its message may have text of notes
        if process_group.one_of_several():
            _leave_others(error, output)
        raise
    process_group.leave_process_group()


def _event_of_failure(output: Output) -> Callable[[str, int], None]:
    """Return a function that writes the event of a failure, with its exit code, the first time.

    If another process is lost, a thread reports it, while this one may fail because of it.
    """
    first = threading.Lock()

    def write(message: str, exit_code: int) -> None:
        if first.acquire(blocking=False):
            output.event("failed", {"message": message, "exit_code": exit_code})

    return write


def _leave_others(error: BaseException, output: Output) -> None:
    """End a failed process; without it, the others can't continue.

    It prints its error, unless it failed because another process is gone.
    """
    from icdcli.distributed.process_group import leave_others, other_is_lost

    # The launcher's signal may arrive before the error is printed.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    code = 1
    if isinstance(error, typer.Exit):
        code = error.exit_code
    elif isinstance(error, KeyboardInterrupt):
        code = 128 + signal.SIGINT
    elif isinstance(error, IcdcodeError):
        code = error.exit_code
        # Rank 0 prints an error that all processes have.
        if os.environ["RANK"] == "0" or not other_is_lost(wait=0.5):
            _print_last_error(output, error)
    elif other_is_lost(wait=1):
        time.sleep(60)  # the launcher ends the process during this sleep
    else:
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    leave_others(code)


def _print_last_error(output: Output, text: object) -> None:
    output.error(text)
    output.console.show_cursor()  # which a live view hides


@contextmanager
def memory_errors_explained() -> Iterator[None]:
    """Raise a `ConfigError` with the remedy if a device or main memory has too little memory."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not _is_of_torch(error):
            raise
        size = re.search(r"tried to allocate ([\d.,]+ ?\w+)", str(error), re.IGNORECASE)
        more = f" ({size[1]} more were needed)" if size else ""
        raise ConfigError(
            f"device: ran out of memory{more}. Free memory, choose another device (device=cpu), or "
            "use a lower max_len, bit or micro_batch_tokens; `icdcode doctor CONFIG` reports what "
            "a training needs."
        ) from error


def _is_of_torch(error: RuntimeError) -> bool:
    if "torch" not in sys.modules:  # which takes seconds to import
        return False
    from icdcli.model.inference.passes import is_out_of_memory

    return is_out_of_memory(error)


@contextmanager
def _system_errors_explained() -> Iterator[None]:
    """Raise a `DataError` for what the system refuses, as `system_error_in_words` has it."""
    try:
        yield
    except OSError as error:
        message = None if isinstance(error, IcdcodeError) else system_error_in_words(error)
        if message is None:
            raise
        raise DataError(message) from error


def system_error_in_words(error: OSError) -> str | None:
    """Return the message about a full disk, missing permissions or a deleted current folder.

    Another error, for which None is returned, is a defect, or a reader that stopped reading.
    """
    if error.errno == errno.EPIPE:
        return None
    where = error.filename or "standard output"
    if error.errno in _FULL:
        return (
            f"{where}: can't be written ({error.strerror}). Free some space, then repeat the "
            "command."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and error.filename:
        return f"{where}: {error.strerror}. Correct the permissions, or choose another place."
    try:
        os.getcwd()
    except FileNotFoundError:
        return "The current folder no longer exists. Change to another one."
    return None


@contextmanager
def ending_at_once(output: Output, message: str, again: bool = False) -> Iterator[None]:
    """End the work at once at a signal, with a message.

    It catches nothing outside the main thread, because Python allows no signal handlers there.

    Args:
        output: The output of the command.
        message: The message.
        again: Whether the exit code is `AGAIN`, rather than 128 and the number of the signal.
    """
    from icdcli.distributed.signals import STOP_SIGNALS, TIME_IS_UP

    caught: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        caught.append(number)
        raise KeyboardInterrupt

    in_main = threading.current_thread() is threading.main_thread()
    numbers = STOP_SIGNALS if in_main else ()
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    except KeyboardInterrupt:
        output.say(message)
        raise typer.Exit(AGAIN if again or caught[0] == TIME_IS_UP else 128 + caught[0]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
