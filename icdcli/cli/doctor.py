"""``icdcode doctor``: check this machine, and whether a configuration can run on it."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Json, Overrides
from icdcli.cli.completion import complete_config
from icdcli.errors import ConfigError
from icdcli.report.console import Output


def doctor(
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="CONFIG",
            help="A YAML file: check whether it can run here, and how much memory it needs.",
            autocompletion=complete_config,
        ),
    ] = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Check this machine, and whether a configuration fits it.

    With CONFIG, also estimates the memory of each part and the time. Trains nothing, and downloads
    at most the settings of a model. The exit code is 2 if CONFIG can't run here.

    Example: icdcode doctor configs/config.yaml bit=4
    """
    from icdcli.config.loading import load_config

    options = None if config is None else load_config(config, overrides or [])
    from icdcli.profiling.check_machine import check_machine
    from icdcli.report.views.doctor import configuration_view, machine_view

    output = Output(json)
    machine = check_machine(Path() if options is None else options.run.project)
    output.show(machine_view(machine))
    if options is None:
        output.result(machine.to_json())
        return
    from icdcli.profiling.check_config import check_config

    found = check_config(options)
    output.show(configuration_view(str(config), found))
    output.result({**machine.to_json(), "config": {"path": config, **found.to_json()}})
    if found.problems:
        raise ConfigError("\n  ".join([f"{config} can't run here:", *found.problems]))
