"""``icdcode plot-lr``: the learning-rate schedule, before training."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Json, Overrides
from icdcli.cli.completion import complete_config
from icdcli.errors import ConfigError
from icdcli.report.console import Output
from icdcli.run_dir import RunDir


def plot_lr(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="CONFIG | RUN_DIR",
            help="Default: configs/config.yaml.",
            show_default=False,
            autocompletion=complete_config,
        ),
    ] = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Plot the learning-rate schedule.

    The plot is also written to vis_outputs/lr_schedule.png; for a run, in its folder.

    Example: icdcode plot-lr configs/config.yaml scheduler_type=linear
    """
    from icdcli.config.loading import load_config
    from icdcli.report.plots.run import lr_schedule_png
    from icdcli.report.plots.terminal import lr_schedule_plot
    from icdcli.training.allowed_changes import require_trainable
    from icdcli.training.schedule import schedule_points

    source = source or Path("configs/config.yaml")
    run = RunDir.open(source) if source.is_dir() else None
    options = load_config(run.args if run else source, overrides or [])
    require_trainable(options)
    if options.model.is_baseline:
        raise ConfigError(
            f"{source}: `model: {options.model.model}` is fitted in one step; "
            "it has no learning-rate schedule."
        )
    config = options.train
    picture = run.lr_schedule if run else Path("vis_outputs") / "lr_schedule.png"
    steps, rates = schedule_points(config)
    output = Output(json)
    output.say(lr_schedule_plot(steps, rates))
    lr_schedule_png(steps, rates, picture, str(source))
    output.say(f"Written: {picture}")
    output.result({"picture": picture, "steps": steps, "lr": rates})
