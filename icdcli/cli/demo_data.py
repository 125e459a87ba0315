"""``icdcode demo-data``: synthetic tables to try everything with."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Json
from icdcli.report.console import Output


def demo_data(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the tables shall lie.")],
    admissions: Annotated[int, typer.Option(help="Hospital stays to make up.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace tables that are there already.")
    ] = False,
    json: Json = False,
) -> None:
    """Write synthetic tables in the exact MIMIC-III format. No patient is behind them.

    Example: icdcode demo-data data/demo --admissions 500
    """
    from dataclasses import asdict

    from icdcli.data.synthetic.generator import write_demo_data

    output = Output(json)
    with output.progress("Writing notes", admissions, "admissions") as bar:
        summary = write_demo_data(
            folder, admissions, seed, overwrite=overwrite, on_progress=bar.update
        )
    output.say(
        f"{summary.folder}: {summary.admissions:,} admissions of {summary.subjects:,} patients, {summary.documents:,} with a "
        f"discharge summary ({summary.words_per_document:.0f} words), {summary.codes} codes, "
        f"{summary.codes_per_admission:.1f} an admission"
    )
    output.result(asdict(summary))
