"""``icdcode score``: the predictions of any system, scored as runs are."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from icdcli.cli.common import Json
from icdcli.config.fields import refuse_url
from icdcli.report.console import Output


def score(
    predictions: Annotated[
        str,
        typer.Argument(
            metavar="PREDICTIONS",
            help="Codes per document: JSONL, JSON, CSV, Parquet or Excel, CodiEsp's id<tab>code, "
            "or MDACE's files; also a URL.",
        ),
    ],
    gold: Annotated[
        str,
        typer.Option(
            metavar="GOLD",
            help="Gold codes: a prepared corpus, CodiEsp's folder, or a table, also a URL.",
        ),
    ],
    split: Annotated[
        Literal["train", "validation", "test"] | None,
        typer.Option(help="Split of a corpus. Default: test, or validation if there is no test."),
    ] = None,
    codes: Annotated[
        Literal["diagnoses", "procedures", "all"],
        typer.Option(help="Kind of codes to read from CodiEsp's folder."),
    ] = "diagnoses",
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Lowest score of predicted codes. Default: as marked in the file, else 0.5.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the results, which icdcode compare reads."),
    ] = None,
    code_system: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Coding system of a gold table. Default: recognized."),
    ] = None,
    valid_codes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Drop predicted codes that aren't in this list."),
    ] = None,
    id_column: Annotated[str | None, typer.Option(help="Column of ids in a table.")] = None,
    codes_column: Annotated[
        str | None, typer.Option(help="Column with the codes of a document in a table.")
    ] = None,
    code_column: Annotated[
        str | None, typer.Option(help="Column with one code per row in a table.")
    ] = None,
    score_column: Annotated[str | None, typer.Option(help="Column of scores in a table.")] = None,
    cost_column: Annotated[
        str | None, typer.Option(help="Column with the cost of a document in a table.")
    ] = None,
    gold_id_column: Annotated[
        str | None, typer.Option(help="Column of ids in the gold table.")
    ] = None,
    gold_codes_column: Annotated[
        str | None, typer.Option(help="Column with the codes of a document in the gold table.")
    ] = None,
    json: Json = False,
) -> None:
    """Score the predictions of any system against gold codes.

    It shows all metrics that the predictions allow, with 95 % intervals, hierarchical near misses,
    evidence and cost. Gold codes that the system doesn't know count as missed.

    Example: icdcode score agent.jsonl --gold data/codiesp --split validation --out scored/agent
    """
    output = Output(json)
    for option, path in (("--out", out), ("--valid-codes", valid_codes)):
        if path is not None:
            refuse_url(path, f"{option} {path}")
    from icdcli.evaluation.predictions.run import ScoreOptions, score_predictions
    from icdcli.evaluation.predictions.scored import write_scored
    from icdcli.evaluation.predictions.tables import ColumnNames
    from icdcli.io.remote.paths import path_to_read
    from icdcli.report.scored_view import scored_view

    options = ScoreOptions(
        split,
        codes,
        code_system,
        ColumnNames(id_column, codes_column, code_column, score_column, cost_column),
        ColumnNames(gold_id_column, gold_codes_column),
        threshold,
        valid_codes,
    )
    files = path_to_read(predictions), path_to_read(gold)
    scored = score_predictions(*files, options, output.warn)
    output.show(scored_view(scored))
    if out is not None:
        write_scored(out, scored)
        output.say(f"Written: {out}")
    output.result({"folder": out, **scored.to_json()})
