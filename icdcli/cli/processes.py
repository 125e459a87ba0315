"""Processes and signals of the commands that may run on several GPUs."""

import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from icdcli.errors import ConfigError, IcdcodeError
from icdcli.report.console import Output


def in_all_processes(
    device: str | list[int], port: int, work: Callable[[Output], None], json: bool
) -> None:
    """Run a function in this process or, for several GPUs, in one process per GPU.

    Only rank 0 prints. A process that fails prints its own error and ends at once; the others then
    end too.
    """
    from icdcli.distributed import watchdog
    from icdcli.distributed.devices import find_device
    from icdcli.distributed.launcher import free_port, launch, must_launch
    from icdcli.distributed.process_group import leave_process_group, one_of_several

    if must_launch(device):
        find_device(device)  # one message here instead of one per process
        chosen = free_port(port)
        if chosen != port:
            Output(json).say(f"port {port} is in use; using port {chosen}")
        raise typer.Exit(launch(sys.argv[1:], len(device), chosen))
    quiet = int(os.environ.get("RANK", "0")) > 0
    if quiet:  # until the process ends
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    output = Output(json, errors_only=quiet)
    watchdog.on_lost = lambda text: _print_last_error(output, text)
    try:
        with memory_errors_explained():
            work(output)
    except (Exception, KeyboardInterrupt) as error:
        if one_of_several():
            _leave_others(error, output)
        raise
    leave_process_group()


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
def ending_at_once(output: Output, message: str) -> Iterator[None]:
    """End the work at once at Ctrl-C or SIGTERM, with a message."""
    caught: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        caught.append(number)
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    except KeyboardInterrupt:
        output.say(message)
        raise typer.Exit(128 + caught[0]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
