"""``icdcode show-predictions``: gold and predicted codes of a few documents."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icdcli.cli.common import Device, Json, Load, Run, Split, finder_of, run_to_evaluate
from icdcli.report.console import Output

if TYPE_CHECKING:
    from icdcli.evaluation.sample import SampleDocument


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
            help="Highlight the words behind each predicted code. Prints complete sentences, which "
            "may identify patients.",
        ),
    ] = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Show gold and predicted codes of a few documents.

    They are printed side by side, with titles and scores.

    Example: icdcode show-predictions outputs/laptop/laptop -n 5
    """
    output = Output(json)
    run = run_to_evaluate(run_dir, output, evidence)
    from icdcli.evaluation.run import default_split, open_run
    from icdcli.evaluation.sample import sample_run

    with output.stages() as on_progress:
        opened = open_run(run, load, device, output.warn, on_progress)
        split = split or default_split(opened.corpus, output.warn)
        find = finder_of(opened.model) if evidence else None
        samples = sample_run(
            opened, split, number, seed, with_text=text, find=find, on_progress=on_progress
        )
    labels, threshold = opened.model.labels, str(opened.model.threshold)
    documents = show_samples(samples, labels.known_titles, output, text, evidence)
    about = {"split": split, "threshold": threshold, "editions": labels.editions}
    output.result({**about, "documents": documents})


def show_samples(
    samples: "Sequence[SampleDocument]",
    titles: Mapping[str, str],
    output: Output,
    text: bool = False,
    evidence: bool = False,
) -> list[dict[str, Any]]:
    """Show documents with their codes, and return them as values for JSON."""
    from icdcli.report.views.evidence import evidence_view
    from icdcli.report.views.predictions import prediction_dict, prediction_view

    documents = []
    for sample in samples:
        shown = sample.text if text else None
        output.show(prediction_view(sample.prediction, titles, shown))
        if sample.evidence and sample.text is not None:
            marked = [(code, titles.get(code), spans) for code, spans in sample.evidence.items()]
            several = len(sample.notes) > 1
            output.show(evidence_view(sample.text, marked, not output.live, several))
        found = sample.evidence if evidence else None
        documents.append(prediction_dict(sample.prediction, titles, shown, found))
    return documents
