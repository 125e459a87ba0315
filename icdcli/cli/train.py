"""``icdcode train``: a run from a configuration."""

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icdcli.cli.common import DryRun, Json, Overrides, Port
from icdcli.cli.completion import complete_config
from icdcli.cli.processes import (
    RunPictures,
    TrainingScreen,
    conclude,
    in_all_processes,
    leave_at_once,
    show_summary,
)
from icdcli.config.loading import load_config
from icdcli.config.schema import Config
from icdcli.report.console import Output
from icdcli.run_dir import require_project

if TYPE_CHECKING:
    from icdcli.training.state import Training


def train(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="A YAML file, such as configs/config.yaml.",
            autocompletion=complete_config,
        ),
    ],
    overrides: Overrides = None,
    port: Port = 10001,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Train a coder from a configuration. It is validated after every epoch; the best and the last checkpoint are kept.

    Example: icdcode train configs/config.yaml mimic3_data_path=mimic-iii model=mistral device=[0,1]
    """
    options = load_config(config, overrides or [])
    if options.model.is_baseline:
        if int(os.environ.get("RANK", "0")) > 0:
            return  # of several processes, the main one fits it
    elif "RANK" not in os.environ:  # one of several processes leaves it to those that work together
        _require_data(options)
    device = "cpu" if options.model.is_baseline else options.run.device
    in_all_processes(device, port, lambda output: train_run(options, dry_run, output), json)


def _require_data(config: Config) -> None:
    """Tell of data that aren't there before torch is loaded, which takes seconds."""
    from icdcli.data.sources.registry import choose_source
    from icdcli.io.csv_reader import Reading

    choose_source(config.data, Reading())


def train_run(config: Config, dry_run: bool, output: Output) -> None:
    """Train a model in this process, one of those that take part; see `train`."""
    from icdcli.distributed.process_group import join_process_group
    from icdcli.training.run import plan_training, run_training

    require_project(config.run.project)
    process_group = join_process_group("cpu" if config.model.is_baseline else config.run.device)
    screen = TrainingScreen(output, process_group.device)
    if dry_run:
        with closing(screen):
            plan = plan_training(config, process_group, screen.on_progress, output.warn)
        show_summary(plan.summary, output)
        needs = {} if plan.training is None else _what_it_takes(config, plan.training, output)
        output.say("Dry run: nothing was trained or written.")
        output.result({"dry_run": True, **plan.summary.to_json(), **needs})
        return
    result = run_training(
        config,
        [screen, *([RunPictures()] if process_group.first else [])],
        process_group=process_group,
        on_progress=screen.on_progress,
        on_warning=output.warn,
        on_second_signal=leave_at_once,
    )
    conclude(result, config, output, process_group)


def _what_it_takes(config: Config, training: "Training", output: Output) -> dict[str, Any]:
    """Show the memory that a training will take, part by part, and its time; the training is of no use afterwards."""
    from icdcli.distributed.hardware import room
    from icdcli.profiling.memory import estimate_training
    from icdcli.profiling.runtime import operations_a_second, time_by_counting, time_by_trying
    from icdcli.report.views.estimate import estimate_view

    process_group = training.process_group
    estimate, free = estimate_training(config, training), room(process_group.device)
    if process_group.broadcast(free is None or estimate.total <= free):
        output.say("Trying some steps, to see how long they take")
        seconds = time_by_trying(training, estimate)
    else:
        rate = operations_a_second(process_group.device, config.model.bit)
        seconds = time_by_counting(
            config, estimate, float(training.train.lengths.mean()), rate, process_group.size
        )
    output.show(estimate_view(estimate.as_dict(), free, seconds))
    return {"memory": {"estimate": estimate.as_dict(), "free": free}, "seconds": seconds}
