"""``icdcode migrate``: a trained model for another edition of its coding system."""

from typing import Annotated, Literal

import typer

from icdcli.cli.common import Device, Json, Run
from icdcli.report.console import Output


def migrate(
    run_dir: Run,
    code_system: Annotated[
        str,
        typer.Option("--code-system", metavar="EDITION", help="The edition, such as icd10cm-2027."),
    ],
    weights: Annotated[
        Literal["metric", "loss", "last"],
        typer.Option(help="Checkpoint to migrate: best by metric, best by loss, or the last one."),
    ] = "metric",
    name: Annotated[
        str | None,
        typer.Option(help="Name of the new run folder. Default: the run's and the edition's."),
    ] = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Make a run with another edition of the codes from a trained one, without training.

    Codes that haven't changed keep their weights. Codes that took the place of a retired one start
    from its weights and their own descriptions, and retired ones are listed. `icdcode resume` can
    train the new run, which is next to the old one.

    Example: icdcode migrate outputs/laptop/laptop --code-system icd10cm-2027
    """
    output = Output(json)
    from icdcli.migration.run import migrate_run
    from icdcli.report.views.migration import migration_view

    made = migrate_run(
        run_dir, code_system, load=weights, name=name, device=device, on_warning=output.warn
    )
    output.show(migration_view(made))
    output.result(made.to_json())
