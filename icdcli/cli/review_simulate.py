"""``icdcode review simulate``: what reviewed notes are worth, played from gold labels."""

from json import dumps as quoted  # a JSON string is a YAML string, whatever is in it
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from icdcli.cli.common import Json, Overrides
from icdcli.cli.completion import complete_config
from icdcli.extras import require_extra
from icdcli.report.console import Output

if TYPE_CHECKING:
    from icdcli.review.simulation.settings import SimulationSettings

_EVIDENCE = {None: None, "marked": (True,), "none": (False,), "both": (True, False)}
_DEFAULT = Path("laptop.yaml")


def simulate(
    corpus: Annotated[
        Path,
        typer.Argument(
            metavar="CORPUS", help="Folder of the source tables, or one file of notes and codes."
        ),
    ],
    overrides: Overrides = None,
    config: Annotated[
        Path,
        typer.Option(
            help="Configuration with which a model is trained in each round.",
            autocompletion=complete_config,
        ),
    ] = _DEFAULT,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for stores, models and results.")
    ] = Path("outputs/simulation"),
    start: Annotated[
        int, typer.Option(min=2, help="Notes in the first round, drawn at random.")
    ] = 50,
    step: Annotated[int, typer.Option(min=1, help="Notes in each later round.")] = 50,
    rounds: Annotated[
        int | None,
        typer.Option(min=1, help="Rounds. Default: until all notes are reviewed."),
    ] = None,
    order: Annotated[
        Literal["uncertainty", "random", "both"],
        typer.Option(help="Which notes come next: those that the model is most uncertain about."),
    ] = "both",
    evidence: Annotated[
        Literal["marked", "none", "both"] | None,
        typer.Option(
            help="Whether the reviewer marks the annotated words, or only decides on codes. "
            "Default: both, if the corpus has such words and the model learns from them."
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Number of simulations, each with its own random numbers.")
    ] = 1,
    validation_share: Annotated[
        float, typer.Option(help="Share of the reviewed notes that choose the threshold.")
    ] = 0.2,
    json: Json = False,
) -> None:
    """Simulate a reviewer with gold labels, to see how many notes need to be reviewed.

    Each round reviews more notes in a store, exports them, trains on them, and measures the model
    on notes that aren't reviewed. A repeated command continues where it was stopped.

    Example: icdcode review simulate data/codiesp language=es --config codiesp_es.yaml --seeds 3
    """
    require_extra("serve", "icdcode review", ("sqlalchemy", "alembic"))
    from icdcli.review.simulation.settings import SimulationSettings

    settings = SimulationSettings(
        start,
        step,
        rounds,
        ("uncertainty", "random") if order == "both" else (order,),
        _EVIDENCE[evidence],
        range(seeds),
        validation_share,
    )
    given = [*(overrides or []), f"data_path={quoted(str(corpus), ensure_ascii=False)}"]
    _simulate(config, given, output, settings, Output(json))


def _simulate(
    config: Path, overrides: list[str], folder: Path, settings: "SimulationSettings", output: Output
) -> None:
    from icdcli.config.loading import load_config

    options = load_config(config, overrides)
    from icdcli.report.plots.learning_curve import learning_curve_png
    from icdcli.report.views.learning_curve import learning_curve_view, round_line
    from icdcli.review.simulation.run import RESULT, simulate

    warned: set[str] = set()

    def warn_once(message: str) -> None:
        if message not in warned:
            warned.add(message)
            output.warn(message)

    with output.stages() as on_progress:
        curve = simulate(
            options,
            folder,
            settings,
            on_round=lambda arm, one: output.say(round_line(arm, one)),
            on_progress=on_progress,
            on_warning=warn_once,
        )
    if any(curve.rounds.values()):
        output.show(learning_curve_view(curve))
        learning_curve_png(curve, folder / "learning_curve.png")
    output.say(f"Results: {folder / RESULT}")
    output.result(curve.to_json())
    if curve.signal is not None:
        output.say("Stopped. The same command continues it.")
        raise typer.Exit(128 + curve.signal)
