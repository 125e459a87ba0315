"""``icdcode evaluate``: every metric of a trained coder on a split."""

from typing import Annotated, Literal

import typer

from icdcli.cli.common import Device, Json, Load, Run, Split, find_evidence, showing
from icdcli.errors import ConfigError
from icdcli.io.files import writing
from icdcli.report.console import Output
from icdcli.run_dir import RunDir


def evaluate(
    run_dir: Run,
    load: Load = "metric",
    split: Split = None,
    against: Annotated[
        Literal["published"] | None,
        typer.Option(help="Show published results beside, where they compare."),
    ] = None,
    html: Annotated[
        bool, typer.Option("--html", help="Also write report.html, one page that needs no network.")
    ] = False,
    evidence: Annotated[
        bool,
        typer.Option(
            "--evidence",
            help="With --html: also show what the codes of a few documents were chosen by, in their words.",
        ),
    ] = False,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="Also show what each part of the coder is worth.")
    ] = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Score a split with a run's checkpoint. Writes metrics, results by code, predictions and curves into the run's folder.

    Example: icdcode evaluate outputs/mimic3/automatic_coding --split test --html
    """
    if evidence and not html:
        raise ConfigError(
            "--evidence: stands on the page that --html writes; give both, or take icdcode show-predictions"
        )
    output = Output(json)
    run = RunDir.open(run_dir)
    from icdcli.evaluation.curves import confusions
    from icdcli.evaluation.files import code_rows
    from icdcli.evaluation.published_results import comparable
    from icdcli.evaluation.run import default_split, evaluate_opened, open_run
    from icdcli.evaluation.sample import sample_evaluation
    from icdcli.report.html import evaluation_page
    from icdcli.report.plots.evaluation import evaluation_figures, write_pngs
    from icdcli.report.views.evaluation import ablation_table, evaluation_view

    with showing(output) as on_progress:
        opened = open_run(run, load, device, output.warn, on_progress)
        corpus = opened.corpus
        find = find_evidence(opened.model, str(run.root), cut=True) if evidence else None
        split = split or default_split(corpus, output.warn)
        evaluation = evaluate_opened(opened, split, ablate=ablate, on_progress=on_progress)
    published = comparable(corpus.card, split) if against else None
    output.show(evaluation_view(evaluation, published))
    if evaluation.ablation:
        output.show(ablation_table(evaluation.ablation, split))
    folder = run.evaluation(split)
    figures = evaluation_figures(evaluation)
    with writing(folder):
        write_pngs(figures, folder)
        if html:
            from icdcli.io.files import replacing

            chapters, codes = confusions(evaluation, corpus.system), code_rows(evaluation)
            shown = [] if find is None else sample_evaluation(evaluation, corpus, find)
            page = evaluation_page(evaluation, figures, chapters, codes, published, shown)
            with replacing(folder / "report.html") as temporary:
                temporary.write_text(page, encoding="utf-8")
    output.say(f"Every metric: {folder / 'metrics.json'}")
    if html:
        output.say(f"As a page: {folder / 'report.html'}")
    output.say(f"Written: {folder}")
    output.result({"folder": folder, **evaluation.to_json()})
