"""``icdcode show-predictions``: what a coder says of a few documents, beside what is right."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Device, Json, Load, Run, Split, find_evidence, showing
from icdcli.cli.evaluate import default_split, open_run
from icdcli.report.console import Output
from icdcli.run_dir import RunDir


def show_predictions(
    run_dir: Run,
    number: Annotated[int, typer.Option("-n", "--number", help="How many documents.", min=1)] = 3,
    load: Load = "metric",
    split: Split = None,
    seed: Annotated[int, typer.Option(help="Another seed, other documents.")] = 0,
    text: Annotated[
        bool, typer.Option("--text", help="Show the notes too; they may tell who the patients are.")
    ] = False,
    evidence: Annotated[
        bool,
        typer.Option(
            "--evidence",
            help="Show the words that predicted codes were chosen by, in their sentences of the notes.",
        ),
    ] = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Show a few documents' gold and predicted codes. They stand side by side, with titles and scores.

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
    """Show a few documents of a run and give them as the result; the arguments are the command's."""
    run = RunDir.open(run_dir)
    from icdcli.evaluation.sample import evidence_of_sample, sample_prediction, sample_rows
    from icdcli.evaluation.score_split import score_split
    from icdcli.report.views.evidence import evidence_view
    from icdcli.report.views.predictions import prediction_dict, prediction_view

    with showing(output) as on_progress:
        model, corpus = open_run(run, load, device, output, on_progress)
        split = split or default_split(corpus, output)
        rows = sample_rows(len(corpus.documents(split)), number, seed)
        scored = score_split(model, corpus, split, on_progress, only=rows)
        find = find_evidence(model, str(run_dir), cut=True) if evidence else None
    codes, titles = model.labels.codes, model.labels.known_titles
    notes = (
        {row: note for row, note in enumerate(corpus.texts(split)) if row in rows}
        if text or evidence
        else {}
    )
    documents = []
    for row, name, scores_L, gold in zip(
        rows, scored.documents.ids, scored.scores_NL, scored.documents.targets, strict=True
    ):
        sample = sample_prediction(
            name, codes, scores_L, gold, model.threshold.values_L(len(codes))
        )
        found = (
            {}
            if find is None
            else evidence_of_sample(find, notes[row], sample.predicted, model.labels.index)
        )
        output.show(prediction_view(sample, titles, notes[row] if text else None))
        if found:
            marked = [(code, titles.get(code), spans) for code, spans in found.items()]
            output.show(evidence_view(notes[row], marked, signs=not output.live))
        documents.append(
            prediction_dict(
                sample, titles, notes[row] if text else None, found if evidence else None
            )
        )
    output.result({"split": split, "threshold": str(model.threshold), "documents": documents})
