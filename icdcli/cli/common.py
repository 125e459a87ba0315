"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from icdcli import light_transformers
from icdcli.cli.completion import complete_override, complete_run
from icdcli.garbage import import_quickly
from icdcli.model.files.checkpoint_files import is_tfidf
from icdcli.report.console import Output
from icdcli.run_dir import CHECKPOINTS, RunDir

if TYPE_CHECKING:
    from icdcli.explain.spans import FindEvidence
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
RunOrCheckpoint = Annotated[
    Path,
    typer.Argument(
        metavar="RUN_DIR",
        help="The folder of a run or of a checkpoint.",
        autocompletion=complete_run,
    ),
]
Load = Annotated[
    Literal["metric", "loss", "last"],
    typer.Option(help="Checkpoint to load: best by metric, best by loss, or the last one."),
]
Port = Annotated[
    int,
    typer.Option(help="Port for communication between GPU processes.", min=1, max=65535),
]
Events = Annotated[
    Literal["json"] | None,
    typer.Option(
        help="Print one line of JSON per event to standard output, everything else to standard "
        "error."
    ),
]
StopAfter = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Save after this time, such as 3h50m or 90min, and exit with 75: run the same command "
        "again.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Check the setup, report memory and time, then exit without training."
    ),
]
AcceptUnknownCodes = Annotated[
    bool,
    typer.Option(
        "--accept-unknown-codes",
        help="Use codes that aren't in the official tables, as accept_unknown_codes=True does.",
    ),
]
AcceptLeaks = Annotated[
    bool,
    typer.Option(
        "--accept-leaks",
        help="Use a table's splits although they share patients, as accept_leaks=True does.",
    ),
]
Device = Annotated[
    str | None, typer.Option(help="Device to use instead of the run's own: cpu, mps, 0, 1 …")
]
DeviceForNotes = Annotated[
    str | None, typer.Option(help="cpu, mps, 0, 1 … Default: the first GPU, else the CPU.")
]
CpuPrecision = Annotated[
    Literal["auto", "float32", "bfloat16"] | None,
    typer.Option(
        help="Precision of a 32-bit encoder on a CPU, instead of that of the training: auto "
        "(bfloat16 if the encoder is frozen and this CPU computes it fast), float32, bfloat16."
    ),
]
SuggestedTop = Annotated[
    int, typer.Option(min=0, help="Highest-scored codes to suggest besides predicted ones.")
]
AcceptOthers = Annotated[
    bool,
    typer.Option(
        "--accept-others",
        help="Accept a model with another label space or edition than the one before.",
    ),
]
DoubleShare = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="New store: share of notes that two people read."),
]
Split = Annotated[
    str | None,
    typer.Option(
        help="train, validation or test. Default: test, or validation if there is no test split."
    ),
]


def import_visibly(
    module: str, output: Output, predicts: bool = False, network: bool = True
) -> None:
    """Import a module that needs PyTorch, and say so on a terminal: it takes seconds.

    Args:
        module: The module.
        output: The output of the command.
        predicts: Whether the command uses models, but trains none.
        network: Whether the model is a network; without one, PyTorch isn't imported.
    """
    if not network:
        import_quickly(module)
        return
    with output.waiting("Loading PyTorch …"):
        if predicts:
            light_transformers.import_transformers_lightly()
        import_quickly(module)


def run_to_evaluate(folder: Path, output: Output, evidence: bool = False) -> RunDir:
    """Open a run, and import what evaluates it, and what finds evidence if it's requested."""
    run = RunDir.open(folder)
    network = evidence or not any(is_tfidf(run.checkpoint(name)) for name in CHECKPOINTS)
    import_visibly("icdcli.evaluation.run", output, predicts=True, network=network)
    return run


def finder_of(model: "CodingModel") -> "FindEvidence":
    """Return what finds the words behind a model's codes; for networks, it needs PyTorch."""
    from icdcli.explain.evidence import evidence_finder

    return evidence_finder(model)
