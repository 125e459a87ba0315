"""``icdcode compare``: runs side by side on the same documents."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from icdcli.cli.common import Device, Json, Load
from icdcli.errors import ConfigError
from icdcli.report.console import Output
from icdcli.run_dir import RunDir


def compare(
    run_dirs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_DIR",
            help="Two or more runs, or folders written by icdcode score --out; each is compared "
            "with the first.",
        ),
    ],
    load: Load = "metric",
    split: Annotated[
        Literal["train", "validation", "test"], typer.Option(help="The split to compare on.")
    ] = "test",
    intersection: Annotated[
        bool,
        typer.Option(
            "--intersection",
            help="Compare on the codes that all runs have in common, if their codes differ.",
        ),
    ] = False,
    html: Annotated[
        bool,
        typer.Option(
            "--html",
            help="Also write comparison.html, a page that needs no network, to the first run's "
            "evaluation/SPLIT.",
        ),
    ] = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Compare runs, with 95 % intervals of the differences.

    Runs that haven't been evaluated on the split yet are evaluated first. Predictions of other
    systems, scored by `icdcode score --out DIR`, are compared on all codes of all of them. --html
    shows the runs side by side: metrics, what each finds that the other misses, and every code.

    Example: icdcode compare outputs/laptop/laptop outputs/laptop/laptop2
    """
    output = Output(json)
    _check_folders(run_dirs, html)
    from icdcli.evaluation.run import compare_runs
    from icdcli.report.comparison.page import write_comparison_page
    from icdcli.report.views.comparison import comparison_view

    with output.stages() as on_progress:
        comparison = compare_runs(
            run_dirs,
            split,
            load=load,
            intersection=intersection,
            device=device,
            on_warning=output.warn,
            on_progress=on_progress,
        )
    for folder in comparison.evaluated:
        output.say(f"Evaluated: {folder}")
    if intersection:
        common = len(comparison.contenders[0].codes)
        output.say(f"Compared on the {common:,} codes that all runs have; other codes are ignored.")
    output.show(comparison_view(comparison, split))
    page = write_comparison_page(comparison, split) if html else None
    if page:
        output.say(f"Report: {page}")
    output.result(
        {
            "split": split,
            "checkpoint": load,
            "intersection": intersection,
            **comparison.to_json(),
            **({"page": page} if page else {}),
        }
    )


def _check_folders(folders: list[Path], html: bool) -> None:
    """Raise an error about a missing run before torch is imported, which is slow."""
    for folder in folders:
        if not (folder / "statistics.npz").is_file():  # else it has scored predictions
            RunDir.open(folder)
        elif html:
            raise ConfigError(f"--html: {folder} isn't a run. Leave out --html, or pass only runs.")
