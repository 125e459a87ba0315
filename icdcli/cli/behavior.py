"""``icdcode behavior``: whether a model codes facts or mentions, on notes made for its codes."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Device, Json, Load, Run
from icdcli.report.console import Output
from icdcli.run_dir import RunDir


def behavior(
    run_dir: Run,
    load: Load = "metric",
    codes: Annotated[
        int, typer.Option(min=1, help="The largest number of conditions to test.")
    ] = 60,
    templates: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML file with templates of your own.")
    ] = None,
    failures: Annotated[
        bool, typer.Option("--failures", help="Show some notes that fail.")
    ] = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Test how a model reads denials, relatives, abbreviations, typos and more.

    Short notes are made from templates for the model's own codes. The share that passes is shown
    for each capability.

    Example: icdcode behavior outputs/laptop/laptop --failures
    """
    from icdcli.evaluation.behavior.run import run_behavior
    from icdcli.evaluation.run import open_run
    from icdcli.report.views.behavior import behavior_view

    output = Output(json)
    with output.stages() as on_progress:
        opened = open_run(RunDir.open(run_dir), load, device, output.warn, on_progress)
        report = run_behavior(
            opened.model,
            opened.corpus.system,
            codes=codes,
            templates=templates,
            on_progress=on_progress,
        )
    output.show(behavior_view(report, failures))
    output.result(report.to_json())
