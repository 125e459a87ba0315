"""What `train` and `resume` share: the processes, the signals, and a run followed to its end."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from icdcli.config import LogConfig
from icdcli.report.console import Output
from icdcli.run_dir import RunDir, read_rows

if TYPE_CHECKING:
    from icdcli.data.corpus import Corpus
    from icdcli.training.state import Training


def in_all_processes(device: str | list[int], port: int, work: Callable[[Output], None], json: bool) -> None:
    """Do the work here, or in one process a GPU where several are asked for; rank 0 alone speaks."""
    from icdcli.training.distributed import find_device, launch, leave_world, must_launch

    if must_launch(device):
        find_device(device)  # one message here rather than one a process
        raise typer.Exit(launch(sys.argv[1:], len(device), port))
    quiet = int(os.environ.get("RANK", "0")) > 0
    if quiet:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (for the life of the process)
    try:
        work(Output(json))
    finally:
        leave_world()


def follow(training: "Training", run: RunDir, corpus: "Corpus", log: LogConfig, output: Output) -> None:
    """Run the training to its end, everything that it tells put on disk and on the screen."""
    from icdcli.report.plots import learning_curves_png
    from icdcli.report.training_view import TrainingView
    from icdcli.training.events import Evaluated, Stopped
    from icdcli.training.loop import train
    from icdcli.training.record import record

    titles = corpus.labels.known_titles
    view = TrainingView(output, patience=training.config.patience, common=log.common, metrics=log.metrics, titles=titles)
    result: dict[str, Any] = {"run": run.root}
    with stopping_at_a_signal(training) as caught, view:
        for event in record(train(training), run, training, corpus.folder.name):
            view.handle(event)
            if isinstance(event, Evaluated) and training.world.first:
                rows = [{name: float(value or "nan") for name, value in row.items()} for row in read_rows(run.results)]
                learning_curves_png(rows, [*log.common, *log.metrics], run.learning_curves)
                result |= {"epoch": event.epoch, "validation_loss": event.validation_loss, "metrics": event.metrics}
            if isinstance(event, Stopped):
                result |= {"step": event.step, "stopped": event.reason, "finished": event.finished}
    output.say(f"Results: {run.results}\nWeights: {run.root / 'weights'}")
    output.say(f"Next: icdcode {'evaluate' if result['finished'] else 'resume'} {run.root}")
    output.result(result)
    if caught:
        raise typer.Exit(128 + caught[0])


@contextmanager
def stopping_at_a_signal(training: "Training") -> Iterator[list[int]]:
    """Let Ctrl-C and SIGTERM end the run after the step under way; a second signal ends it at once.

    Yields:
        The signals that came.
    """
    caught: list[int] = []

    def take(number: int, frame: FrameType | None) -> None:
        if caught:
            os._exit(128 + number)
        caught.append(number)

    training.stop_requested = lambda: signal.Signals(caught[0]).name if caught else None
    before = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
