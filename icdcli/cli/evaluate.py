"""``icdcode evaluate``: all metrics of a trained model on one split."""

from typing import Annotated, Literal

import typer

from icdcli.cli.behavior import tested_behavior
from icdcli.cli.common import (
    CpuPrecision,
    Device,
    Json,
    Load,
    Run,
    Split,
    finder_of,
    run_to_evaluate,
)
from icdcli.errors import ConfigError
from icdcli.io.files import writing
from icdcli.report.console import Output


def evaluate(
    run_dir: Run,
    load: Load = "metric",
    split: Split = None,
    against: Annotated[
        Literal["published"] | None,
        typer.Option(help="Also show published results if they are comparable."),
    ] = None,
    html: Annotated[
        bool, typer.Option("--html", help="Also write report.html, a page that needs no network.")
    ] = False,
    evidence: Annotated[
        bool,
        typer.Option(
            "--evidence",
            help="With --html: add a few documents with the evidence for each code; the page then "
            "contains patient text.",
        ),
    ] = False,
    behavior: Annotated[
        bool,
        typer.Option(
            help="With --html: add the table of `icdcode behavior`; this takes up to a minute."
        ),
    ] = True,
    ablate: Annotated[
        bool,
        typer.Option(
            "--ablate", help="Also report how much each component contributes (ablation)."
        ),
    ] = False,
    device: Device = None,
    cpu_precision: CpuPrecision = None,
    json: Json = False,
) -> None:
    """Evaluate a run on one split.

    Writes metrics, results per code, predictions and curves to evaluation/SPLIT in the run folder.

    Example: icdcode evaluate outputs/laptop/laptop --html
    """
    if evidence and not html:
        raise ConfigError(
            "--evidence: is part of the page that --html writes. Add --html, "
            "or use `icdcode show-predictions --evidence`."
        )
    run = run_to_evaluate(run_dir, output := Output(json), evidence)
    from icdcli.evaluation.published_results import comparable
    from icdcli.evaluation.run import default_split, evaluate_opened, open_run
    from icdcli.evaluation.sample import sample_evaluation
    from icdcli.report.html import PAGE, evaluation_page, write_page
    from icdcli.report.plots.evaluation import evaluation_figures, write_pngs
    from icdcli.report.views.evaluation import ablation_table, evaluation_view

    with output.stages() as on_progress:
        opened = open_run(run, load, device, output.warn, on_progress, cpu_precision)
        corpus = opened.corpus
        find = finder_of(opened.model) if evidence else None
        split = split or default_split(corpus, output.warn)
        evaluation = evaluate_opened(opened, split, ablate=ablate, on_progress=on_progress)
        tested = tested_behavior(opened, output, on_progress) if html and behavior else None
    published = comparable(corpus.card, split) if against else None
    output.show(evaluation_view(evaluation, published))
    if evaluation.ablation:
        output.show(ablation_table(evaluation.ablation, split))
    folder, figures = run.evaluation(split), evaluation_figures(evaluation)
    with writing(folder):
        write_pngs(figures, folder)
    if html:
        samples = [] if find is None else sample_evaluation(evaluation, corpus, find)
        parts = (evaluation, figures, corpus.code_system, published, samples, tested)
        page = evaluation_page(*parts, configuration=run.args.read_text(encoding="utf-8"))
        write_page(folder / PAGE, page)
    output.say(f"All metrics: {folder / 'metrics.json'}")
    if html:
        output.say(f"Report: {folder / PAGE}")
    output.say(f"Written: {folder}")
    about_behavior = {"behavior": tested.to_json()} if tested else {}
    output.result({"folder": folder, **evaluation.to_json(), **about_behavior})
