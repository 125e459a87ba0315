"""Handlers, messages and exit of the commands that train: `train`, `resume` and `demo`."""

from typing import TYPE_CHECKING, Any

import typer

from icdcli.config.schema import Config
from icdcli.report.console import Output

if TYPE_CHECKING:
    from icdcli.distributed.process_group import ProcessGroup
    from icdcli.report.views.training import TrainingView
    from icdcli.training.events import Handler, TrainingResult
    from icdcli.training.run import TrainingPlan


def training_view(output: Output, process_group: "ProcessGroup") -> "TrainingView":
    """Return the handler that shows a run, with the memory in use on its device."""
    from icdcli.distributed.hardware import memory_in_use
    from icdcli.report.views.training import TrainingView

    return TrainingView(output, memory=lambda: memory_in_use(process_group.device))


def handlers(view: "TrainingView", process_group: "ProcessGroup") -> "list[Handler]":
    """Return the handlers of a run: the view and, in the main process, the writer of plots."""
    from icdcli.report.plots.run import RunPlots

    return [view, *([RunPlots()] if process_group.is_main else [])]


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
    result: "TrainingResult", config: Config, output: Output, process_group: "ProcessGroup"
) -> None:
    """Print the paths of the results and the next command, and exit if a signal stopped the run."""
    run = result.run
    if config.model.is_baseline and not result.finished:
        output.say(f"Stopped before anything was saved. Start over: icdcode train {run.args}")
    else:
        output.say(f"Results: {run.results}\nWeights: {run.root / 'weights'}")
        if result.finished and result.metrics is None:
            longer = {"steps": config.train.steps, "patience": config.train.patience}
            key = "steps" if result.step >= longer["steps"] else "patience"
            output.say(
                "This run was already finished. To continue it: "
                f"icdcode resume {run.root} {key}={2 * longer[key]}"
            )
        output.say(f"Next: icdcode {'evaluate' if result.finished else 'resume'} {run.root}")
        output.result(result.to_json())
    if result.signal is not None:
        # A launcher ends the others when one exits; the main process may still be printing.
        process_group.wait()
        raise typer.Exit(128 + result.signal)


def leave_at_once(number: int) -> None:
    """End this process without saving, at a second signal."""
    from icdcli.distributed.process_group import leave_others

    leave_others(128 + number)
