"""``icdcode show-predictions``: gold and predicted codes of a few documents."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Device, Json, Load, Run, Split, find_evidence, showing
from icdcli.report.console import Output
from icdcli.run_dir import RunDir


def show_predictions(
    run_dir: Run,
    number: Annotated[int, typer.Option("-n", "--number", help="Number of documents.", min=1)] = 3,
    load: Load = "metric",
    split: Split = None,
    seed: Annotated[int, typer.Option(help="Random seed that chooses the documents.")] = 0,
    text: Annotated[
        bool, typer.Option("--text", help="Also show the notes, which may identify patients.")
    ] = False,
    evidence: Annotated[
        bool,
        typer.Option(
            "--evidence",
            help="Highlight the words behind each predicted code. Prints whole sentences, which may "
            "identify patients.",
        ),
    ] = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Show gold and predicted codes of a few documents.

    They are printed side by side, with titles and scores.

    Example: icdcode show-predictions outputs/mimic3/automatic_coding -n 5
    """
    show(run_dir, Output(json), number, load, split, seed, text, evidence, device)


def show(
    run_dir: Path,
    output: Output,
    number: int = 3,
    load: str = "metric",
    split: str | None = None,
    seed: int = 0,
    text: bool = False,
    evidence: bool = False,
    device: str | None = None,
) -> None:
    """Show a few documents of a run; the arguments are those of the command."""
    run = RunDir.open(run_dir)
    from icdcli.evaluation.run import default_split, open_run, sample_run
    from icdcli.report.views.evidence import evidence_view
    from icdcli.report.views.predictions import prediction_dict, prediction_view

    with showing(output) as on_progress:
        opened = open_run(run, load, device, output.warn, on_progress)
        split = split or default_split(opened.corpus, output.warn)
        find = find_evidence(opened.model, str(run_dir), cut=True) if evidence else None
        samples = sample_run(
            opened, split, number, seed, with_text=text, find=find, on_progress=on_progress
        )
    titles = opened.model.labels.known_titles
    documents = []
    for sample in samples:
        shown = sample.text if text else None
        output.show(prediction_view(sample.prediction, titles, shown))
        if sample.evidence and sample.text is not None:
            marked = [(code, titles.get(code), spans) for code, spans in sample.evidence.items()]
            output.show(evidence_view(sample.text, marked, signs=not output.live))
        found = sample.evidence if evidence else None
        documents.append(prediction_dict(sample.prediction, titles, shown, found))
    output.result(
        {"split": split, "threshold": str(opened.model.threshold), "documents": documents}
    )
