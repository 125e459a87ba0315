"""The one place that prints: for a person on a terminal, for a pipe, and for a program that asked for JSON.

On a terminal rich draws; in a pipe there are plain lines without colour codes and bars. With ``json=True`` standard
output carries exactly one JSON object and everything else goes to standard error. Text that comes from users or data is
never read as markup, and its control characters never reach the terminal.
"""

import json as json_module
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

from icdcli.report.formatting import plain
from icdcli.report.progress import BarProgress, LineProgress, ProgressView


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    if hasattr(stream, "reconfigure"):
        # A name that the terminal's encoding lacks must not end a run.
        stream.reconfigure(errors="backslashreplace")
    on_terminal = stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
    return Console(
        stderr=stderr, markup=False, highlight=False, emoji=False, force_interactive=on_terminal
    )


def _jsonable(value: Any) -> Any:
    """The same value of JSON's types; NaN and the infinities, which JSON lacks, become null."""
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if hasattr(value, "tolist"):  # numpy's scalars and arrays, without importing numpy
        return _jsonable(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


class Output:
    """Where a command's messages, tables, progress and result go.

    Attributes:
        json: Whether standard output is kept for one JSON object.
        console: Where messages and tables go.
    """

    def __init__(self, json: bool = False) -> None:
        self.json = json
        self.console = _console(stderr=json)
        self._errors = _console(stderr=True)
        self._view: Live | None = None
        self._result_given = False

    @property
    def live(self) -> bool:
        """Whether someone is watching a terminal on which views may be redrawn."""
        return self.console.is_interactive

    def say(self, text: object) -> None:
        """Print a message; a line stays one line in a pipe."""
        self.console.print(plain(text), soft_wrap=not self.live)

    def show(self, renderable: RenderableType) -> None:
        """Print a table or anything else that rich renders; without the blanks at lines' ends in a pipe."""
        if self.live:
            self.console.print(renderable)
            return
        with self.console.capture() as capture:
            self.console.print(renderable)
        self.console.file.write(
            "".join(line.rstrip() + "\n" for line in capture.get().splitlines())
        )

    def warn(self, text: object) -> None:
        """Print a warning to standard error."""
        self._alert("warning: ", text, "yellow")

    def error(self, text: object) -> None:
        """Print an error to standard error."""
        self._alert("error: ", text, "bold red")

    def result(self, mapping: Mapping[str, Any]) -> None:
        """Write the command's result as the one JSON object on standard output; without ``json`` do nothing.

        Args:
            mapping: Values of JSON's types, paths, or numpy's scalars and arrays; NaN is written as null.
        """
        if not self.json:
            return
        if self._result_given:
            raise RuntimeError("a command gives one result")
        self._result_given = True
        sys.stdout.write(json_module.dumps(_jsonable(mapping), indent=2, allow_nan=False) + "\n")
        sys.stdout.flush()

    @contextmanager
    def progress(
        self, description: str, total: int | None = None, unit: str = ""
    ) -> Iterator[ProgressView]:
        """Show how far something is, once it has taken two seconds.

        Args:
            description: What is being done, e.g. ``Reading NOTEEVENTS``.
            total: How much there is to do; None where it isn't known (yet).
            unit: What is counted, e.g. ``documents``; ``bytes`` are written as kB, MB, GB.

        Yields:
            An object with ``update(done, total=None)``.
        """
        if not self.live or self._view is not None:
            lines = LineProgress(self.say, description, total, unit)
            yield lines
            lines.close()
            return
        bar = BarProgress(description, total, unit)
        with self.watch(bar) as view:
            yield bar
            # What was never seen leaves nothing behind.
            view.transient = not bar.visible
            bar.close()

    @contextmanager
    def watch(self, renderable: RenderableType) -> Iterator[Live]:
        """Keep a renderable on the terminal, redrawn below whatever else is printed meanwhile."""
        with Live(renderable, console=self.console, refresh_per_second=4) as view:
            self._view = view
            try:
                yield view
            finally:
                self._view = None

    def _alert(self, label: str, text: object, style: str) -> None:
        # Beside a live view on the same terminal a second console would write into it.
        console = self.console if self._view is not None else self._errors
        console.print(plain(label, style) + plain(text), soft_wrap=not console.is_interactive)
