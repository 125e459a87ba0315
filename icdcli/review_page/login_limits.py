"""Limit attempts to sign in: by name and address together, by address, and by name."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

_MOST_KEYS = 20_000


@dataclass(frozen=True)
class AttemptLimits:
    """How many attempts fail before the next one has to wait.

    Attributes:
        seconds: The time in which attempts are counted.
        pair: The attempts for one name from one address.
        address: The attempts from one address.
        name: The attempts for one name from all addresses. It is high, so that a stranger can't
            easily keep a person out.
    """

    seconds: float = 300.0
    pair: int = 5
    address: int = 30
    name: int = 100


class LoginLimiter:
    """Count attempts to sign in; safe for several threads."""

    def __init__(
        self,
        limits: AttemptLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits, self._clock = limits or AttemptLimits(), clock
        self._attempts: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()
        self._lock = Lock()

    def begin(self, name: str, address: str) -> float:
        """Count an attempt before the password is checked.

        Many at the same time are limited like many one after the other.

        Returns:
            The seconds to wait; 0: the password may be checked. An attempt that has to wait isn't
            counted.
        """
        now = self._clock()
        with self._lock:
            waits = [self._wait(key, most, now) for key, most in self._keys(name, address)]
            if max(waits) > 0:
                return max(waits)
            for key, _ in self._keys(name, address):
                self._attempts.setdefault(key, deque()).append(now)
                self._attempts.move_to_end(key)
            while len(self._attempts) > _MOST_KEYS:
                self._attempts.popitem(last=False)
        return 0.0

    def succeeded(self, name: str, address: str) -> None:
        """Forget the attempts of a person who has signed in."""
        pair, of_address, of_name = (key for key, _ in self._keys(name, address))
        with self._lock:
            self._attempts.pop(pair, None)
            for key in (of_address, of_name):
                if attempts := self._attempts.get(key):
                    attempts.pop()

    def _keys(self, name: str, address: str) -> tuple[tuple[tuple[str, str], int], ...]:
        return (
            ((name, address), self._limits.pair),
            (("", address), self._limits.address),
            ((name, ""), self._limits.name),
        )

    def _wait(self, key: tuple[str, str], most: int, now: float) -> float:
        attempts = self._attempts.get(key)
        if attempts is None:
            return 0.0
        while attempts and attempts[0] <= now - self._limits.seconds:
            attempts.popleft()
        return attempts[0] + self._limits.seconds - now if len(attempts) >= most else 0.0
