"""Progress of long work: a bar on a terminal, a line now and then elsewhere.

Both estimate the remaining time from the mean speed so far, and show nothing for the first two
seconds.
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
    """The progress of some work, as the code that does the work sees it."""

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Set the amount done, the total if it became known, and a note for the user."""


def seconds_left(elapsed: float, done: int, total: int | None) -> float | None:
    """Return the remaining time at the mean speed so far; None if it can't be estimated."""
    return (
        elapsed * (total - done) / done
        if done > 0 and total is not None and total >= done
        else None
    )


class _Counter:
    """The state that bar and lines share: the count, the clock and their texts."""

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
        """Return the amount done, the speed if bytes are counted, and the note."""
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
        """Return the seconds over which the mean speed is computed."""
        return self.elapsed

    def time_left(self) -> str:
        left = seconds_left(self.elapsed, self.done, self.total)
        return f"{duration(self.elapsed)} so far" if left is None else f"{duration(left)} left"

    def _count(self, done: int, total: int | None, note: str) -> None:
        self.done, self.note = done, note
        if total is not None:
            self.total = total


class LineProgress(_Counter):
    """Progress as plain lines.

    The first comes after two seconds, then at most one every ten seconds; if there was any, a last
    one at the end.
    """

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
        """Set the amount done, and print a line if one is due."""
        self._count(done, total, note)
        if self.elapsed >= self._next:
            self._next = self.elapsed + LINE_INTERVAL
            self._say(f"{self.description}: {self.amount()}, {self.time_left()}")

    def close(self) -> None:
        """Print how long it took, if anything was printed before."""
        if self._next > PATIENCE:
            self._say(f"{self.description}: done, {self.amount()} in {duration(self.elapsed)}")


class BarProgress(_Counter):
    """Progress as a renderable bar that appears after two seconds."""

    def __init__(
        self, description: str, total: int | None, unit: str, clock: Clock = time.monotonic
    ) -> None:
        super().__init__(description, total, unit, clock)
        self._took: float | None = None

    @property
    def visible(self) -> bool:
        """Return True if the work has taken long enough to be shown."""
        return self.elapsed >= PATIENCE

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Set the amount done; the next redraw shows it."""
        self._count(done, total, note)

    def close(self) -> None:
        """Show how long it took from now on."""
        self._took = self.elapsed

    def seconds(self) -> float:
        """Return the seconds over which the mean speed is computed; they end with the work."""
        return self.elapsed if self._took is None else self._took

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.visible:
            end = self.time_left() if self._took is None else duration(self._took)
            yield bar_line(self.description, self.done, self.total, f"{self.amount()}  {end}")


def _bytes(values: list[int]) -> str:
    """Format byte counts as ``1.5/4.0 GB``, with the unit once if it is the same."""
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
    """Return one line: a description, a bar that fills the free width, and a text at the end."""
    line = Table.grid(padding=(0, 1), expand=True)
    line.add_column(max_width=28)
    line.add_column(ratio=1)
    line.add_column(no_wrap=True, justify="right")
    bar = ProgressBar(
        total=None if total is None else max(total, 1), completed=done, pulse=total is None
    )
    line.add_row(one_line(description), bar, plain(end))
    return line
