"""Print messages, tables, progress and results: to a terminal, to a pipe, or as JSON.

On a terminal, rich draws. In a pipe there are plain lines without color codes and bars. With
``json=True``, standard output gets exactly one JSON object and everything else goes to standard
error; with ``events=True``, standard output gets one line of JSON per event. Text from users or
data is never read as markup, and its control characters never reach the terminal.
"""

import json as json_module
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

from icdcli.io.files import json_values
from icdcli.io.progress import Progress
from icdcli.report.formatting import plain
from icdcli.report.progress import BarProgress, LineProgress, ProgressView


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    if hasattr(stream, "reconfigure"):
        # A character that the terminal's encoding lacks must not end a run.
        stream.reconfigure(errors="backslashreplace")
    on_terminal = stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
    return Console(
        stderr=stderr,
        markup=False,
        highlight=False,
        emoji=False,
        force_interactive=on_terminal,
        width=_size_instead_of("COLUMNS", 20, 80),
        height=_size_instead_of("LINES", 5, 25),
    )


def _size_instead_of(variable: str, smallest: int, usual: int) -> int | None:
    """Return the usual size if a variable sets one that nothing fits in; else None.

    Containers, web terminals and job runners set 0 if they don't know the size. rich would then
    print nothing, not even errors.
    """
    value = os.environ.get(variable, "")
    return usual if value.isdecimal() and int(value) < smallest else None


class Output:
    """The output of a command: messages, tables, progress and the result.

    Attributes:
        json: True if standard output is reserved for JSON.
        events: True if it gets one line of JSON per event.
        console: The console that messages and tables are printed on.
    """

    def __init__(self, json: bool = False, errors_only: bool = False, events: bool = False) -> None:
        """Open the output.

        Args:
            json: Reserve standard output for one JSON object.
            errors_only: Print nothing but errors, as all but one of several processes do.
            events: Reserve standard output for one line of JSON per event.
        """
        json = json or events
        self.json, self.events = json, events
        self._errors_only = errors_only
        self.console = _console(stderr=json)
        self.console.quiet = errors_only
        self._errors = _console(stderr=True)
        self._view: Live | None = None
        self._result_given = False

    @property
    def live(self) -> bool:
        """Return True if the output is a terminal on which views can be redrawn."""
        return self.console.is_interactive and not self.console.quiet

    def say(self, text: object) -> None:
        """Print a message; in a pipe, lines aren't wrapped."""
        self.console.print(plain(text), soft_wrap=not self.live)

    def show(self, renderable: RenderableType) -> None:
        """Print a table or another rich renderable; in a pipe, without trailing blanks."""
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
        self.event("warning", {"message": str(text)})
        if not self._errors_only:
            self._alert("warning: ", text, "yellow")

    def error(self, text: object) -> None:
        """Print an error to standard error."""
        self._alert("error: ", text, "bold red")

    def result(self, mapping: Mapping[str, Any]) -> None:
        """Write the result of the command as a JSON object to standard output, if ``json`` is set.

        Args:
            mapping: Values of JSON types, paths, and NumPy scalars and arrays; NaN becomes null.
        """
        if not self.json:
            return
        if self._result_given:
            raise RuntimeError("a command gives one result")
        self._result_given = True
        if self.events:
            self.event("result", mapping)
            return
        sys.stdout.write(json_module.dumps(json_values(mapping), indent=2, allow_nan=False) + "\n")
        sys.stdout.flush()

    def event(self, name: str, values: Mapping[str, Any]) -> None:
        """Write an event as a line of JSON to standard output, if ``events`` is set.

        Args:
            name: The name of the event.
            values: As `result` takes them.
        """
        if not self.events or self._errors_only:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"event": name, "time": now, **json_values(values)}
        sys.stdout.write(json_module.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        sys.stdout.flush()

    @contextmanager
    def progress(
        self, description: str, total: int | None = None, unit: str = ""
    ) -> Iterator[ProgressView]:
        """Show the progress of some work, if it takes longer than two seconds.

        Args:
            description: The work, e.g. ``Reading NOTEEVENTS``.
            total: The amount of work; None if it isn't known (yet).
            unit: The unit of the amount, e.g. ``documents``; ``bytes`` are shown as kB, MB, GB.

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
            # Erase the view if the bar was never shown.
            view.transient = not bar.visible
            bar.close()

    @contextmanager
    def stages(self) -> Iterator[Progress]:
        """Yield a progress callback that shows one stage after another.

        A stage is shown if it takes longer than two seconds.
        """
        with ExitStack() as stack:
            bars: dict[str, ProgressView] = {}

            def on_progress(
                stage: str, done: int, total: int, unit: str = "documents", note: str = ""
            ) -> None:
                if stage not in bars:
                    stack.close()
                    bars.clear()
                    bars[stage] = stack.enter_context(self.progress(stage, total or None, unit))
                bars[stage].update(done, total or None, note)

            yield on_progress

    @contextmanager
    def waiting(self, words: str) -> Iterator[None]:
        """Show on a terminal, from the first moment on, what the user waits for."""
        with self.console.status(words) if self.live else nullcontext():
            yield

    @contextmanager
    def watch(self, renderable: RenderableType) -> Iterator[Live]:
        """Keep a renderable on the terminal, redrawn below everything printed in the meantime."""
        with Live(renderable, console=self.console, refresh_per_second=4) as view:
            self._view = view
            try:
                yield view
            finally:
                self._view = None

    def _alert(self, label: str, text: object, style: str) -> None:
        # A second console would write into a live view on the same terminal.
        console = self._errors if self._view is None or self._errors_only else self.console
        console.print(plain(label, style) + plain(text), soft_wrap=not console.is_interactive)
