"""``icdcode prepare-data``: from raw tables to a prepared corpus."""

from json import dumps as quoted  # a JSON string is a YAML string, whatever is in it
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icdcli.cli.common import Json, Overrides, showing
from icdcli.cli.completion import complete_config
from icdcli.config.loading import load_config
from icdcli.report.console import Output

if TYPE_CHECKING:
    from icdcli.data.corpus.prepare import PreparedCorpus


def prepare_data(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder of the raw tables, or one file of notes and codes."
        ),
    ],
    overrides: Overrides = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A configuration whose data options apply.", autocompletion=complete_config
        ),
    ] = None,
    skip_bad_rows: Annotated[
        bool,
        typer.Option(
            "--skip-bad-rows",
            help="Count rows that are no valid CSV and go on; as skip_bad_rows=True.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Read raw notes and codes into a prepared corpus. The same call again finds it and does nothing.

    Example: icdcode prepare-data data/demo protocol=patient label_pruning=True
    """
    from icdcli.data.corpus.card import describe_corpus
    from icdcli.data.corpus.reader import open_corpus
    from icdcli.report.views.corpus import corpus_view

    output = Output(json)
    given = [*(overrides or []), *(["skip_bad_rows=True"] if skip_bad_rows else [])]
    corpus = prepared(folder, given, config, output)
    output.show(corpus_view(describe_corpus(open_corpus(corpus.folder))))
    output.say(f"{'Prepared' if corpus.created else 'Already prepared'}: {corpus.folder}")
    output.result(
        {
            "folder": corpus.folder,
            "created": corpus.created,
            "changed": corpus.changed,
            "card": corpus.card,
        }
    )


def prepared(
    data: Path, overrides: list[str], config: Path | None, output: Output
) -> "PreparedCorpus":
    """Prepare data unless that is done, showing how far it is, and warn of what a person should know."""
    from icdcli.data.corpus.prepare import prepare

    options = load_config(
        config, [*overrides, f"data_path={quoted(str(data), ensure_ascii=False)}"]
    ).data
    with showing(output) as on_progress:
        corpus = prepare(options, on_progress)
    for table in corpus.changed:
        output.warn(f"changed since the last corpus was made of it: {table}")
    for file, problem in corpus.card["first_bad_row"].items():
        output.warn(f"{file}: bad rows were passed over; the first: {problem}")
    return corpus
