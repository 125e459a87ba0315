"""What `train` and `resume` share: the processes, the signals, and a run followed to its end."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import typer

from icdcli.cli.common import showing
from icdcli.config.schema import Config
from icdcli.errors import IcdcodeError
from icdcli.io.files import writing
from icdcli.report.console import Output
from icdcli.run_dir import RunDir, read_rows

if TYPE_CHECKING:
    import torch

    from icdcli.distributed.process_group import ProcessGroup
    from icdcli.io.progress import Progress
    from icdcli.report.views.training import TrainingView
    from icdcli.training.events import Event, Prepared, TrainingSummary
    from icdcli.training.run import TrainingResult


def in_all_processes(
    device: str | list[int], port: int, work: Callable[[Output], None], json: bool
) -> None:
    """Do the work here, or in one process a GPU where several are asked for; rank 0 alone speaks.

    A process of several that fails says why itself, and ends at once, and so do the others.
    """
    from icdcli.distributed import watchdog as lifeline
    from icdcli.distributed.process_group import (
        find_device,
        free_port,
        launch,
        leave_process_group,
        must_launch,
        one_of_several,
    )

    if must_launch(device):
        find_device(device)  # one message here rather than one a process
        chosen = free_port(port)
        if chosen != port:
            Output(json).say(f"port {port} is taken; the processes meet at {chosen}")
        raise typer.Exit(launch(sys.argv[1:], len(device), chosen))
    quiet = int(os.environ.get("RANK", "0")) > 0
    if quiet:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (for the life of the process)
    output = Output(json)
    lifeline.say_lost = lambda text: _say_at_last(output, text)
    try:
        work(output)
    except (Exception, KeyboardInterrupt) as error:
        if one_of_several():
            _leave_others(error, output)
        raise
    leave_process_group()


def _leave_others(error: BaseException, output: Output) -> None:
    """End a process that the others can't go on without: with its own message, unless it fails since another is gone."""
    from icdcli.distributed.process_group import leave_others, other_is_lost

    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the launcher's, which may come before the words
    code = 1
    if isinstance(error, typer.Exit):
        code = error.exit_code
    elif isinstance(error, KeyboardInterrupt):
        code = 128 + signal.SIGINT
    elif isinstance(error, IcdcodeError):
        code = error.exit_code
        # What is wrong for all is said by the first.
        if os.environ["RANK"] == "0" or not other_is_lost(wait=0.5):
            _say_at_last(output, error)
    elif other_is_lost(wait=1):
        time.sleep(60)  # the process is ended while it waits here
    else:
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    leave_others(code)


def _say_at_last(output: Output, text: object) -> None:
    output.error(text)
    output.console.show_cursor()  # a live view hides it


class TrainingScreen:
    """A handler that shows a run on the screen: progress of the preparation, summary, live view.

    Args:
        output: Where to show it.
        device: The device whose memory is shown.
    """

    def __init__(self, output: Output, device: "torch.device") -> None:
        self._output, self._device = output, device
        self._bars, self._stack = ExitStack(), ExitStack()
        self._progress: Progress | None = None
        self._view: TrainingView | None = None

    def on_progress(
        self, stage: str, done: int, total: int, unit: str = "documents", note: str = ""
    ) -> None:
        """Show how far the preparation is."""
        if self._progress is None:
            self._progress = self._bars.enter_context(showing(self._output))
        self._progress(stage, done, total, unit, note)

    def handle(self, event: "Event") -> None:
        """Show an event."""
        from icdcli.training.events import Prepared, Started

        if isinstance(event, Prepared):
            self._close_bars()
            self._prepare(event)
        elif self._view is not None:
            if isinstance(event, Started):
                self._close_bars()
                self._stack.enter_context(self._view)
            self._view.handle(event)

    def close(self) -> None:
        """Close the progress bars and the live view."""
        self._close_bars()
        self._stack.close()

    def _close_bars(self) -> None:
        self._bars.close()
        self._progress = None

    def _prepare(self, event: "Prepared") -> None:
        from icdcli.distributed.hardware import memory_in_use
        from icdcli.report.views.training import TrainingView

        show_summary(event.summary, self._output)
        if event.summary.resumed is None:
            self._output.say(f"run        {event.run}")
        for path in event.set_aside:
            self._output.say(f"{'':<10} {path}")
        log, tfidf = event.config.log, event.config.model.is_baseline
        self._view = TrainingView(
            self._output,
            patience=0 if tfidf else event.config.train.patience,
            common=[name for name in log.common if not tfidf or name not in ("train_loss", "lr")],
            metrics=log.metrics,
            titles=event.titles,
            memory=lambda: memory_in_use(self._device),
        )


class RunPictures:
    """A handler that draws the learning-rate schedule and, after each validation, the learning curves."""

    def __init__(self) -> None:
        self._prepared: Prepared | None = None

    def handle(self, event: "Event") -> None:
        """Draw what an event changes."""
        from icdcli.report.plots.run import learning_curves_png, lr_schedule_png
        from icdcli.training.events import Evaluated, Prepared
        from icdcli.training.schedule import schedule_points

        if isinstance(event, Prepared):
            self._prepared = event
            resumed, run = event.summary.resumed, RunDir(event.run)
            if not event.config.model.is_baseline and (resumed is None or resumed.changes):
                with writing(run.lr_schedule):
                    lr_schedule_png(*schedule_points(event.config.train), run.lr_schedule)
        elif isinstance(event, Evaluated) and self._prepared is not None:
            config, run = self._prepared.config, RunDir(self._prepared.run)
            if config.model.is_baseline:  # one validation is no curve
                return
            rows = [
                {name: float(value or "nan") for name, value in row.items()}
                for row in read_rows(run.results)
            ]
            with writing(run.learning_curves):
                learning_curves_png(
                    rows, [*config.log.common, *config.log.metrics], run.learning_curves
                )

    def close(self) -> None:
        """Do nothing: each picture is complete."""


def show_summary(summary: "TrainingSummary", output: Output) -> None:
    """Print the size of a run, one line for each part."""
    output.say("\n".join(f"{name:<10} {value}" for name, value in summary.to_json().items()))


def conclude(
    result: "TrainingResult", config: Config, output: Output, process_group: "ProcessGroup"
) -> None:
    """Print where the results of a run are and which command comes next, and exit if a signal stopped it."""
    run = result.run
    if config.model.is_baseline and not result.finished:
        output.say(f"Stopped; nothing of it is kept. Start over with: icdcode train {run.args}")
    else:
        output.say(f"Results: {run.results}\nWeights: {run.root / 'weights'}")
        if result.finished and result.metrics is None:
            longer = {"steps": config.train.steps, "patience": config.train.patience}
            key = "steps" if result.step >= longer["steps"] else "patience"
            output.say(
                f"This run was already finished. To continue it: icdcode resume {run.root} {key}={2 * longer[key]}"
            )
        output.say(f"Next: icdcode {'evaluate' if result.finished else 'resume'} {run.root}")
        output.result(result.to_json())
    if result.signal is not None:
        process_group.wait()  # a launcher ends the others once one exits, and the main process may still print
        raise typer.Exit(128 + result.signal)


def leave_at_once(number: int) -> None:
    """End this process at a second signal."""
    from icdcli.distributed.process_group import leave_others

    leave_others(128 + number)


@contextmanager
def ending_at_once(output: Output, words: str) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the work at once, with a word about what is kept."""
    caught: list[int] = []

    def take(number: int, special_tokens: FrameType | None) -> None:
        caught.append(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        output.say(words)
        raise typer.Exit(128 + caught[0]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
