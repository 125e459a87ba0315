"""How far something is: a bar on a terminal, an occasional line elsewhere.

Both estimate the time left from the mean speed so far, and stay silent for what is done within two seconds.
"""

import time
from collections.abc import Callable
from typing import Protocol

from rich.console import Console, ConsoleOptions, RenderResult
from rich.filesize import decimal
from rich.progress_bar import ProgressBar
from rich.table import Table

from icdcli.report.formatting import duration, one_line, plain

PATIENCE = 2.0
"""Seconds after which progress is worth showing."""
LINE_INTERVAL = 10.0
"""Seconds between two plain lines."""

Clock = Callable[[], float]


class ProgressView(Protocol):
    """What whoever does the work sees."""

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Tell how much is done and, where it is only now known, how much there is; and what else is worth knowing."""


def seconds_left(elapsed: float, done: int, total: int | None) -> float | None:
    """The time left at the mean speed so far; None where it can't be told."""
    return (
        elapsed * (total - done) / done
        if done > 0 and total is not None and total >= done
        else None
    )


class _Counter:
    """What bar and lines have in common: the count, the clock and the words for both."""

    def __init__(self, description: str, total: int | None, unit: str, clock: Clock) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done = 0
        self.note = ""
        self._clock = clock
        self._start = clock()

    @property
    def elapsed(self) -> float:
        return self._clock() - self._start

    def amount(self) -> str:
        """How much is done, at what speed where bytes are counted, and the note."""
        values = [self.done] if self.total is None else [self.done, self.total]
        if self.unit == "bytes":
            parts = [_bytes(values), _speed(self.done, self.seconds()), self.note]
        else:
            parts = [
                f"{'/'.join(f'{value:,}' for value in values)} {self.unit}".rstrip(),
                self.note,
            ]
        return ", ".join(filter(None, parts))

    def seconds(self) -> float:
        """The time that the speed is the mean over."""
        return self.elapsed

    def time_left(self) -> str:
        left = seconds_left(self.elapsed, self.done, self.total)
        return f"{duration(self.elapsed)} so far" if left is None else f"{duration(left)} left"

    def _count(self, done: int, total: int | None, note: str) -> None:
        self.done, self.note = done, note
        if total is not None:
            self.total = total


class LineProgress(_Counter):
    """Plain lines: the first after two seconds, then one every ten at most, and one at the end where there was any."""

    def __init__(
        self,
        say: Callable[[str], None],
        description: str,
        total: int | None,
        unit: str,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(description, total, unit, clock)
        self._say = say
        self._next = PATIENCE

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Count, and say so where it is time."""
        self._count(done, total, note)
        if self.elapsed >= self._next:
            self._next = self.elapsed + LINE_INTERVAL
            self._say(f"{self.description}: {self.amount()}, {self.time_left()}")

    def close(self) -> None:
        """Say how long it took, where anything was said before."""
        if self._next > PATIENCE:
            self._say(f"{self.description}: done, {self.amount()} in {duration(self.elapsed)}")


class BarProgress(_Counter):
    """A renderable that is empty for two seconds and then a bar."""

    def __init__(
        self, description: str, total: int | None, unit: str, clock: Clock = time.monotonic
    ) -> None:
        super().__init__(description, total, unit, clock)
        self._took: float | None = None

    @property
    def visible(self) -> bool:
        """Whether it has taken long enough to be shown."""
        return self.elapsed >= PATIENCE

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Count; whoever draws sees it at the next redraw."""
        self._count(done, total, note)

    def close(self) -> None:
        """From now on show how long it took."""
        self._took = self.elapsed

    def seconds(self) -> float:
        """The time that the speed is the mean over; it stops with the work."""
        return self.elapsed if self._took is None else self._took

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.visible:
            end = self.time_left() if self._took is None else duration(self._took)
            yield bar_line(self.description, self.done, self.total, f"{self.amount()}  {end}")


def _bytes(values: list[int]) -> str:
    """``1.5/4.0 GB``, the unit once where both have the same."""
    amounts = [decimal(value) for value in values]
    units = {amount.split()[-1] for amount in amounts}
    return (
        "/".join(amounts)
        if len(units) > 1
        else "/".join(amount.split()[0] for amount in amounts) + f" {units.pop()}"
    )


def _speed(done: int, seconds: float) -> str:
    if seconds == 0:
        return ""
    number, unit = decimal(int(done / seconds)).split()
    return f"{round(float(number.replace(',', '')))} {unit}/s"


def bar_line(description: str, done: int, total: int | None, end: str) -> Table:
    """One line: what, a bar that takes the room there is, and words after it."""
    line = Table.grid(padding=(0, 1), expand=True)
    line.add_column(max_width=28)
    line.add_column(ratio=1)
    line.add_column(no_wrap=True, justify="right")
    bar = ProgressBar(
        total=None if total is None else max(total, 1), completed=done, pulse=total is None
    )
    line.add_row(one_line(description), bar, plain(end))
    return line
