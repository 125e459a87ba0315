"""Handlers, messages and exit of the commands that train: `train`, `resume` and `demo`."""

import re
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import typer

from icdcli.cli.processes import AGAIN, ending_at_once
from icdcli.config.schema import Config
from icdcli.errors import ConfigError, in_shell
from icdcli.report.console import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icdcli.distributed.process_group import ProcessGroup
    from icdcli.io.progress import Progress
    from icdcli.report.views.training import TrainingView
    from icdcli.training.events import Handler, TrainingResult
    from icdcli.training.run import TrainingPlan


_TIME = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?:in)?)?(?:(\d+)s)?")
_SECONDS = (86_400, 3_600, 60, 1)


def seconds_of(time: str) -> int:
    """Return the seconds of ``3h50m``.

    Raises:
        ConfigError: If it is no time.
    """
    found = _TIME.fullmatch(time.replace(" ", ""))
    numbers = [int(number or 0) for number in found.groups()] if found else [0]
    seconds = sum(number * each for number, each in zip(numbers, _SECONDS, strict=False))
    if not seconds:
        raise ConfigError(
            f"--stop-after {time}: should be a time of days, hours, minutes and seconds, such as "
            "3h50m, 90min or 1d."
        )
    return seconds


def time_limit(stop_after: str | None, resumes: bool = True) -> int | None:
    """Return the seconds of ``--stop-after``; None: it isn't given.

    Args:
        stop_after: Its value.
        resumes: Whether the same command, when it is run again, resumes the run.

    Raises:
        ConfigError: If it is no time, or the same command would start another run.
    """
    if stop_after is not None and not resumes:
        raise ConfigError(
            f"--stop-after {stop_after}: needs --resume-if-exists, with which the same command "
            "resumes the run. Give both."
        )
    return None if stop_after is None else seconds_of(stop_after)


def require_one_output(json: bool, events: str | None) -> None:
    """Raise a `ConfigError` if two options need standard output."""
    if json and events:
        raise ConfigError("--json and --events: both are for standard output. Give one of them.")


def stopping(
    output: Output, seconds: int | None, again: bool = False
) -> AbstractContextManager[None]:
    """Return a context in which the work ends at a signal before training begins.

    Args:
        output: The output of the command.
        seconds: The time after which the system sends a signal; None: never.
        again: Whether the exit code is `AGAIN` after any signal.
    """
    from icdcli.distributed.signals import stop_after

    if seconds is not None:
        stop_after(seconds)
    again_too = "Run the same command again." if again else "Nothing was lost."
    return ending_at_once(output, f"Stopped outside of the training. {again_too}", again)


def training_view(output: Output, process_group: "ProcessGroup") -> "TrainingView":
    """Return the handler that shows a run, with the memory in use on its device."""
    from icdcli.distributed.hardware import memory_in_use
    from icdcli.report.views.training import TrainingView

    return TrainingView(output, memory=lambda: memory_in_use(process_group.device))


def handlers(
    view: "TrainingView", process_group: "ProcessGroup", output: Output | None = None
) -> "list[Handler]":
    """Return the handlers of a run: the view and, in the main process, the writer of plots.

    With an output whose standard output is for events, there is a third that writes them.
    """
    from icdcli.report.event_lines import EventLines
    from icdcli.report.plots.run import RunPlots

    lines = [EventLines(output)] if output is not None and output.events else []
    return [view, *lines, *([RunPlots()] if process_group.is_main else [])]


def on_progress_of(handlers: "Sequence[Handler]") -> "Progress":
    """Return a function that passes progress on to the handlers that show it."""
    shown: list[Progress] = [one.on_progress for one in handlers if hasattr(one, "on_progress")]

    def on_progress(
        stage: str, done: int, total: int, unit: str = "documents", note: str = ""
    ) -> None:
        for show in shown:
            show(stage, done, total, unit, note)

    return on_progress


def show_dry_run(plan: "TrainingPlan", output: Output) -> dict[str, Any]:
    """Print the size of a planned run, and return it as the result."""
    from icdcli.report.views.training import summary_text

    output.say(summary_text(plan.summary))
    return {"dry_run": True, **plan.summary.to_json(), "written": plan.written}


def end_dry_run(plan: "TrainingPlan", output: Output) -> None:
    """Print what a dry run has left on the disk."""
    if not plan.written:
        output.say("Dry run: nothing was trained or written.")
        return
    output.say("Dry run: nothing was trained. Written, and used again by the training:")
    for folder in plan.written:
        output.say(f"  {folder}")


def conclude(
    result: "TrainingResult",
    config: Config,
    output: Output,
    process_group: "ProcessGroup",
    again: bool = False,
) -> None:
    """Print the paths of the results and the next command, and exit if a signal stopped the run.

    Args:
        result: The result.
        config: The configuration of the run.
        output: The output of the command.
        process_group: The processes.
        again: Whether the exit code after a signal is `AGAIN`.
    """
    from icdcli.distributed.signals import TIME_IS_UP

    run = result.run
    if config.model.is_baseline and not result.finished:
        output.say(
            f"Stopped before anything was saved. Start over: icdcode train {in_shell(run.args)}"
        )
    else:
        output.say(f"Results: {run.results}\nWeights: {run.root / 'weights'}")
        if result.finished and result.metrics is None:
            longer = {"steps": config.train.steps, "patience": config.train.patience}
            key = "steps" if result.step >= longer["steps"] else "patience"
            output.say(
                "This run was already finished. To continue it: "
                f"icdcode resume {in_shell(run.root)} {key}={2 * longer[key]}"
            )
        following = "evaluate" if result.finished else "resume"
        output.say(f"Next: icdcode {following} {in_shell(run.root)}")
        output.result(result.to_json())
    if result.signal is not None:
        # A launcher ends the others when one exits; the main process may still be printing.
        process_group.wait()
        again = again or result.signal == TIME_IS_UP
        raise typer.Exit(AGAIN if again else 128 + result.signal)


def leave_at_once(number: int) -> None:
    """End this process without saving, at a second signal."""
    from icdcli.distributed.process_group import leave_others

    leave_others(128 + number)
