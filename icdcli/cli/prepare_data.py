"""``icdcode prepare-data``: from raw tables to a prepared corpus."""

from json import dumps as quoted  # a JSON string is a YAML string, whatever is in it
from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Json, Overrides, showing
from icdcli.config import load_config
from icdcli.report.console import Output


def prepare_data(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the raw tables, or one file of notes and codes.")],
    overrides: Overrides = None,
    config: Annotated[Path | None, typer.Option(help="A configuration whose data options apply.")] = None,
    json: Json = False,
) -> None:
    """Read raw notes and codes into a prepared corpus. The same call again finds it and does nothing.

    Example: icdcode prepare-data data/demo protocol=patient label_pruning=True
    """
    from icdcli.data.prepare import prepare
    from icdcli.report.tables import corpus_table

    output = Output(json)
    options = load_config(config, [*(overrides or []), f"data_path={quoted(str(folder), ensure_ascii=False)}"]).data
    with showing(output) as progress:
        corpus = prepare(options, progress)
    output.show(corpus_table(corpus.card))
    output.say(f"{'Prepared' if corpus.created else 'Already prepared'}: {corpus.folder}")
    output.result({"folder": corpus.folder, "created": corpus.created, "card": corpus.card})
