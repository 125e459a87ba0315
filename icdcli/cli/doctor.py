"""``icdcode doctor``: check this machine, and whether a configuration can run on it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from icdcli.cli.common import Json, Overrides
from icdcli.cli.completion import complete_config
from icdcli.config.loading import load_config
from icdcli.config.schema import Config
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
    options = None if config is None else load_config(config, overrides or [])
    from icdcli.profiling.check_machine import (
        about_disk,
        about_machine,
        about_packages,
        about_split_lists,
        what_works,
    )
    from icdcli.report.views.doctor import configuration_view, machine_view

    output = Output(json)
    folder = Path() if options is None else options.run.project
    checkup: dict[str, Any] = {
        "machine": about_machine(),
        "packages": about_packages(),
        "works": what_works(folder),
        "disk": about_disk(folder),
        "split_lists": about_split_lists(),
    }
    output.show(machine_view(checkup))
    if options is None:
        output.result(checkup)
        return
    found = _examined(options)
    output.show(configuration_view(str(config), found))
    output.result({**checkup, "config": {"path": config, **found}})
    if found["problems"]:
        raise ConfigError("\n  ".join([f"{config} can't run here:", *found["problems"]]))


def _examined(config: Config) -> dict[str, Any]:
    from icdcli.profiling.check_config import examine

    return examine(config)
