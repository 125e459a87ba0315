"""``icdcode resume``: a run that goes on where it was."""

from collections.abc import Sequence
from contextlib import closing
from typing import Annotated, Literal

import typer

from icdcli.cli.common import DryRun, Json, Overrides, Port, Run
from icdcli.cli.processes import (
    RunPictures,
    TrainingScreen,
    conclude,
    in_all_processes,
    leave_at_once,
    show_summary,
)
from icdcli.config.loading import load_config
from icdcli.report.console import Output
from icdcli.run_dir import RunDir
from icdcli.training.allowed_changes import allowed_changes


def resume(
    run_dir: Run,
    overrides: Overrides = None,
    load: Annotated[
        Literal["metric", "loss", "last"], typer.Option(help="Which checkpoint to go on from.")
    ] = "last",
    port: Port = 10001,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Go on with a run from a checkpoint. Same folder; optimiser, schedule, best-so-far and patience are restored.

    Example: icdcode resume outputs/mimic3/automatic_coding --load last steps=80000
    """
    run = RunDir.open(run_dir)
    words = overrides or []
    config = load_config(run.args, words)
    allowed_changes(load_config(run.args), config)  # one message rather than one per process
    device = "cpu" if config.model.is_baseline else config.run.device
    in_all_processes(
        device, port, lambda output: resume_run(run, words, load, dry_run, output), json
    )


def resume_run(
    run: RunDir,
    overrides: Sequence[str],
    load: str,
    dry_run: bool,
    output: Output,
) -> None:
    """Resume a run in this process, one of those that take part; see `resume`."""
    from icdcli.distributed.process_group import join_process_group
    from icdcli.training.run import plan_resume, resume_training

    config = load_config(run.args, list(overrides))
    baseline = config.model.is_baseline
    process_group = join_process_group("cpu" if baseline else config.run.device)
    screen = TrainingScreen(output, process_group.device)
    if dry_run and not baseline:
        with closing(screen):
            plan = plan_resume(run, overrides, load, process_group, screen.on_progress, output.warn)
        show_summary(plan.summary, output)
        output.say("Dry run: nothing was trained or written.")
        output.result({"dry_run": True, **plan.summary.to_json()})
        return
    result = resume_training(
        run,
        overrides,
        load=load,
        handlers=[screen, *([RunPictures()] if process_group.first else [])],
        process_group=process_group,
        on_progress=screen.on_progress,
        on_warning=output.warn,
        on_second_signal=leave_at_once,
    )
    if baseline:
        output.say("This run was already finished: TF-IDF is fitted in one go")
    conclude(result, config, output, process_group)
