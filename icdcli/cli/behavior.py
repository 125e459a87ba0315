"""``icdcode behavior``: whether a model codes facts or mentions, on notes made for its codes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icdcli.cli.common import Device, Json, Load, Run, run_to_evaluate
from icdcli.errors import ConfigError
from icdcli.io.files import write_atomically
from icdcli.report.console import Output

if TYPE_CHECKING:
    from icdcli.evaluation.behavior.run import BehaviorReport
    from icdcli.evaluation.run import OpenRun
    from icdcli.io.progress import Progress


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
    held_out: Annotated[
        bool,
        typer.Option(
            "--held-out",
            help="Test only notes with a held-out template or condition; --failures and --json "
            "then show those that fail.",
        ),
    ] = False,
    html: Annotated[
        bool, typer.Option("--html", help="Also write behavior.html, a page with what fails.")
    ] = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Test how a model reads denials, relatives, abbreviations, typos and more.

    Short notes are made from templates for the model's own codes. The share that passes is shown
    for each capability. Notes are in English, Spanish or Korean, as the run's language is.

    Example: icdcode behavior outputs/laptop/laptop --failures
    """
    output = Output(json)
    run = run_to_evaluate(run_dir, output)
    from icdcli.evaluation.behavior.run import run_behavior
    from icdcli.evaluation.run import open_run
    from icdcli.report.behavior_page import behavior_page
    from icdcli.report.views.behavior import behavior_view

    with output.stages() as on_progress:
        opened = open_run(run, load, device, output.warn, on_progress)
        report = run_behavior(
            opened.model,
            opened.corpus.system,
            codes=codes,
            templates=templates,
            held_out=held_out,
            on_progress=on_progress,
        )
    output.show(behavior_view(report, failures))
    if html:
        page = run.root / "behavior.html"
        write_atomically(page, behavior_page(report, run.root.name))
        output.say(f"Report: {page}")
    output.result(report.to_json())


def tested_behavior(
    opened: "OpenRun", output: Output, on_progress: "Progress | None"
) -> "BehaviorReport | None":
    """Return the results of a run's behavioral tests; None, with a message, if it has none."""
    from icdcli.evaluation.behavior.run import run_behavior

    output.say("Testing behavior on short notes made for the model's codes …")
    try:
        return run_behavior(opened.model, opened.corpus.system, on_progress=on_progress)
    except ConfigError as error:
        output.say(f"Behavior isn't tested: {error}")
        return None
