"""``icdcode train``: a new run from a configuration."""

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icdcli.cli.common import (
    AcceptLeaks,
    AcceptUnknownCodes,
    DryRun,
    Events,
    Json,
    Overrides,
    Port,
    StopAfter,
    import_visibly,
)
from icdcli.cli.completion import complete_config
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
from icdcli.config.schema import Config
from icdcli.report.console import Output
from icdcli.run_dir import require_project

if TYPE_CHECKING:
    from icdcli.distributed.process_group import ProcessGroup
    from icdcli.training.state import Training


def train(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="A YAML file, or the name of a configuration that `icdcode config list` shows.",
            autocompletion=complete_config,
        ),
    ],
    overrides: Overrides = None,
    port: Port = 10001,
    dry_run: DryRun = False,
    accept_unknown_codes: AcceptUnknownCodes = False,
    accept_leaks: AcceptLeaks = False,
    resume_if_exists: Annotated[
        bool,
        typer.Option(
            "--resume-if-exists",
            help="For schedulers, which may run the command any number of times: resume the run in "
            "<project>/<name> if it exists, and exit with 75 if a signal stops it.",
        ),
    ] = False,
    stop_after: StopAfter = None,
    events: Events = None,
    json: Json = False,
) -> None:
    """Train a model from a configuration.

    The model is validated after every epoch; the best checkpoints and the last one are kept.

    Example: icdcode train configs/laptop.yaml data_path=notes.csv code_system=icd10
    """
    from icdcli.config.loading import load_config
    from icdcli.config.run_paths import change_keys
    from icdcli.training.allowed_changes import require_trainable
    from icdcli.training.setting_up.earlier_run import earlier_run

    given = [
        *(overrides or []),
        *(["accept_unknown_codes=True"] if accept_unknown_codes else []),
        *(["accept_leaks=True"] if accept_leaks else []),
    ]
    options = load_config(config, given)
    require_trainable(options)
    require_one_output(json, events)
    seconds = time_limit(stop_after, resume_if_exists)
    if options.model.is_baseline:
        if int(os.environ.get("RANK", "0")) > 0:
            return  # of several processes, only the main one fits TF-IDF
    elif "RANK" not in os.environ:  # else the processes check together
        _require_data(options)
    if resume_if_exists:
        earlier_run(options)  # one message instead of one per process
    if options.run.seeds and not dry_run:
        train_all_seeds(
            options, None, [], json, events, seconds=seconds, resume_if_exists=resume_if_exists
        )
        return
    if options.run.seeds:  # a dry run is that of one of them
        options = change_keys(options, {"seeds": []})
    device = "cpu" if options.model.is_baseline else options.run.device

    def work(output: Output) -> None:
        with stopping(output, seconds, resume_if_exists):
            _train(options, dry_run, resume_if_exists, output)

    in_all_processes(device, port, work, json, events is not None, resume_if_exists)


def _require_data(config: Config) -> None:
    """Raise an error if the data are missing, before torch is loaded, which takes seconds."""
    from icdcli.data.sources.registry import choose_source
    from icdcli.io.csv_reader import Reading

    choose_source(config.data, Reading())


def _train(config: Config, dry_run: bool, resume_if_exists: bool, output: Output) -> None:
    """Train in this process, which may be one of several."""
    import_visibly("icdcli.training.run", output)
    from icdcli.training.run import join_for_training, resume_training, run_training
    from icdcli.training.setting_up.earlier_run import earlier_run

    require_project(config.run.project)
    process_group = join_for_training(config)
    if dry_run:
        _dry_run(config, process_group, output)
        return
    earlier = earlier_run(config) if resume_if_exists and process_group.is_main else None
    earlier = process_group.broadcast(earlier)
    shown = handlers(training_view(output, process_group), process_group, output)
    watching: dict[str, Any] = {
        "handlers": shown,
        "process_group": process_group,
        "on_progress": on_progress_of(shown),
        "on_warning": output.warn,
        "on_second_signal": leave_at_once,
    }
    if earlier is not None:
        result = resume_training(earlier, **watching)
    else:
        result = run_training(config, **watching, start_over=resume_if_exists)
    conclude(result, config, output, process_group, resume_if_exists)


def _dry_run(config: Config, process_group: "ProcessGroup", output: Output) -> None:
    from icdcli.training.run import plan_training

    with closing(training_view(output, process_group)) as view:
        plan = plan_training(config, process_group, view.on_progress, output.warn)
    summary = show_dry_run(plan, output)
    needs = {} if plan.training is None else _estimate(config, plan.training, output)
    end_dry_run(plan, output)
    output.result({**summary, **needs})


def _estimate(config: Config, training: "Training", output: Output) -> dict[str, Any]:
    """Show the memory that a training needs, part by part, and its time.

    The training can't be used afterwards.
    """
    from icdcli.profiling.run_estimate import estimate_run
    from icdcli.report.views.estimate import estimate_view

    estimate = estimate_run(config, training, lambda stage, *_, **__: output.say(f"{stage} …"))
    output.show(estimate_view(estimate.memory, estimate.free, estimate.seconds))
    return estimate.to_json()
