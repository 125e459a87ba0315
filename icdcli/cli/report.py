"""``icdcode report``: the page of an evaluation, or of a comparison of several runs."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Device, Json, Load, import_visibly
from icdcli.report.console import Output
from icdcli.run_dir import RunDir


def report(
    run_dirs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN_DIR", help="One run, or several to compare with the first."),
    ],
    load: Load = "metric",
    split: Annotated[
        str | None,
        typer.Option(
            help="train, validation or test. Default: test, or validation if only that has been "
            "evaluated or there is no test split."
        ),
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The page. Default: in the (first) run folder."
        ),
    ] = None,
    intersection: Annotated[
        bool,
        typer.Option(
            "--intersection", help="Several runs: compare only on the codes that all have."
        ),
    ] = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Write the page of a run's evaluation, or a page that compares several runs.

    For one run, this is the page of `icdcode evaluate --html`; for several runs, that of `icdcode
    compare --html`. Runs that have been evaluated aren't evaluated again, except for a single run
    that has no page yet.

    Example: icdcode report outputs/laptop/laptop outputs/laptop/laptop2 --output report.html
    """
    output, runs = Output(json), [RunDir.open(run_dir) for run_dir in run_dirs]
    import_visibly("icdcli.report.run_report", output, predicts=True)
    from icdcli.report.run_report import write_report

    with output.stages() as on_progress:
        written = write_report(
            runs,
            path,
            split=split,
            load=load,
            intersection=intersection,
            device=device,
            on_warning=output.warn,
            on_progress=on_progress,
        )
    for folder in written.evaluated:
        output.say(f"Evaluated: {folder}")
    output.say(f"Report of the {written.split} split: {written.page}")
    output.result({"split": written.split, "page": written.page, "evaluated": [*written.evaluated]})
