"""``icdcode resume``: continue a run from one of its checkpoints."""

from collections.abc import Sequence
from contextlib import closing
from typing import Annotated, Literal

import typer

from icdcli.cli.common import (
    DryRun,
    Events,
    Json,
    Overrides,
    Port,
    Run,
    StopAfter,
    import_visibly,
)
from icdcli.cli.processes import in_all_processes
from icdcli.cli.runs import (
    conclude,
    end_dry_run,
    handlers,
    leave_at_once,
    on_progress_of,
    require_one_output,
    show_dry_run,
    stopping,
    time_limit,
    training_view,
)
from icdcli.cli.seeds import train_all_seeds
from icdcli.report.console import Output
from icdcli.run_dir import RunDir


def resume(
    run_dir: Run,
    overrides: Overrides = None,
    load: Annotated[
        Literal["metric", "loss", "last"], typer.Option(help="Checkpoint to resume from.")
    ] = "last",
    port: Port = 10001,
    dry_run: DryRun = False,
    stop_after: StopAfter = None,
    events: Events = None,
    json: Json = False,
) -> None:
    """Resume a run from its last checkpoint.

    The run continues in its folder. The optimizer, the schedule, the best results so far and the
    patience are restored.

    Example: icdcode resume outputs/laptop/laptop steps=512
    """
    from icdcli.config.loading import load_config
    from icdcli.training.allowed_changes import allowed_changes

    require_one_output(json, events)
    seconds = time_limit(stop_after)
    run = RunDir.open(run_dir)
    words = overrides or []
    config = load_config(run.args, words)
    allowed_changes(load_config(run.args), config)  # one message instead of one per process
    if config.run.seeds:
        train_all_seeds(config, run, words, json, events, seconds=seconds)
        return
    device = "cpu" if config.model.is_baseline else config.run.device

    def work(output: Output) -> None:
        with stopping(output, seconds):
            _resume(run, words, load, dry_run, output)

    in_all_processes(device, port, work, json, events is not None)


def _resume(
    run: RunDir, overrides: Sequence[str], load: str, dry_run: bool, output: Output
) -> None:
    """Resume in this process, which may be one of several."""
    from icdcli.config.loading import load_config

    import_visibly("icdcli.training.run", output)
    from icdcli.training.run import join_for_training, plan_resume, resume_training

    config = load_config(run.args, list(overrides))
    baseline = config.model.is_baseline
    process_group = join_for_training(config)
    view = training_view(output, process_group)
    if dry_run and not baseline:
        with closing(view):
            plan = plan_resume(run, overrides, load, process_group, view.on_progress, output.warn)
        summary = show_dry_run(plan, output)
        end_dry_run(plan, output)
        output.result(summary)
        return
    shown = handlers(view, process_group, output)
    result = resume_training(
        run,
        overrides,
        load=load,
        handlers=shown,
        process_group=process_group,
        on_progress=on_progress_of(shown),
        on_warning=output.warn,
        on_second_signal=leave_at_once,
    )
    if baseline:
        output.say("This run was already finished: TF-IDF is fitted in one step")
    conclude(result, config, output, process_group)
