"""``icdcode join``: the files of shards become one file."""

from typing import Annotated

import typer

from icdcli.cli.common import Json
from icdcli.report.console import Output


def join(
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUTPUT",
            help="The file to write, or its URL, as icdcode predict --shard was given it.",
        ),
    ],
    json: Json = False,
) -> None:
    """Join the shards that icdcode predict --shard has written.

    The file is the one that a single icdcode predict would have written. The shards stay.

    Example: icdcode join codes.jsonl
    """
    from icdcli.predict.shards.joining import join_shards

    console = Output(json)
    with console.stages() as on_progress:
        joined = join_shards(output, on_progress, console.say)
    console.say(f"Written: {joined.output}, {joined.notes:,} notes of {joined.shards} shards")
    console.say(f"No longer needed: {joined.folder}")
    console.result(joined.to_json())
