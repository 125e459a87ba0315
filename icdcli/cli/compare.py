"""``icdcode compare``: runs side by side, on the same documents."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Device, Json, Load, showing
from icdcli.report.console import Output


def compare(
    run_dirs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_DIR...", help="Two runs or more; all are held against the first."
        ),
    ],
    load: Load = "metric",
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    intersection: Annotated[
        bool,
        typer.Option(
            "--intersection",
            help="Compare on the codes that all runs know, where they know different ones.",
        ),
    ] = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Show runs side by side, with 95 % intervals of their differences. A run not yet evaluated is evaluated first.

    Example: icdcode compare outputs/mimic3/automatic_coding outputs/mimic3/automatic_coding2
    """
    output = Output(json)
    from icdcli.evaluation.run import compare_runs
    from icdcli.report.views.comparison import comparison_dict, comparison_view

    with showing(output) as on_progress:
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
        output.say(f"On the {common:,} codes that all runs know, as if there were no others.")
    output.show(comparison_view(comparison, split))
    output.result(
        {
            "split": split,
            "checkpoint": load,
            "intersection": intersection,
            **comparison_dict(comparison),
        }
    )
