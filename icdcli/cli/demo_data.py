"""``icdcode demo-data``: synthetic tables for trying out icdcode."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Json
from icdcli.report.console import Output


def demo_data(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the tables.")],
    admissions: Annotated[int, typer.Option(help="Number of hospital stays.")] = 2000,
    seed: Annotated[
        int, typer.Option(help="Random seed; the same seed gives identical files.")
    ] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing tables.")
    ] = False,
    as_table: Annotated[
        bool,
        typer.Option(
            "--as-table", help="Write one table, notes.csv, with a row for each note, instead."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Write synthetic tables in the format of MIMIC-III, or one table of notes.

    They contain no data of real patients.

    Example: icdcode demo-data data/demo --admissions 500
    """
    from dataclasses import asdict

    from icdcli.data.synthetic.generator import write_demo_data, write_demo_table

    write = write_demo_table if as_table else write_demo_data
    output = Output(json)
    with output.progress("Writing notes", admissions, "admissions") as bar:
        summary = write(folder, admissions, seed, overwrite=overwrite, on_progress=bar.update)
    output.say(
        f"{summary.folder}: {summary.admissions:,} admissions of {summary.subjects:,} patients, "
        f"{summary.documents:,} with a discharge summary (mean {summary.words_per_document:.0f} "
        f"words); {summary.codes} codes, mean {summary.codes_per_admission:.1f} per admission"
    )
    output.result(asdict(summary))
