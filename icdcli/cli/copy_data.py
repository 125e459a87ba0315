"""``icdcode copy-data``: notes and codes from a database or an object store."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Json
from icdcli.errors import in_shell
from icdcli.report.console import Output

_MOST_FILES = 20


def copy_data(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Address of an OMOP database (postgresql://…, sqlite:///…), or URL of a file or "
            "folder (s3://, gs://, hdfs://).",
        ),
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder to write; it must not exist.")
    ],
    json: Json = False,
) -> None:
    """Copy notes and codes to this machine, to train on them.

    A run reads its notes again when it is resumed or evaluated, so they must stay the same. Of a
    database, only what training reads is copied, to Parquet; the database isn't changed.

    Example: icdcode copy-data postgresql://me@host/cdm data/cdm
    """
    output = Output(json)
    from icdcli.data.copies import copying

    with output.stages() as on_progress:
        made = copying.copy_data(source, folder, on_progress)
    for file in made.files[:_MOST_FILES]:
        rows = f", {file['rows']:,} rows" if "rows" in file else ""
        output.say(f"{folder / file['name']}: {file['size'] / 1e6:,.1f} MB{rows}")
    if len(made.files) > _MOST_FILES:
        output.say(f"… and {len(made.files) - _MOST_FILES:,} other files")
    if made.left_out:
        reason = "because they are missing or have no rows to copy"
        output.say(f"Not copied, {reason}: {', '.join(made.left_out)}")
    output.say(f"Only you can read {folder}. Next: icdcode prepare-data {in_shell(made.data_path)}")
    output.result(made.to_json())
