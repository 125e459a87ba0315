"""``icdcode config``: the effective configuration, the shipped ones, and the JSON schema."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.command_groups import Commands
from icdcli.cli.common import Json, Overrides
from icdcli.cli.completion import complete_config
from icdcli.report.console import Output

app = typer.Typer(
    cls=Commands, help="Show configurations and their JSON Schema.", no_args_is_help=True
)


@app.command("show")
def show(
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="CONFIG",
            help="A YAML file. Default: only the default values.",
            autocompletion=complete_config,
        ),
    ] = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Show the effective configuration, with the meaning of each key.

    Example: icdcode config show configs/config.yaml batch_size=4
    """
    from icdcli.config.loading import load_config, to_yaml

    # Without a file, as in `config show lr0=1e-3`, the first argument is an override.
    words = list(overrides or [])
    if config is not None and "=" in str(config) and not config.exists():
        words, config = [str(config), *words], None
    effective = load_config(config, words)
    output = Output(json)
    output.say(to_yaml(effective, explain=True).rstrip())
    output.result(effective.flat())


@app.command("list")
def list_shipped(json: Json = False) -> None:
    """List the configurations that come with icdcode.

    Their names can be used instead of a path to a YAML file.

    Example: icdcode config list
    """
    from icdcli.config.loading import shipped_configs

    output = Output(json)
    about = {
        name: path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        for name, path in shipped_configs().items()
    }
    output.say("\n".join(f"{name:<20} {line}" for name, line in about.items()))
    output.result(about)


@app.command("schema")
def schema() -> None:
    """Print a JSON Schema of the configuration.

    Editors use it to check YAML files while you type.

    Example: icdcode config schema > config.schema.json
    """
    from icdcli.config.loading import config_schema

    Output(json=True).result(config_schema())
