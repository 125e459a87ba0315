"""Options that several commands share, and the progress of long work."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from icdcli.cli.completion import complete_override, complete_run
from icdcli.errors import ConfigError
from icdcli.io.progress import Progress
from icdcli.report.console import Output
from icdcli.report.progress import ProgressView

if TYPE_CHECKING:
    from icdcli.explain.spans import Find
    from icdcli.model.coding_model import CodingModel

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="key=value",
        help="Configuration keys to change, such as batch_size=4.",
        autocompletion=complete_override,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object to standard output, everything else to standard error.",
    ),
]
Run = Annotated[
    Path,
    typer.Argument(metavar="RUN_DIR", help="The run folder.", autocompletion=complete_run),
]
Load = Annotated[
    Literal["metric", "loss", "last"],
    typer.Option(help="Checkpoint to load: best by metric, best by loss, or the last one."),
]
Port = Annotated[
    int,
    typer.Option(help="Port for communication between GPU processes.", min=1, max=65535),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Check the setup, report memory and time, then exit without training."
    ),
]
Device = Annotated[
    str | None, typer.Option(help="Device to use instead of the run's own: cpu, mps, 0, 1 …")
]
Split = Annotated[
    str | None,
    typer.Option(
        help="train, validation or test. Default: test, or validation if there is no test split."
    ),
]


@contextmanager
def showing(output: Output) -> Iterator[Progress]:
    """Yield a progress callback that shows one stage after another.

    A stage is shown if it takes longer than two seconds.
    """
    with ExitStack() as stack:
        bars: dict[str, ProgressView] = {}

        def on_progress(
            stage: str, done: int, total: int, unit: str = "documents", note: str = ""
        ) -> None:
            if stage not in bars:
                stack.close()
                bars.clear()
                bars[stage] = stack.enter_context(output.progress(stage, total or None, unit))
            bars[stage].update(done, total or None, note)

        yield on_progress


def find_evidence(model: "CodingModel", checkpoint: str, cut: bool = False) -> "Find":
    """A function that finds the words that a coder chose codes by.

    Args:
        model: Any coder.
        checkpoint: Its name in a message.
        cut: As `icdcli.explain.evidence.finder` takes it.

    Raises:
        ConfigError: When it is a baseline, which knows no places.
    """
    from icdcli.explain.evidence import finder
    from icdcli.model.neural_model import NeuralModel

    if not isinstance(model, NeuralModel):
        raise ConfigError(
            f"--evidence: {checkpoint} is a baseline (model: tfidf), which doesn't say where it finds a code"
        )
    return finder(model, cut)
