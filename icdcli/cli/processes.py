"""What `train` and `resume` share: the processes, the signals, and a run followed to its end."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from icdcli.config.schema import Config
from icdcli.errors import IcdcodeError
from icdcli.io.files import writing
from icdcli.report.console import Output
from icdcli.run_dir import RunDir, read_rows

if TYPE_CHECKING:
    from icdcli.data.corpus.reader import Corpus
    from icdcli.training.state import Training


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


def follow(
    training: "Training", run: RunDir, corpus: "Corpus", config: Config, output: Output
) -> None:
    """Run the training to its end, everything that it tells put on disk, on the screen and into the trackers."""
    from icdcli.distributed.hardware import memory_in_use
    from icdcli.report.plots.run import learning_curves_png
    from icdcli.report.views.training import TrainingView
    from icdcli.training.events import Evaluated, Stopped
    from icdcli.training.loggers import Trackers
    from icdcli.training.loop import train
    from icdcli.training.recorder import record

    log, process_group = config.log, training.process_group
    view = TrainingView(
        output,
        patience=config.train.patience,
        common=log.common,
        metrics=log.metrics,
        titles=corpus.labels.known_titles,
        memory=lambda: memory_in_use(process_group.device),
    )
    trackers = Trackers(
        log.trackers if process_group.first else [], run.root, config.flat(), output.warn
    )
    result: dict[str, Any] = {"run": run.root}
    with stopping_at_a_signal(training) as caught, view, closing(trackers):
        for event in record(train(training), run, training, corpus.folder.name):
            view.handle(event)
            trackers.handle(event)
            if isinstance(event, Evaluated) and training.process_group.first:
                rows = [
                    {name: float(value or "nan") for name, value in row.items()}
                    for row in read_rows(run.results)
                ]
                with writing(run.learning_curves):
                    learning_curves_png(rows, [*log.common, *log.metrics], run.learning_curves)
                result |= {
                    "epoch": event.epoch,
                    "validation_loss": event.validation_loss,
                    "metrics": event.metrics,
                }
            if isinstance(event, Stopped):
                result |= {"step": event.step, "stopped": event.reason, "finished": event.finished}
    output.say(f"Results: {run.results}\nWeights: {run.root / 'weights'}")
    if result["finished"] and "metrics" not in result:
        longer = {"steps": training.config.steps, "patience": training.config.patience}
        key = "steps" if result["step"] >= longer["steps"] else "patience"
        output.say(
            f"This run was finished before. It would go on with: icdcode resume {run.root} {key}={2 * longer[key]}"
        )
    output.say(f"Next: icdcode {'evaluate' if result['finished'] else 'resume'} {run.root}")
    output.result(result)
    [signalled] = process_group.agree(
        max(caught, default=0)
    )  # also waits for what the first process saves
    if signalled:
        raise typer.Exit(128 + signalled)


@contextmanager
def stopping_at_a_signal(training: "Training") -> Iterator[list[int]]:
    """Let Ctrl-C and SIGTERM end the run after the step, or the batch of a validation, under way; a second signal at once.

    Yields:
        The signals that came.
    """
    from icdcli.distributed.process_group import leave_others

    caught: list[int] = []

    def take(number: int, special_tokens: FrameType | None) -> None:
        if caught:
            leave_others(128 + number)
        caught.append(number)

    training.stop_requested = lambda: signal.Signals(caught[0]).name if caught else None
    before = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
