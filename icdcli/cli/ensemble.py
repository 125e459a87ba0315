"""``icdcode ensemble``: several trained runs as one model."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from icdcli.cli.common import Device, Json, Load, import_visibly
from icdcli.cli.completion import complete_run
from icdcli.report.console import Output


def ensemble(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN_DIR", help="The run folders.", autocompletion=complete_run),
    ],
    name: Annotated[str, typer.Option(help="Name of the new run folder.")],
    project: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder for it. Default: that of the first run."),
    ] = None,
    weights: Annotated[
        Literal["fitted", "equal"],
        typer.Option(help="Weights of the members: fitted on the validation split, or equal."),
    ] = "fitted",
    load: Load = "metric",
    device: Device = None,
    json: Json = False,
) -> None:
    """Combine several trained runs into one model, the mean of their calibrated scores.

    Nothing is trained, and the runs stay where they are. The new run can be evaluated, served and
    exported like any other. Members should differ: three seeds of one configuration add nothing.

    Example: icdcode ensemble outputs/demo/network outputs/demo/tfidf --name both
    """
    output = Output(json)
    import_visibly("icdcli.ensembles.run", output)
    from icdcli.ensembles.run import ensemble_runs
    from icdcli.report.ensemble_view import ensemble_view, likeness_warning

    with output.stages() as on_progress:
        made = ensemble_runs(
            runs,
            name,
            project=project,
            weights=weights,
            load=load,
            device=device,
            on_warning=output.warn,
            on_progress=on_progress,
        )
    output.show(ensemble_view(made))
    if (warning := likeness_warning(made)) is not None:
        output.warn(warning)
    output.result(made.to_json())
