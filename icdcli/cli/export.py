"""``icdcode export``: a trained model as one plain folder."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Json, Load, RunOrCheckpoint
from icdcli.report.console import Output


def export(
    run_dir: RunOrCheckpoint,
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="The folder to write; it must not exist.")
    ],
    load: Load = "metric",
    base: Annotated[
        bool,
        typer.Option(
            "--base", help="Include the base model's weights, as far as the model needs them."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Export a trained model as one folder, with a model card.

    `icdcode predict OUT` and `icdcli.load_model` give the same scores. The folder has no links, no
    paths of this machine and no notes, but may contain words of notes: only you can read it.

    Example: icdcode export outputs/laptop/laptop model --base
    """
    console = Output(json)
    from icdcli.model.files.export import export_model

    made = export_model(run_dir, output, load=load, base=base)
    size = f"{made.bytes / 1e6:,.1f} MB"
    console.say(f"Written: {made.folder}, {made.labels:,} codes, {size}, from {made.checkpoint}")
    if made.base_included is False:
        console.say("Its base model isn't included; it is loaded from where it was. See README.md.")
    console.say(
        f"Before you pass it on: it may contain words of notes. See {made.folder / 'README.md'}"
    )
    console.result(made.to_json())
