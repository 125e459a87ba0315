"""``icdcode train``: a run from a configuration."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icdcli.cli.baseline import train_baseline
from icdcli.cli.common import DryRun, Json, Overrides, Port, showing
from icdcli.cli.completion import complete_config
from icdcli.cli.plot_lr import schedule_points
from icdcli.cli.processes import follow, in_all_processes
from icdcli.config.loading import load_config
from icdcli.config.schema import Config
from icdcli.io.files import write_atomically, writing
from icdcli.report.console import Output
from icdcli.run_dir import RunDir, require_project

if TYPE_CHECKING:
    from icdcli.data.corpus.reader import Corpus
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
        in_all_processes("cpu", port, lambda output: train_baseline(options, dry_run, output), json)
        return
    if "RANK" not in os.environ:  # one of several processes leaves it to those that work together
        _require_data(options)
    in_all_processes(
        options.run.device, port, lambda output: train_run(options, dry_run, output), json
    )


def _require_data(config: Config) -> None:
    """Tell of data that aren't there before torch is loaded, which takes seconds."""
    from icdcli.data.sources.registry import choose_source
    from icdcli.io.csv_reader import Reading

    choose_source(config.data, Reading())


def train_run(config: Config, dry_run: bool, output: Output) -> None:
    """Train a coder in this process, one of those that take part; see `train`."""
    from icdcli.distributed.process_group import join_process_group
    from icdcli.training.setup import new_training

    require_project(config.run.project)
    process_group = join_process_group(config.run.device)
    with showing(output) as on_progress:
        training, corpus = new_training(config, process_group, on_progress)
    summary = describe(training, corpus)
    output.say("\n".join(f"{name:<10} {value}" for name, value in summary.items()))
    if dry_run:
        summary |= _what_it_takes(config, training, output)
        output.say("Dry run: nothing was trained or written.")
        output.result({"dry_run": True, **summary})
        return
    root = process_group.broadcast(
        RunDir.create(config.run.project, config.run.name).root if process_group.first else None
    )
    assert isinstance(root, Path)
    run = RunDir(root)
    if process_group.first:
        begin(run, config)
    output.say(f"run        {run.root}")
    follow(training, run, corpus, config, output)


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


def begin(run: RunDir, config: Config) -> None:
    """Put on disk what a run can tell before its first step."""
    from icdcli.config.loading import to_yaml
    from icdcli.report.plots.run import lr_schedule_png

    write_atomically(run.args, to_yaml(config))
    with writing(run.lr_schedule):
        lr_schedule_png(*schedule_points(config.train), run.lr_schedule)


def describe(training: "Training", corpus: "Corpus") -> dict[str, Any]:
    """What is about to be trained, on what, in words."""
    weights = list(training.model.network.parameters())
    trained = sum(weight.numel() for weight in training.model.network.trainable().values())
    lengths = training.train.lengths
    return {
        "corpus": corpus.folder.name,
        "documents": f"{len(training.train):,} train, {len(training.validation):,} validation; {len(corpus.labels):,} codes",
        "tokens": f"{lengths.mean():,.0f} a document, at most {training.train.max_len:,}",
        "weights": f"{trained:,} trained of {sum(weight.numel() for weight in weights):,}, on {training.process_group.device}",
        "steps": f"{training.config.steps:,}, {training.steps_per_epoch:,} an epoch",
    }
