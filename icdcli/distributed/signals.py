"""Signals while training: the run stops at the next point at which it can be resumed.

Ctrl-C (SIGINT) and SIGTERM stop it; so do SIGUSR1, which schedulers send before the end of a job,
and SIGALRM, which the system sends after the time that `stop_after` sets.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from icdcli.errors import ConfigError

_NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGALRM")
STOP_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""The signals that stop a run; Windows has the first two."""
TIME_IS_UP = 14
"""The number of SIGALRM."""


def stop_after(seconds: float) -> None:
    """Let this process receive SIGALRM after some time.

    Raises:
        ConfigError: If the system has no such timer.
    """
    if not hasattr(signal, "setitimer"):
        raise ConfigError("--stop-after: this system has no timer for it. Leave it out.")
    signal.setitimer(signal.ITIMER_REAL, seconds)


def reason_of(number: int) -> str:
    """Return why a signal stopped a run, in words."""
    if number == TIME_IS_UP:
        return "interrupted because its time was up"
    return f"interrupted by {signal.Signals(number).name}"


class StopSignals:
    """A context manager that catches `STOP_SIGNALS`.

    It catches nothing outside the main thread, because Python allows no signal handlers there.

    Args:
        on_second_signal: Called with the number of a second signal, for a user who can't wait;
            `KeyboardInterrupt` is raised if it is None.
        at_once: Raise `KeyboardInterrupt` at the first signal, for work that can't be resumed
            anyway.

    Attributes:
        number: The first signal that arrived, 0 before.
    """

    def __init__(
        self, on_second_signal: Callable[[int], None] | None = None, at_once: bool = False
    ) -> None:
        self.number = 0
        self._on_second_signal, self._at_once = on_second_signal, at_once
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._catch) for number in STOP_SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _catch(self, number: int, _: FrameType | None) -> None:
        first = not self.number
        if first:
            self.number = number
        if self._at_once or (not first and self._on_second_signal is None):
            raise KeyboardInterrupt
        if not first and self._on_second_signal is not None:
            self._on_second_signal(number)
